"""Snapshot tables on PostgreSQL, in partitions of a month: made when the first night of the month comes in.

A table of an older warehouse, which has none, goes on as it is. A partition that an administrator made is used where
it covers the month, and never removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

import sqlalchemy as sa

_OVERLAPS = {"42P17", "23514"}
"""What attaching says where another partition has the month, or the default one holds rows of it."""


def partition_name(table: str, day: date) -> str:
    """The partition that rows of a date go to, such as ``results_2026_03``."""
    return f"{table}_{day:%Y_%m}"


def make_room(connection: sa.Connection, table: sa.Table, day: date) -> bool:
    """See that a partitioned table has a partition for a date; other tables are left alone. Whether one was made.

    It is made as a table of its own and then attached, which keeps neither readers nor writers out.
    """
    if not is_partitioned(connection, table):
        return False
    name = partition_name(table.name, day)
    if name in _partitions(connection, table):
        return False
    parent, partition = _quoted(connection, table.name, table.schema), _quoted(connection, name, table.schema)
    first, following = _month(day)
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"CREATE TABLE {partition} (LIKE {parent} INCLUDING DEFAULTS)")
            connection.exec_driver_sql(
                f"COMMENT ON TABLE {partition} IS 'Rows of {table.name} of {first:%Y-%m}; query {table.name} instead.'"
            )
            connection.exec_driver_sql(
                f"ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES FROM ('{first}') TO ('{following}')"
            )
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _OVERLAPS:
            raise
        return False
    return True


def gather_statistics(connection: sa.Connection, table: sa.Table) -> None:
    """Look at a partitioned table as a whole, which queries over months are planned by: autovacuum never does."""
    connection.exec_driver_sql(f"ANALYZE {_quoted(connection, table.name, table.schema)}")


def old_partitions(connection: sa.Connection, table: sa.Table, before: date) -> Iterator[sa.Table]:
    """The partitions of which every date is before ``before``."""
    for name in sorted(_partitions(connection, table)):
        month = re.fullmatch(re.escape(table.name) + r"_(\d{4})_(\d\d)", name)
        if month is not None and _month(date(int(month[1]), int(month[2]), 1))[1] <= before:
            yield sa.Table(name, sa.MetaData(schema=table.schema))


def is_partitioned(connection: sa.Connection, table: sa.Table) -> bool:
    """Whether PostgreSQL has this table in partitions."""
    if connection.dialect.name != "postgresql":
        return False
    query = sa.text("SELECT relkind = 'p' FROM pg_class WHERE oid = CAST(:name AS regclass)")
    return bool(connection.scalar(query, {"name": _quoted(connection, table.name, table.schema)}))


def _partitions(connection: sa.Connection, table: sa.Table) -> set[str]:
    query = sa.text(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = CAST(:name AS regclass)"
    )
    return set(connection.scalars(query, {"name": _quoted(connection, table.name, table.schema)}))


def _month(day: date) -> tuple[date, date]:
    """The first day of its month, and of the following one."""
    first = day.replace(day=1)
    return first, (first.replace(month=first.month + 1) if first.month < 12 else date(first.year + 1, 1, 1))


def _quoted(connection: sa.Connection, name: str, schema: str | None) -> str:
    return connection.dialect.identifier_preparer.format_table(sa.Table(name, sa.MetaData(schema=schema)))
