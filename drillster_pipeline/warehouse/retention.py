"""Old snapshots taken out of the warehouse, where somebody wants that: by default they are kept for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import sqlalchemy as sa

from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Kind

from .engine import BEGIN_OPTION
from .ledger_queries import Tables
from .partitions import is_partitioned, old_partitions

LOCK_WAIT = "250ms"
"""How long dropping a partition waits for a lock, while later queries wait behind it: for each of two, its own and the
table's. A query that is in the way longer is waited for without one."""
ATTEMPTS, PAUSE_SECONDS = 10, 3.0
_IN_THE_WAY = {"55P03", "40P01"}


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
    with connection.begin():
        partitions = list(old_partitions(connection, table, before)) if is_partitioned(connection, table) else None
    if partitions is not None:
        return sum(_drop_partition(connection, partition, sleep) for partition in partitions)
    removed = 0
    connection.execution_options(**{BEGIN_OPTION: "IMMEDIATE"})
    while True:
        with connection.begin():
            oldest = connection.scalar(sa.select(sa.func.min(table.c.export_date)))
            if oldest is None or oldest >= before:
                return removed
            removed += connection.execute(sa.delete(table).where(table.c.export_date == oldest)).rowcount


def _drop_partition(connection: sa.Connection, partition: sa.Table, sleep: Callable[[float], None]) -> int:
    with connection.begin():
        rows = int(connection.execute(sa.select(sa.func.count()).select_from(partition)).scalar_one())
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.begin():
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
                connection.execute(sa.schema.DropTable(partition))
            break
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _IN_THE_WAY or attempt == ATTEMPTS:
                raise
            sleep(PAUSE_SECONDS)
    return rows
