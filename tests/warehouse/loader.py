"""Loads that are killed. ``python loader.py URL SCHEMA`` reads lines: the night to load, and when to kill the load.

Each load is a process of its own, forked here, where everything is imported already. A line is ``NIGHT statement N``
(it kills itself before its N-th statement), ``NIGHT after SECONDS`` (it is killed from outside, wherever it is then) or
``NIGHT commit 0`` (it kills itself between its commit and the release of the lock). The answer is ``killed`` or
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

sys.path.insert(0, str(Path(__file__).parents[1]))

from warehouse.nights import account, batch, day, group, member, plan, playable, result
from warehouse.place import Place

from drillster_pipeline.warehouse import Load

PEOPLE = 400
TABLES = ("accounts", "playables", "groups", "group_members", "results")
HISTORIES = tuple(f"{name}_history" for name in TABLES if name != "results")


def night(number: int) -> dict[str, list[Any]]:
    """A night that differs from the one before in every table: people move, names change, results follow the day."""
    on = day(number)
    people = [f"a{place:04}" for place in range(PEOPLE) if place % 50 != number % 50]
    return {
        "accounts": [account(name, f"{name} on {number}") for name in people],
        "playables": [playable(f"p{place}", f"day {number}") for place in range(5)],
        "groups": [group(f"g{place}", f"day {number}") for place in range(4)],
        "group_members": [member(f"g{place % 4}", name) for place, name in enumerate(people)],
        "results": [
            result(on, f"g{place % 4}", name, f"p{each}", number % 100)
            for place, name in enumerate(people)
            for each in range(5)
        ],
    }


def publish(warehouse: Any, number: int, *, chunk: int = 200) -> None:
    content = night(number)
    with warehouse.loading(plan(day(number), TABLES, allow_mass_delete=True)) as loading:
        for name, rows in content.items():
            for start in range(0, len(rows), chunk):
                loading.stage(batch(name, rows[start : start + chunk]))
        loading.merge()


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def load_and_die(place: Place, number: int, how: str, when: float) -> None:
    """In the forked process."""
    with place.opened() as warehouse:
        if how == "statement":
            count = 0

            def before(*_: Any) -> None:
                nonlocal count
                count += 1
                if count >= when:
                    die()

            sa.event.listen(warehouse.engine, "before_cursor_execute", before)
        if how == "commit":
            Load.clear = die  # type: ignore[method-assign]  # the process dies there
        publish(warehouse, number)


def main(url: str, schema: str) -> None:
    place = Place(url, schema or None)
    for line in sys.stdin:
        number, how, when = line.split()
        child = os.fork()
        if child == 0:
            load_and_die(place, int(number), how, float(when))
            os._exit(0)
        if how == "after":
            time.sleep(float(when))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        ended = "published" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "killed"
        sys.stdout.write(f"{ended}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
