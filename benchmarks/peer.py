"""The peer: dlt, set up for speed as its own documentation advises, filling the same tables.

What was chosen, and why, stands in docs/benchmarks.md; each choice was the faster of those that dlt offers here. This
module imports dlt only inside functions, which run in the child processes that measure.
"""

from __future__ import annotations

import gzip
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import DATA_TABLES, Kind, Table, Type

from .peer_rows import LISTS, READERS, Rows
from .places import IN_FLIGHT

DATASET = "warehouse"
PAGES_AT_ONCE = 100
"""Archived pages per item of the extraction: some 10,000 rows, as dlt advises."""
CORES = os.cpu_count() or 1
WORTH_PROCESSES = 100_000
_TYPES = {
    Type.TEXT: "text",
    Type.INTEGER: "bigint",
    Type.SMALLINT: "bigint",
    Type.FLOAT: "double",
    Type.BOOLEAN: "bool",
    Type.TIMESTAMP: "timestamp",
    Type.DATE: "date",
    Type.JSON: "text",
}
RowsByTable = dict[str, Rows]
"""The rows of a page, by table."""


def configure(url: str = "", *, rows: int = 0) -> None:
    """Settings of dlt: as many requests in flight as ours, files small enough to be shared out.

    ``rows`` to be normalized: to start a process per core costs more than it saves where they are few.
    """
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "EXTRACT__WORKERS": str(IN_FLIGHT),
        "EXTRACT__MAX_PARALLEL_ITEMS": str(4 * IN_FLIGHT),
        "EXTRACT__FUTURES_POLL_INTERVAL": "0.001",
        "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
        "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "100000",
        "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "100000",
        "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
        # SQLite has one writer at a time; with more dlt meets "database is locked", and tries again.
        "LOAD__WORKERS": "1" if url.startswith("sqlite") else "20",
        "NORMALIZE__WORKERS": str(CORES if rows >= WORTH_PROCESSES else 1),
    }


def pipeline(folder: str | Path, url: str) -> Any:
    """A pipeline whose files lie in ``folder``, with the database of ``url`` as its destination."""
    import dlt

    if url.startswith("sqlite"):
        destination = dlt.destinations.sqlalchemy(url, create_primary_keys=True)
    else:
        destination = dlt.destinations.postgres(url)
    return dlt.pipeline("peer", pipelines_dir=str(folder), destination=destination, dataset_name=DATASET, progress=None)


def run(made: Any, source: Any, *, url: str, arrow: bool = False) -> None:
    """Extract, normalize and load. Raises RuntimeError where a job of the load failed."""
    # Measured to be the fastest: CSV by COPY for rows, Parquet by ADBC for Arrow tables and on SQLite.
    file_format = "parquet" if arrow or url.startswith("sqlite") else "csv"
    info = made.run(source, loader_file_format=file_format)
    if info.has_failed_jobs:
        raise RuntimeError(f"dlt's load failed: {info}")


def archived(folder: Path, resources: list[str], *, url: str, day: str, arrow: bool = False) -> Any:
    """A source of the same archived pages. ``folder``: of the capture."""
    import dlt
    from dlt.common.json import json

    def pages(resource: str) -> Iterator[RowsByTable]:
        lines = _lines(folder / resource)
        while some := [json.loadb(line) for line in islice(lines, PAGES_AT_ONCE)]:
            found_rows: RowsByTable = defaultdict(list)
            for line in some:
                for table, rows in READERS[resource](
                    line["unit"], line["captured_at"], items_of(resource, line["unit"], line["body"]), day
                ):
                    found_rows[table] += rows
            yield found_rows

    def made() -> Iterator[Any]:
        seen: set[str] = set()
        for resource in resources:
            parent = dlt.resource(pages, name=f"{resource}_pages", selected=False)(resource)
            yield from tables_of(resource, parent, seen, url=url, arrow=arrow)

    return dlt.source(made, name="archive", max_table_nesting=0)()


def _lines(folder: Path) -> Iterator[bytes]:
    for part in sorted(folder.glob("part-*.jsonl.gz")):
        with gzip.open(part) as file:
            yield from file


def items_of(resource: str, unit: Mapping[str, str], body: Any) -> Rows:
    single = resource == "organization" or (resource in {"groups", "catalogs"} and unit)
    return [body] if single else body[LISTS[resource]]


