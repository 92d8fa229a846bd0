"""(b) From archived pages, and from typed frames, to tables: against dlt, ``to_sql`` and the database's own way."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.archive.captures import utc_moment
from drillster_pipeline.extract.batches import Batch, Page
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.tables import resources_of, tables_of
from drillster_pipeline.tables.schema import Column, Type
from drillster_pipeline.warehouse import LoadPlan, TablePlan, Warehouse

from . import peer
from .archives import captured, folder_of, replaying, results_of
from .comparison import OURS, Claim, Comparison, Measures, alternate
from .options import Options
from .peer_rows import READERS
from .places import EXPORT_DATE, MOMENT, engine_of, server_of, sqlite
from .processes import Meter, isolated

TABLES = tables_of("snapshot")
RESOURCES = [name for name in READERS if name != "objective_events"]
_MANY = 1_000_000
"""Result rows from which one round is enough."""


ABOUT = """
*Pages to tables*: the same archived pages, through to published tables; rows of both are counted and agree. Ours
has its tables made before the clock starts; dlt makes them as it loads, which is a small part. *Frames to staging*
leaves normalization out: the same typed frames into tables without a key, by our staging and by `DataFrame.to_sql`
as it comes. The limit is what the database itself takes for rows that
were written out beforehand: COPY from memory, or on SQLite `executemany` of ready tuples. *Staged, validated and
published* sets all that a load does, keys, references and indexes included, against `to_sql` into tables without a
key. Beside both is what the database itself takes for ready rows in tables with those keys and indexes: nobody
who keeps them can be further ahead of `to_sql` than that. Ours writes each row twice, to staging and from there to
its table, for nothing is shown before all of it was validated; and a small load pays for some 190 statements.
"""


def measure(options: Options) -> list[Comparison]:
    """Every size on both databases."""
    found = []
    for rows in options.sizes:
        archive = options.archives.of(f"results-{rows}", results_of(rows))
        rounds = 1 if rows >= _MANY else options.rounds
        for database, place in (("PostgreSQL", options.postgresql.database), ("SQLite", sqlite)):
            found += _compare(options, archive, rows, f"{database}, {rows:,} result rows", place, rounds)
    return found


def _compare(options: Options, archive: Path, rows: int, where: str, place: Any, rounds: int) -> Iterator[Comparison]:
    def at(function: Any, *arguments: Any) -> Any:
        def run() -> Measures:
            opened: AbstractContextManager[str] = place()
            with opened as url:
                found: Measures = isolated(function, archive, url, *arguments)
                return found

        return run

    yield alternate(
        f"Pages to tables: {where}",
        {OURS: at(publish_ours), "dlt, rows": at(load_peer, rows), "dlt, Arrow": at(load_peer, rows, True)},
        rounds=rounds,
        claims=[
            Claim(what=f"dlt (rows), pages to tables, {where}", contender="dlt, rows", over=OURS, measure=measure)
            for measure in ("seconds", "cpu_seconds")
        ]
        + [
            Claim(what=f"dlt (Arrow), pages to tables, {where}", contender="dlt, Arrow", over=OURS, measure=measure)
            for measure in ("seconds", "cpu_seconds")
        ],
        say=options.say,
    )
    native = "COPY alone" if where.startswith("PostgreSQL") else "executemany alone"
    yield alternate(
        f"Frames to staging: {where}",
        {
            OURS: at(stage_ours, False),
            "DataFrame.to_sql": at(write_to_sql),
            native: at(write_natively),
        },
        rounds=rounds,
        claims=[
            Claim(
                what=f"to_sql over our staging, {where}",
                contender="DataFrame.to_sql",
                over=OURS,
                measure="seconds",
                at_least=8.0 if native.startswith("COPY") else 1.8,
            ),
            Claim(what=f"our staging over {native}, {where}", contender=OURS, over=native, measure="seconds"),
        ],
        say=options.say,
    )
    yield alternate(
        f"Frames staged, validated and published: {where}",
        {
            OURS: at(stage_ours, True),
            "DataFrame.to_sql": at(write_to_sql),
            f"{native}, with keys": at(write_natively, True),
        },
        rounds=rounds,
        claims=[
            Claim(
                what=f"to_sql over our staging and publishing, {where}",
                contender="DataFrame.to_sql",
                over=OURS,
                measure="seconds",
                at_least=3.0,
            ),
            Claim(
                what=f"to_sql over {native} with keys, {where}",
                contender="DataFrame.to_sql",
                over=f"{native}, with keys",
                measure="seconds",
            ),
        ],
        say=options.say,
    )


def publish_ours(archive: Path, url: str) -> Measures:
    """The complete way from archived pages into an empty warehouse whose tables exist."""
    with PipelineContext(settings=replaying(archive, url), now=lambda: MOMENT) as session:
        session.warehouse  # noqa: B018 - made when it is first needed
        with Meter(server_of(url)) as meter:
            report = publish(session, "snapshot", EXPORT_DATE, run_id="benchmark").report
    return {**meter.read(), "rows": sum(table.rows_inserted for table in report.tables.values())}


def load_peer(archive: Path, url: str, rows: int, arrow: bool = False) -> Measures:
    """The same pages into the same tables by dlt, which makes them as it loads."""
    # Arrow tables are not normalized row by row, so processes have nothing to share.
    peer.configure(url, rows=0 if arrow else rows)
    with tempfile.TemporaryDirectory() as folder:
        made = peer.pipeline(folder, url)
        source = peer.archived(folder_of(archive), RESOURCES, url=url, day=str(EXPORT_DATE), arrow=arrow)
        with Meter(server_of(url)) as meter:
            peer.run(made, source, url=url, arrow=arrow)
    return {**meter.read(), "rows": sum(peer.row_counts(url, list(TABLES)).values())}


def stage_ours(archive: Path, url: str, published: bool) -> Measures:
    """Typed frames into staging, and perhaps on into the tables; making the frames is not measured."""
    warehouse = Warehouse(url)
    warehouse.prepare()
    plan = LoadPlan(
        export_date=EXPORT_DATE,
        kind="snapshot",
        run_id="benchmark",
        tables={name: TablePlan() for name in TABLES},
        archive_url=str(archive),
        program_version="benchmark",
    )
    meter, rows = Meter(server_of(url)), 0
    with warehouse.loading(plan) as load:
        for batch in batches(archive):
            rows += len(batch.frame)
            with meter:
                load.stage(batch)
        if published:
            with meter:
                load.validate()
                load.merge()
    warehouse.close()
    return {**meter.read(), "rows": rows}


def write_to_sql(archive: Path, url: str) -> Measures:
    """The same frames by pandas, into tables that it makes, which have no key."""
    meter, rows = Meter(server_of(url)), 0
    with engine_of(url).begin() as connection:
        for batch in batches(archive):
            rows += len(batch.frame)
            with meter:
                batch.frame.to_sql(batch.table.name, connection, if_exists="append", index=False)
        with meter:
            connection.commit()
    return {**meter.read(), "rows": rows}


def write_natively(archive: Path, url: str, keyed: bool = False) -> Measures:
    """What the database itself takes for the rows, written out beforehand.

    Into temporary tables without a key, or (``keyed``) straight into those of the warehouse, unchecked.
    """
    postgresql = url.startswith("postgresql")
    stamp = _stamped(url) if keyed else {}
    meter, rows, made = Meter(server_of(url)), 0, set()
    connection: Any = engine_of(url).raw_connection()
    cursor = connection.cursor()
    if postgresql and keyed:
        # Pages come in the order of their resources: a large organization's members come before all of its groups have.
        cursor.execute("SET session_replication_role = replica")
    for batch in batches(archive):
        frame = batch.frame.assign(**stamp)
        names = list(frame.columns)
        if batch.table.name not in made and not keyed:
            made.add(batch.table.name)
            columns = ", ".join(f'"{name}" {_sql_type(batch, name)}' for name in names)
            cursor.execute(f'CREATE TEMPORARY TABLE "{batch.table.name}" ({columns})')
        target = f'"{batch.table.name}" ({", ".join(names)})'
        rows += len(frame)
        if postgresql:
            text = io.StringIO()
            frame.to_csv(text, header=False, index=False, quoting=csv.QUOTE_MINIMAL)
            content = text.getvalue().encode()
            with meter, cursor.copy(f"COPY {target} FROM STDIN (FORMAT csv)") as copy:
                copy.write(content)
        else:
            plain = frame.astype(object).where(frame.notna(), None)
            values = [tuple(map(_sqlite_value, row)) for row in plain.itertuples(index=False, name=None)]
            marks = ", ".join("?" * len(names))
            with meter:
                cursor.executemany(f"INSERT INTO {target} VALUES ({marks})", values)
    with meter:
        connection.commit()
    connection.close()
    return {**meter.read(), "rows": rows}


def _stamped(url: str) -> dict[str, str]:
    """Make the tables, and room for the date; the columns that say which load wrote a row."""
    warehouse = Warehouse(url)
    warehouse.prepare()
    with warehouse.reading() as (_, tables), warehouse.engine.begin() as connection:
        moments = dict.fromkeys(("started_at", "finished_at"), MOMENT)
        ledger = {"run_id": "benchmark", "kind": "snapshot", "program_version": "benchmark", **moments}
        connection.execute(sa.insert(tables("loads")), {"load_id": "benchmark", "export_date": EXPORT_DATE, **ledger})
        if url.startswith("postgresql"):
            for name in ("results", "objective_evaluations"):
                connection.exec_driver_sql(f"CREATE TABLE {name}_now PARTITION OF {name} DEFAULT")
    warehouse.close()
    return {"load_id": "benchmark", "loaded_at": MOMENT.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}


def batches(archive: Path) -> Iterator[Batch]:
    """The typed frames of all tables."""
    capture = captured(archive)

    def pages() -> Iterator[tuple[str, Page]]:
        for resource in resources_of(TABLES):
            for line in capture.pages(resource):
                yield resource, Page(line.unit, line.page, utc_moment(line.captured_at), line.body)

    for batch in Extractor(export_date=EXPORT_DATE, tables=TABLES).batches(pages()):
        if len(batch.frame):
            yield batch


_SQL_TYPES = {
    Type.TEXT: "text",
    Type.JSON: "text",
    Type.INTEGER: "bigint",
    Type.SMALLINT: "smallint",
    Type.FLOAT: "double precision",
    Type.BOOLEAN: "boolean",
    Type.TIMESTAMP: "timestamptz",
    Type.DATE: "date",
}


def _sql_type(batch: Batch, name: str) -> str:
    columns: dict[str, Column] = {column.name: column for column in batch.table.columns}
    return _SQL_TYPES[columns[name].type] if name in columns else "text"


def _sqlite_value(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
