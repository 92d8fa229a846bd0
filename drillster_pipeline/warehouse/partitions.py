"""Snapshot tables on PostgreSQL, in partitions of a month: made when the first night of the month comes in.

A table of an older warehouse, which has none, goes on as it is. A partition that an administrator made is used where
it covers the month, and never removed.

A partition is made as a table of its own, and attached once that first night is in it: its indexes are then built
from all rows at once, in half the time that adding each row to them takes. All of it is part of the transaction that
publishes, and keeps neither readers nor writers out. Only where there is a default partition, which attaching closes
to readers while it is searched, the new one is attached before that transaction, and empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import sqlalchemy as sa

_OVERLAPS = {"42P17", "23514"}
"""What attaching says where another partition has the month, or the default one holds rows of it."""


def partition_name(table: str, day: date) -> str:
    """The partition that rows of a date go to, such as ``results_2026_03``."""
    return f"{table}_{day:%Y_%m}"


def make_room(connection: sa.Connection, table: sa.Table, day: date) -> bool:
    """Beside a default partition, see that there is one for a date; whether one was made."""
    if (
        not is_partitioned(connection, table)
        or not _has_default(connection, table)
        or not _is_new(connection, table, day)
    ):
        return False
    try:
        with connection.begin_nested():
            _create(connection, table, day)
            _attach(connection, table, day)
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _OVERLAPS:
            raise
        return False
    return True


@contextmanager
def room(connection: sa.Connection, table: sa.Table, day: date) -> Iterator[sa.Table]:
    """Where to insert all rows of a date of which there are none: a new partition, or the table itself.

    A new one is part of the table when the context ends.
    """
    if not _wants_partition(connection, table, day):
        yield table
        return
    _create(connection, table, day)
    partition = table.to_metadata(sa.MetaData(), name=partition_name(table.name, day))
    yield partition
    _attach(connection, table, day)


def _wants_partition(connection: sa.Connection, table: sa.Table, day: date) -> bool:
    if not is_partitioned(connection, table) or _has_default(connection, table) or not _is_new(connection, table, day):
        return False
    # Whether an administrator's partition has the month is known to the server, which tells when it is asked to attach.
    trial = connection.begin_nested()
    try:
        _create(connection, table, day)
        _attach(connection, table, day)
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _OVERLAPS:
            raise
        return False
    finally:
        trial.rollback()
    return True


def _is_new(connection: sa.Connection, table: sa.Table, day: date) -> bool:
    return partition_name(table.name, day) not in _partitions(connection, table)


def _create(connection: sa.Connection, table: sa.Table, day: date) -> None:
    name = partition_name(table.name, day)
    parent, partition = _quoted(connection, table.name, table.schema), _quoted(connection, name, table.schema)
    connection.exec_driver_sql(f"CREATE TABLE {partition} (LIKE {parent} INCLUDING DEFAULTS)")
    connection.exec_driver_sql(
        f"COMMENT ON TABLE {partition} IS 'Rows of {table.name} of {day:%Y-%m}; query {table.name} instead.'"
    )


def _attach(connection: sa.Connection, table: sa.Table, day: date) -> None:
    name = partition_name(table.name, day)
    parent, partition = _quoted(connection, table.name, table.schema), _quoted(connection, name, table.schema)
    first, following = _month(day)
    connection.exec_driver_sql(
        f"ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES FROM ('{first}') TO ('{following}')"
    )


def gather_statistics(connection: sa.Connection, table: sa.Table) -> None:
    """Look at a partitioned table as a whole, which queries over months are planned by: autovacuum never does.

    At the columns that rows are joined and sought by; all of them would take four times as long.
    """
    quote = connection.dialect.identifier_preparer.quote
    sought = {*table.primary_key.columns, *(column for index in table.indexes for column in index.columns)}
    names = ", ".join(quote(column.name) for column in table.columns if column in sought)
    connection.exec_driver_sql(f"ANALYZE {_quoted(connection, table.name, table.schema)} ({names})")


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


def _has_default(connection: sa.Connection, table: sa.Table) -> bool:
    query = sa.text("SELECT partdefid <> 0 FROM pg_partitioned_table WHERE partrelid = CAST(:name AS regclass)")
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