TABLES_OF = {
    "organization": ("organizations",),
    "accounts": ("accounts", "account_external_ids"),
    "catalogs": ("catalogs",),
    "catalog_content": ("playables", "catalog_playables"),
    "groups": ("groups", "playables", "group_playables"),
    "group_members": ("group_members",),
    "group_staff": ("group_staff",),
    "group_drillables": ("playables", "group_playables"),
    "objectives": ("objectives", "objective_playables", "playables"),
    "objective_evaluations": ("objective_evaluations",),
    "results": ("results",),
    "test_results": ("test_results", "test_result_scores", "test_result_drills", "playables"),
    "objective_events": ("objective_events",),
}
"""The tables that the pages of a resource fill."""


def tables_of(resource: str, parent: Any, seen: set[str], *, url: str, arrow: bool) -> Iterator[Any]:
    """A transformer for each table that the pages of a resource fill; ``seen``: the playables so far."""
    import dlt

    for name in TABLES_OF[resource]:
        table = DATA_TABLES[name]

        def rows(found_rows: RowsByTable, table: Table = table) -> Any:
            found = found_rows.get(table.name) or []
            if table.name == "playables":
                # An upsert takes each key once, and a playable is there many times.
                found = [one for one in found if one["playable_id"] not in seen]
                found = list({one["playable_id"]: one for one in found}.values())
                seen.update(one["playable_id"] for one in found)
            return (_arrow(table, found) if arrow else found) if found else None

        yield parent | dlt.transformer(rows, name=f"{name}_of_{resource}", table_name=name, **_hints(table, url=url))


def _hints(table: Table, *, url: str) -> dict[str, Any]:
    """How dlt writes a table: by key; of snapshots all rows of the date, so that a date may be repeated."""
    columns = {
        column.name: {
            "name": column.name,
            "data_type": _TYPES[column.type],
            "nullable": column.nullable and column.name not in table.key,
        }
        for column in table.columns
    }
    if table.kind is Kind.SNAPSHOT:
        return {
            "columns": columns,
            "merge_key": "export_date",
            "write_disposition": {"disposition": "merge", "strategy": "delete-insert"},
        }
    strategy = "delete-insert" if url.startswith("sqlite") else "upsert"
    return {
        "columns": columns,
        "primary_key": list(table.key),
        "write_disposition": {"disposition": "merge", "strategy": strategy},
    }


def _arrow(table: Table, rows: Rows) -> Any:
    """The same rows as an Arrow table, which spares them dlt's row by row normalization."""
    import pyarrow as pa

    arrays = []
    for column in table.columns:
        values = [row.get(column.name) for row in rows]
        if column.type in {Type.TIMESTAMP, Type.DATE}:
            kind = pa.date32() if column.type is Type.DATE else pa.timestamp("us", tz="UTC")
            arrays.append(pa.array(values, type=pa.string()).cast(kind))
        else:
            arrays.append(pa.array(values, type=_ARROW[column.type](pa)))
    return pa.Table.from_arrays(arrays, names=[column.name for column in table.columns])


_ARROW = {
    Type.TEXT: lambda pa: pa.string(),
    Type.JSON: lambda pa: pa.string(),
    Type.INTEGER: lambda pa: pa.int64(),
    Type.SMALLINT: lambda pa: pa.int64(),
    Type.FLOAT: lambda pa: pa.float64(),
    Type.BOOLEAN: lambda pa: pa.bool_(),
}


def row_counts(url: str, names: list[str]) -> dict[str, int]:
    """How many rows dlt's tables hold."""
    if url.startswith("sqlite"):
        # A dataset is a file of its own beside the one of the URL.
        file = Path(url.removeprefix("sqlite:///"))
        engine = sa.create_engine(f"sqlite:///{file.with_name(f'{file.stem}__{DATASET}{file.suffix}')}")
        prefix = ""
    else:
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=sa.NullPool)
        prefix = f"{DATASET}."
    there = set(sa.inspect(engine).get_table_names(schema=prefix.removesuffix(".") or None))
    with engine.connect() as connection:
        return {
            name: int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {prefix}{name}").scalar_one())
            if name in there
            else 0
            for name in names
        }
