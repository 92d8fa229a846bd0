"""A child process that loads nights until it is killed: ``python loader.py URL SCHEMA FIRST_DAY``.

Says on standard output what it is about to do, so that the parent can kill it there.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from warehouse.nights import account, batch, day, group, member, plan, playable, result
from warehouse.place import Place

PEOPLE = 400
TABLES = ("accounts", "playables", "groups", "group_members", "results")


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


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def publish(warehouse: Any, number: int, *, chunk: int = 100) -> None:
    content = night(number)
    say(f"staging {number}")
    with warehouse.loading(plan(day(number), TABLES, allow_mass_delete=True)) as loading:
        for name, rows in content.items():
            for start in range(0, len(rows), chunk):
                loading.stage(batch(name, rows[start : start + chunk]))
        say(f"judging {number}")
        loading.judge()
        say(f"publishing {number}")
        loading.publish()
    say(f"published {number}")


def main(url: str, schema: str, first: str) -> None:
    with Place(url, schema or None).opened() as warehouse:
        warehouse.prepare()
        number = int(first)
        while day(number) < date(2027, 1, 1):
            publish(warehouse, number)
            number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
