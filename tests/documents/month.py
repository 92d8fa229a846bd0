"""The warehouse of the documents: dates of the sandbox's organization, the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import sqlalchemy as sa

from drillster_pipeline.warehouse import CONTRACT, Warehouse
from drillster_pipeline.warehouse.partitions import ensure_partition
from tests.drillster import Sandbox
from tests.support.databases import Place
from tests.support.installation import Installation, night_after
from tests.warehouse.support import metadata_of

ACCOUNTS, SEED = 60, 2
FIRST, LAST = date(2026, 4, 30), date(2026, 5, 31)
"""A month, and the day before it."""
MISSED = date(2026, 5, 17)
"""A date of which there is no snapshot, as happens."""
SCHEMA = "drillster"


def write_dates(folder: Path, first: date = FIRST) -> Place:
    """Export the dates from ``first`` to the last into an SQLite file."""
    moment, settings = night_after(first), {"DRILLSTER_FIRST_EXPORT_DATE": "2026-01-01"}
    with (
        Sandbox(accounts=ACCOUNTS, seed=SEED) as sandbox,
        Installation(folder, sandbox, now=moment, **settings) as made,
    ):
        while (day := made.day) <= LAST:
            for kind in ("events",) if day == MISSED else ("snapshot", "events"):
                made.load(kind, day, run_id=f"night of {day}")
            made.at(made.now + timedelta(days=1))
        return Place(made.environment["DRILLSTER_WAREHOUSE_URL"], None)


@contextmanager
def copied(original: Place, url: str) -> Iterator[Warehouse]:
    """The same rows in another database, in a schema ``drillster`` that goes again."""
    place = Place(url, SCHEMA)
    with original.opened() as source, place.opened() as target:
        target.prepare()
        here, there = (metadata_of(each.engine.dialect.name, each.schema) for each in (source, target))
        with source.engine.connect() as reading, target.engine.begin() as writing:
            for name in CONTRACT:
                (table,) = (found for found in here.tables.values() if found.name == name)
                (twin,) = (found for found in there.tables.values() if found.name == name)
                rows = [dict(row) for row in reading.execute(sa.select(table)).mappings()]
                if target.engine.dialect.name == "postgresql":
                    for day in (FIRST, LAST):
                        ensure_partition(writing, twin, day)
                if rows and name != "view_definitions":
                    writing.execute(sa.insert(twin), rows)
        yield target
        with target.engine.begin() as connection:
            cascade = " CASCADE" if target.engine.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(f"DROP SCHEMA {SCHEMA}{cascade}")
