"""What the history of entities takes: after many dates on which one row in a hundred changed, beside one date.

Pages of the SQLite file and of PostgreSQL, indexes included: those of the history tables after the last date, and
those of the entity tables after the first.

    python -m benchmarks.history_space [--accounts 5000] [--dates 100]
"""

from __future__ import annotations

import argparse
import random
import string
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.extract.batches import batch_of
from drillster_pipeline.tables import DATA_TABLES, HISTORY_TABLES, Kind, Table, Type
from drillster_pipeline.warehouse import LoadPlan, TablePlan, Warehouse

from .places import EXPORT_DATE, engine_of, postgresql, sqlite

ENTITIES = tuple(table for table in DATA_TABLES.values() if table.kind is Kind.ENTITY)
CHANGED = 0.01
"""The share of the rows of each table that a date changes."""
AT_MOST = 3.0
_CHARACTERS = string.ascii_letters + string.digits


class Organization:
    """Rows of every entity table, of the sizes that Drillster's have, and what a day makes of them."""

    def __init__(self, accounts: int) -> None:
        self._random = random.Random(7)
        groups, drills = accounts // 25, accounts // 20
        self._ids = {
            "organization_id": self._some(1),
            "account_id": self._some(accounts),
            "group_id": self._some(groups, 43),
            "playable_id": self._some(drills),
            "catalog_id": self._some(3),
            "objective_id": self._some(groups * 2),
        }
        each = {name: [(found,) for found in ids] for name, ids in self._ids.items()}
        people, every = self._ids["account_id"], self._ids["playable_id"]
        keys: dict[str, Sequence[tuple[str, ...]]] = {
            "organizations": each["organization_id"],
            "accounts": each["account_id"],
            "playables": each["playable_id"],
            "groups": each["group_id"],
            "catalogs": each["catalog_id"],
            "objectives": each["objective_id"],
            "account_external_ids": [(found, "AFAS", f"P{number:06}") for number, found in enumerate(people)],
            "group_members": self._pairs("group_id", people, accounts * 2),
            "group_staff": self._pairs("group_id", people, groups * 2),
            "group_playables": self._pairs("group_id", every, groups * 8),
            "catalog_playables": self._pairs("catalog_id", every, drills),
            "objective_playables": self._pairs("objective_id", every, groups * 6),
        }
        self.rows = {table.name: {key: self._row(table, key) for key in keys[table.name]} for table in ENTITIES}

    def _some(self, count: int, length: int = 22) -> list[str]:
        return ["".join(self._random.choices(_CHARACTERS, k=length)) for _ in range(count)]

    def _pairs(self, parent: str, children: list[str], count: int) -> list[tuple[str, ...]]:
        return [*{(self._random.choice(self._ids[parent]), self._random.choice(children)) for _ in range(count)}]

    def _row(self, table: Table, key: tuple[str, ...]) -> tuple[Any, ...]:
        return (*key, *(self._value(table, column.name, key) for column in table.columns[len(key) :]))

    def _value(self, table: Table, name: str, key: tuple[str, ...]) -> Any:
        column = table.column(name)
        if name == "account_id":
            return key[-1]
        if name in self._ids:
            return self._random.choice(self._ids[name])
        if column.type is Type.TIMESTAMP:
            return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=self._random.randrange(10**7))
        if column.type is Type.BOOLEAN:
            return True
        if column.type is not Type.TEXT:
            return self._random.randint(1, 90)
        length = {"name": 16, "email_address": 28, "description": 80}.get(name, 8)
        return "".join(self._random.choices(_CHARACTERS, k=length))

    def a_day_goes_by(self) -> None:
        """One row in a hundred changes; of a table that is nothing but keys, half of those go and others come."""
        for table in ENTITIES:
            rows = self.rows[table.name]
            changed = self._random.sample([*rows], round(CHANGED * len(rows)))
            if len(table.columns) > len(table.key):
                rows.update({key: self._row(table, key) for key in changed})
                continue
            for key in changed[::2]:
                del rows[key]
                new = (*key[:-1], *self._some(1)) if key[-1] not in self._ids["playable_id"] else self._other(rows, key)
                rows[new] = new

    def _other(self, rows: dict[tuple[str, ...], Any], key: tuple[str, ...]) -> tuple[str, ...]:
        free = (self._random.choice(self._ids["playable_id"]) for _ in range(10**6))
        return next(new for found in free if (new := (*key[:-1], found)) not in rows)


def measure(url: str, *, accounts: int, dates: int) -> tuple[int, int]:
    """Bytes of the entity tables after the first run, and of their histories after the last."""
    organization = Organization(accounts)
    warehouse = Warehouse(url)
    warehouse.prepare()
    first = 0
    for number in range(dates):
        _load(warehouse, organization, EXPORT_DATE + timedelta(days=number))
        if number == 0:
            first = sum(_size(url, table.name) for table in ENTITIES)
        organization.a_day_goes_by()
    warehouse.close()
    return first, sum(_size(url, name) for name in HISTORY_TABLES)


def _load(warehouse: Warehouse, organization: Organization, day: date) -> None:
    plan = LoadPlan(
        export_date=day,
        kind="snapshot",
        run_id="benchmark",
        tables={table.name: TablePlan() for table in ENTITIES},
        archive_url="",
        program_version="",
    )
    with warehouse.loading(plan) as loading:
        for table in ENTITIES:
            loading.stage(batch_of(table, [*organization.rows[table.name].values()], []))
        loading.merge()


def _size(url: str, table: str) -> int:
    """Bytes of the pages of a table and its indexes."""
    query = "SELECT pg_total_relation_size(:name)"
    if url.startswith("sqlite"):
        query = "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = :name)"
    with engine_of(url).connect() as connection:
        return int(connection.execute(sa.text(query), {"name": table}).scalar_one())


@contextmanager
def _postgresql() -> Iterator[str]:
    with postgresql() as server, server.database() as url:
        yield url


def main() -> None:
    """Both databases, one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=5000)
    parser.add_argument("--dates", type=int, default=100)
    options = parser.parse_args()
    rows = sum(map(len, Organization(options.accounts).rows.values()))
    print(f"{options.accounts:,} accounts, {rows:,} entity rows, {options.dates} dates, {CHANGED:.0%} changed a date")
    for database, place in (("SQLite", sqlite), ("PostgreSQL", _postgresql)):
        with place() as url:
            first, history = measure(url, accounts=options.accounts, dates=options.dates)
        ratio = history / first
        held = "held" if ratio <= AT_MOST else "NOT HELD"
        print(
            f"{database}: entities of one date {first / 2**20:.1f} MiB, their history {history / 2**20:.1f} MiB: "
            f"{ratio:.2f} times (at most {AT_MOST:g}: {held})",
            flush=True,
        )


if __name__ == "__main__":
    main()
