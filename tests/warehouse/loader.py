"""Loads that are killed. ``python loader.py URL SCHEMA`` reads lines: the number of a load, and when to kill it.

Each load is a process of its own, forked here, where everything is imported already. A line is ``NUMBER statement N``
(it kills itself before its N-th statement), ``NUMBER after SECONDS`` (it is killed from outside, wherever it is then)
or ``NUMBER commit 0`` (it kills itself between its commit and the release of the lock). The output is ``killed`` or
``published``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[2]))

from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.load import Load
from tests.support.databases import Place
from tests.warehouse.support import account, batch, day, group, member, plan, playable, result

PEOPLE = 200
TABLES = ("accounts", "playables", "groups", "group_members", "results")
HISTORIES = tuple(f"{name}_history" for name in TABLES if name != "results")


def content(number: int, count: int = PEOPLE) -> dict[str, list[Any]]:
    """What differs from the load before in every table: members move, names change, results follow the day."""
    people = [f"a{place:04}" for place in range(count) if place % 50 != number % 50]
    return {
        "accounts": [account(name, f"{name} on {number}") for name in people],
        "playables": [playable(f"p{place}", f"day {number}") for place in range(5)],
        "groups": [group(f"g{place}", f"day {number}") for place in range(4)],
        "group_members": [member(f"g{place % 4}", name) for place, name in enumerate(people)],
        "results": [
            result(day(number), f"g{place % 4}", name, f"p{each}", number % 100)
            for place, name in enumerate(people)
            for each in range(5)
        ],
    }


def publish(warehouse: Warehouse, number: int, *, chunk: int = 10_000) -> None:
    with warehouse.loading(plan(day(number), TABLES, allow_mass_delete=True)) as loading:
        for name, rows in content(number).items():
            for start in range(0, len(rows), chunk):
                loading.stage(batch(name, rows[start : start + chunk]))
        loading.merge()


def kill(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def load_and_be_killed(place: Place, number: int, how: str, when: float) -> None:
    """In the forked process."""
    with place.opened() as warehouse:
        if how == "statement":
            statements: list[Any] = []

            def before(*_: Any) -> None:
                statements.append(None)
                if len(statements) >= when:
                    kill()

            sa.event.listen(warehouse.engine, "before_cursor_execute", before)
        if how == "commit":
            Load.clear = kill  # type: ignore[method-assign]  # the process ends there
        publish(warehouse, number, chunk=200)


def main(url: str, schema: str) -> None:
    for line in sys.stdin:
        number, how, when = line.split()
        child = os.fork()
        if child == 0:
            load_and_be_killed(Place(url, schema or None), int(number), how, float(when))
            os._exit(0)
        if how == "after":
            time.sleep(float(when))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print("published" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "killed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
