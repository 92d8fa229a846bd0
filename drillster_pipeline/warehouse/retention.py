"""Old snapshots taken out of the warehouse, where somebody wants that: by default they are kept for ever."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa

from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Kind

from .engine import BEGIN_OPTION
from .history import Tables
from .partitions import is_partitioned, old_partitions

LOCK_WAIT = "1s"
"""How long removing a partition waits for queries in its way, while later queries wait behind it."""


def drop_snapshots(connection: sa.Connection, tables: Tables, before: date) -> dict[str, int]:
    """Remove the rows of dates before ``before`` from every snapshot table; returns how many rows of each.

    A table in partitions loses whole months, in no time and with its space; its remaining old dates go with the rest
    of their month. Any other loses date after date, a transaction each. The caller holds the writer lock.
    """
    dropped: dict[str, int] = {}
    for name, declared in DATA_TABLES.items():
        if declared.kind is Kind.SNAPSHOT:
            dropped[name] = _drop(connection, tables(name), before)
    return {name: count for name, count in dropped.items() if count}


def _drop(connection: sa.Connection, table: sa.Table, before: date) -> int:
    with connection.begin():
        if is_partitioned(connection, table):
            return _drop_partitions(connection, table, before)
    removed = 0
    connection.execution_options(**{BEGIN_OPTION: "IMMEDIATE"})
    while True:
        with connection.begin():
            oldest = connection.scalar(sa.select(sa.func.min(table.c.export_date)))
            if oldest is None or oldest >= before:
                return removed
            removed += connection.execute(sa.delete(table).where(table.c.export_date == oldest)).rowcount


def _drop_partitions(connection: sa.Connection, table: sa.Table, before: date) -> int:
    removed = 0
    for partition in list(old_partitions(connection, table, before)):
        removed += int(connection.execute(sa.select(sa.func.count()).select_from(partition)).scalar_one())
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        connection.execute(sa.schema.DropTable(partition))
    return removed
