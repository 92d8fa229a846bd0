"""Old snapshots taken out of the warehouse, where somebody wants that: by default they are kept for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import sqlalchemy as sa

from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Kind

from .dialects import BEGIN_OPTION, dialect_of
from .model import Tables


def drop_snapshots(
    connection: sa.Connection, tables: Tables, before: date, *, sleep: Callable[[float], None]
) -> dict[str, int]:
    """Remove the rows of dates before ``before`` from every snapshot table; returns how many rows of each.

    A table in partitions loses whole months, in no time and with its space; its remaining old dates go with the rest
    of their month. Any other loses date after date. Each is a transaction of its own. The caller holds the writer
    lock.
    """
    dropped: dict[str, int] = {}
    for name, declared in DATA_TABLES.items():
        if declared.kind is Kind.SNAPSHOT:
            dropped[name] = _drop(connection, tables(name), before, sleep)
    return {name: count for name, count in dropped.items() if count}


def _drop(connection: sa.Connection, table: sa.Table, before: date, sleep: Callable[[float], None]) -> int:
    removed = dialect_of(connection).drop_partitions(connection, table, before, sleep)
    if removed is not None:
        return removed
    removed = 0
    connection.execution_options(**{BEGIN_OPTION: "IMMEDIATE"})
    while True:
        with connection.begin():
            oldest = connection.scalar(sa.select(sa.func.min(table.c.export_date)))
            if oldest is None or oldest >= before:
                return removed
            removed += connection.execute(sa.delete(table).where(table.c.export_date == oldest)).rowcount
