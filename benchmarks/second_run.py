"""(c) A second run in which one account in twenty changed: rows written, bytes of write-ahead log, seconds."""

from __future__ import annotations

import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.tables import DATA_TABLES, Kind

from . import peer
from .archives import add_next_date, folder_of, people_of, replaying
from .comparison import OURS, Claim, Comparison, Measures, alternate
from .loading import RESOURCES
from .options import Options
from .places import EXPORT_DATE, MOMENT, engine_of, server_of, sqlite
from .processes import Meter, isolated

EVERY = 20
ENTITIES = tuple(name for name, table in DATA_TABLES.items() if table.kind is Kind.ENTITY)


ABOUT = """
The same organization a day later: one account in twenty has another name, nothing else of the entities changed.
Snapshots get a new date, as they must. Rows written are those inserted, updated or deleted in entity tables, by
PostgreSQL's own statistics; the write-ahead log is counted between two checkpoints and holds all tables. dlt's
`upsert` writes every row that is among the loaded ones, and it marks nothing as deleted.
"""


def measure(options: Options) -> list[Comparison]:
    """On both databases; only PostgreSQL says how many rows were written."""
    archive = options.archives.of(f"accounts-{options.accounts}", people_of(options.accounts))
    following = add_next_date(archive, every=EVERY)
    found = []
    for database, place in (("PostgreSQL", options.postgresql.database), ("SQLite", sqlite)):

        def second(function: Any, *arguments: Any, place: Any = place) -> Measures:
            with place() as url:
                measures: Measures = isolated(function, archive, url, following, *arguments)
                return measures

        found.append(
            alternate(
                f"A second run, {options.accounts:,} accounts of which 5 % changed, {database}",
                {
                    OURS: lambda second=second: second(ours),
                    "dlt, merge of rows": lambda second=second: second(theirs, False),
                    "dlt, merge of Arrow": lambda second=second: second(theirs, True),
                },
                rounds=options.rounds,
                claims=_claims(database, options.accounts),
                say=options.say,
            )
        )
    return found


def _claims(database: str, accounts: int) -> list[Claim]:
    where = f"second run, {accounts:,} accounts, {database}"
    claims = [
        Claim(what=f"dlt ({form}), {where}", contender=f"dlt, merge of {form}", over=OURS, measure=measure)
        for form in ("rows", "Arrow")
        for measure in ("seconds", "cpu_seconds")
    ]
    if database == "PostgreSQL":
        claims += [
            Claim(
                what=f"entity rows that we wrote, of {accounts // EVERY:,} that changed",
                contender=OURS,
                measure="entity_rows_written",
                at_most=float(-(-accounts // EVERY)),
            ),
            Claim(what=f"dlt (Arrow), {where}", contender="dlt, merge of Arrow", over=OURS, measure="wal_mib"),
        ]
    return claims


def ours(archive: Path, url: str, following: date) -> Measures:
    """Both runs; the second one is measured."""
    moment = MOMENT + timedelta(days=1)
    with PipelineContext(settings=replaying(archive, url), now=lambda: moment) as session:
        publish(session, "snapshot", EXPORT_DATE, run_id="benchmark")
        before = _written(url, "public")
        with Meter(server_of(url)) as meter:
            publish(session, "snapshot", following, run_id="benchmark")
    return {**meter.read(), **_difference(before, _written(url, "public"))}


def theirs(archive: Path, url: str, following: date, arrow: bool) -> Measures:
    """The same two runs by dlt."""
    peer.configure(url)
    with tempfile.TemporaryDirectory() as folder:
        made = peer.pipeline(folder, url)

        def load(day: date) -> None:
            source = peer.archived(folder_of(archive, day), RESOURCES, url=url, day=str(day), arrow=arrow)
            peer.run(made, source, url=url, arrow=arrow)

        load(EXPORT_DATE)
        before = _written(url, peer.DATASET)
        with Meter(server_of(url)) as meter:
            load(following)
    return {**meter.read(), **_difference(before, _written(url, peer.DATASET))}


def _written(url: str, schema: str) -> tuple[int, int] | None:
    """Rows written to entity tables so far, and where the write-ahead log is; None where nobody counts."""
    if url.startswith("sqlite"):
        return None
    time.sleep(1.5)  # a server process hands in its counts once a second
    with engine_of(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CHECKPOINT")  # complete pages are logged once after each, for both alike
        names = ", ".join(f"'{name}'" for name in ENTITIES)
        rows = connection.exec_driver_sql(
            "SELECT COALESCE(SUM(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables "
            f"WHERE schemaname = '{schema}' AND relname IN ({names})"
        ).scalar_one()
        log = connection.exec_driver_sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").scalar_one()
        return int(rows), int(log)


def _difference(before: tuple[int, int] | None, after: tuple[int, int] | None) -> Measures:
    if before is None or after is None:
        return {}
    return {"entity_rows_written": after[0] - before[0], "wal_mib": (after[1] - before[1]) / 2**20}
