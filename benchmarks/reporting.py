"""(g) The nightly report of 10,000 learners, from the warehouse to the file."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.pipeline.report import write_report
from drillster_pipeline.tables import DAILY_TABLES, DATA_TABLES
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.dialects import dialect_of
from tests.drillster import Size

from .archives import replaying
from .comparison import OURS, Claim, Comparison, Measures, alternate
from .options import Options
from .places import EXPORT_DATE, MOMENT, server_of, sqlite
from .processes import Meter, isolated

LEARNERS, PER_GROUP = 10_000, 100
SIZE = Size(
    accounts=LEARNERS + 10,
    groups=LEARNERS // PER_GROUP,
    members_per_group=PER_GROUP,
    drillables_per_group=20,
    objectives_per_group=3,
    tests_per_group=1,
    stable=True,
)
DATES = 10
"""As many as a trend shows."""
ABOUT = f"""
{LEARNERS:,} learners in {SIZE.groups} groups with 20 drills and 3 objectives each, and {DATES} dates of them: about 2
million result rows. Each round is a new process; importing the plotting library counts.
"""


def measure(options: Options) -> list[Comparison]:
    """Seconds and size, on both databases."""
    archive = options.archives.of(f"learners-{LEARNERS}", SIZE)
    found = []
    for database, place in (("PostgreSQL", options.postgresql.database), ("SQLite", sqlite)):
        opened: AbstractContextManager[str] = place()
        with opened as url:
            isolated(fill, archive, url)

            def once(url: str = url) -> Measures:
                written: Measures = isolated(report, archive, url)
                return written

            found.append(
                alternate(
                    f"The report of {LEARNERS:,} learners, {database}",
                    {OURS: once},
                    rounds=options.rounds,
                    claims=[
                        Claim(
                            what=f"report of {LEARNERS:,} learners, seconds, {database}",
                            contender=OURS,
                            measure="seconds",
                            at_most=5.0,
                        ),
                        Claim(
                            what=f"report of {LEARNERS:,} learners, MiB, {database}",
                            contender=OURS,
                            measure="page_mib",
                            at_most=2.0,
                        ),
                    ],
                    say=options.say,
                )
            )
    return found


def fill(archive: Path, url: str) -> None:
    """Publish one date, and copy its snapshots to the dates that follow."""
    with PipelineContext(settings=replaying(archive, url), now=lambda: MOMENT) as session:
        publish(session, "snapshot", EXPORT_DATE, run_id="benchmark")
        for number in range(1, DATES):
            copy_date(session.warehouse, EXPORT_DATE, EXPORT_DATE + timedelta(days=number))


def copy_date(warehouse: Warehouse, first: date, day: date) -> None:
    """Copy what is there of a date to another one."""
    with warehouse.reading() as (_, tables), warehouse.engine.begin() as connection:
        loads = tables("loads")
        loaded = sa.select(loads.c.load_id).where(loads.c.export_date == first)
        for name in ("loads", "load_tables", "results", "objective_evaluations", *DAILY_TABLES):
            table = tables(name)
            if name in DATA_TABLES:
                dialect_of(connection).ensure_partition(connection, table, day)
            others: dict[str, Any] = {"export_date": sa.literal(day)}
            if name.startswith("load"):
                others["load_id"] = table.c.load_id + f"-{day}"
            columns = [others.get(column.name, column) for column in table.c]
            of_the_first = table.c.export_date == first if "export_date" in table.c else table.c.load_id.in_(loaded)
            copied = sa.select(*columns).where(of_the_first)
            connection.execute(table.insert().from_select(list(table.c), copied))


def report(archive: Path, url: str) -> Measures:
    """Write the report of the last date."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Meter(server_of(url)) as meter,
        PipelineContext(settings=replaying(archive, url), now=lambda: MOMENT) as session,
    ):
        day = EXPORT_DATE + timedelta(days=DATES - 1)
        written = write_report(session, day, output=Path(folder) / "report.html")
    return {**meter.read(), "page_mib": written.size / 2**20}
