"""Snapshot tables on PostgreSQL, in partitions of a month, each attached before the month's first load is published.

A partition is attached empty, in a transaction of its own. That takes no lock that readers wait for, and a query that
begins after it reads the rows as soon as it reads the load in the ledger. A query that is being planned meanwhile may
not know the partition, though it reads what is committed when its plan is ready: the load waits for queries of that
moment. A default partition is the exception: PostgreSQL locks it against readers while it searches it for rows of the
month, so where a query is in the way for longer than DEFAULT_LOCK_WAIT, the rows go to the default partition.

A table of an older warehouse, which has no partitions, stays as it is. A partition that an administrator made is used
where it covers the date, and never removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import sqlalchemy as sa

from drillster_pipeline.errors import Refused

from .dialects import plain, quoted
from .reads import count_rows

_OVERLAPS, _DEFAULT_IN_THE_WAY = "42P17", ("23514", "55P03")
"""What attaching says where partitions have other days of the month, or the default one rows of it or a reader."""
_ANALYZES_ONLY = (18,)
"""The PostgreSQL from which on a partitioned table can be analyzed without its partitions."""
DEFAULT_LOCK_WAIT = "500ms"
"""How long attaching waits for queries on the default partition, while later queries wait behind it."""
PLANNING_CHECKS, PLANNING_PAUSE_SECONDS = 20, 0.05
"""How often, and how far apart, a load looks whether queries from before a new partition are over: to plan one takes
milliseconds, or tenths of a second on a busy server, and one that runs for longer was planned long ago."""
DROP_LOCK_WAIT = "250ms"
"""How long dropping a partition waits for a lock, while later queries wait behind it: for each of two, its own and the
table's. A query that is in the way longer is waited for without one."""
DROP_ATTEMPTS, DROP_PAUSE_SECONDS = 10, 3.0
_IN_THE_WAY = {"55P03", "40P01"}


def ensure_partition(connection: sa.Connection, table: sa.Table, day: date) -> bool:
    """Attach an empty partition for the month of a date, unless one covers the date; whether one was attached.

    Raises Refused where no partition covers the date and none can be made.
    """
    has_default = _has_default(connection, table)
    if has_default is None or _is_covered(connection, table, day):
        return False
    try:
        with connection.begin_nested():
            if has_default:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{DEFAULT_LOCK_WAIT}'")
            _attach_new(connection, table, day)
    except sa.exc.DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if has_default and state in {_OVERLAPS, *_DEFAULT_IN_THE_WAY}:
            return False
        if state != _OVERLAPS:
            raise
        raise Refused(
            f"No partition of {table.name} has {day}, and one of its month can't be made, for partitions that are not "
            f"of this program have other days of it. Make one: CREATE TABLE … PARTITION OF "
            f"{quoted(connection, table.name, table.schema)} FOR VALUES FROM ('{day}') TO "
            f"('{day + timedelta(days=1)}'), or as far as there is room"
        ) from None
    return True


def _is_covered(connection: sa.Connection, table: sa.Table, day: date) -> bool:
    """Whether a partition covers the date, a default one left out; by the server's own words for what it takes."""
    query = sa.text(
        "SELECT pg_get_partition_constraintdef(c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = CAST(:name AS regclass) AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'"
    )
    bounds = list(connection.scalars(query, {"name": _as_value(connection, table)}))
    takes = " OR ".join(f"({bound})" for bound in bounds) or "false"
    of_day = f"SELECT {takes} FROM (SELECT date '{day}' AS export_date) AS days"  # noqa: S608 (the server's own text)
    return bool(connection.exec_driver_sql(of_day).scalar())


def _attach_new(connection: sa.Connection, table: sa.Table, day: date) -> None:
    name = f"{table.name}_{day:%Y_%m}"
    parent, partition = quoted(connection, table.name, table.schema), quoted(connection, name, table.schema)
    attach = f"ALTER TABLE {parent} ATTACH PARTITION {partition} {_bounds(day)}"
    if connection.scalar(sa.text("SELECT to_regclass(:name) IS NOT NULL"), {"name": plain(partition)}):
        raise Refused(
            f"{table.name} needs a partition {name}, and something of that name is there that is not the partition of "
            f"the month (was it detached?). Attach it again ({attach}) or rename it, and run again"
        )
    # Not CREATE TABLE … PARTITION OF, which locks the table against readers.
    connection.exec_driver_sql(
        f"CREATE TABLE {partition} (LIKE {parent} INCLUDING ALL"
        " EXCLUDING INDEXES EXCLUDING IDENTITY EXCLUDING STATISTICS EXCLUDING COMMENTS)"
        + _tablespace(connection, table)
    )
    connection.exec_driver_sql(
        f"COMMENT ON TABLE {partition} IS 'Rows of {table.name} of {day:%Y-%m}; query {table.name} instead.'"
    )
    connection.exec_driver_sql(attach)


def _tablespace(connection: sa.Connection, table: sa.Table) -> str:
    """The tablespace of the table, which new partitions get."""
    query = sa.text(
        "SELECT quote_ident(spcname) FROM pg_class JOIN pg_tablespace s ON s.oid = reltablespace"
        " WHERE pg_class.oid = CAST(:name AS regclass)"
    )
    found = connection.scalar(query, {"name": _as_value(connection, table)})
    return "" if found is None else f" TABLESPACE {found}"


def wait_for_planning(connection: sa.Connection, table: sa.Table, sleep: Callable[[float], None]) -> None:
    """Wait until queries of now have ended, or for a second: they may not know a partition attached just before."""
    query = sa.text(
        "SELECT virtualtransaction FROM pg_locks WHERE relation = CAST(:name AS regclass) AND pid <> pg_backend_pid()"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    name = {"name": _as_value(connection, table)}
    earlier = set(connection.scalars(query, name))
    for _ in range(PLANNING_CHECKS):
        if earlier.isdisjoint(connection.scalars(query, name)):
            break
        sleep(PLANNING_PAUSE_SECONDS)


def gather_statistics(connection: sa.Connection, table: sa.Table) -> None:
    """Gather statistics of a partitioned table itself, by which queries over months are planned: autovacuum never does.

    Of the columns that rows are joined and found by; all of them would take four times as long. The partitions
    themselves are autovacuum's, and PostgreSQL 18 has an option to leave them to it.
    """
    quote = connection.dialect.identifier_preparer.quote
    sought = {*table.primary_key.columns, *(column for index in table.indexes for column in index.columns)}
    names = ", ".join(quote(column.name) for column in table.columns if column in sought)
    only = "ONLY " if (connection.dialect.server_version_info or (0,)) >= _ANALYZES_ONLY else ""
    connection.exec_driver_sql(f"ANALYZE {only}{quoted(connection, table.name, table.schema)} ({names})")


def drop_partitions(
    connection: sa.Connection, table: sa.Table, before: date, sleep: Callable[[float], None]
) -> int | None:
    """Drop partitions of which every date is before ``before``; how many rows that were. None: it has no partitions.

    Each in a transaction of its own, outside of which its rows are counted: dropping takes no time.
    """
    with connection.begin():
        if _has_default(connection, table) is None:
            return None
        old = list(_old_partitions(connection, table, before))
    return sum(_drop(connection, partition, sleep) for partition in old)


def _drop(connection: sa.Connection, partition: sa.Table, sleep: Callable[[float], None]) -> int:
    with connection.begin():
        rows = count_rows(connection, partition)
    for attempt in range(1, DROP_ATTEMPTS + 1):
        try:
            with connection.begin():
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{DROP_LOCK_WAIT}'")
                connection.execute(sa.schema.DropTable(partition))
            break
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _IN_THE_WAY or attempt == DROP_ATTEMPTS:
                raise
            sleep(DROP_PAUSE_SECONDS)
    return rows


def _old_partitions(connection: sa.Connection, table: sa.Table, before: date) -> Iterator[sa.Table]:
    """The partitions of one month, named as this program does, of which every date is before ``before``."""
    query = sa.text(
        "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = CAST(:name AS regclass) ORDER BY 1"
    )
    for name, bounds in connection.execute(query, {"name": _as_value(connection, table)}).all():
        month = re.fullmatch(re.escape(table.name) + r"_(\d{4})_(0[1-9]|1[0-2])", name)
        if month is None:
            continue
        first = date(int(month[1]), int(month[2]), 1)
        # An administrator may have given such a name to a partition of a year.
        if bounds == _bounds(first) and _month(first)[1] <= before:
            yield sa.Table(name, sa.MetaData(schema=table.schema))


def _has_default(connection: sa.Connection, table: sa.Table) -> bool | None:
    """Whether there is a default partition; None: the table is not partitioned."""
    query = sa.text("SELECT partdefid <> 0 FROM pg_partitioned_table WHERE partrelid = CAST(:name AS regclass)")
    found: bool | None = connection.scalar(query, {"name": _as_value(connection, table)})
    return found


def _bounds(day: date) -> str:
    """The bounds of the month of a date, as PostgreSQL writes them."""
    return "FOR VALUES FROM ('{}') TO ('{}')".format(*_month(day))


def _month(day: date) -> tuple[date, date]:
    """The first day of its month, and of the following one."""
    first = day.replace(day=1)
    return first, (first.replace(month=first.month + 1) if first.month < 12 else date(first.year + 1, 1, 1))


def _as_value(connection: sa.Connection, table: sa.Table) -> str:
    """A table for the server's own functions."""
    return plain(quoted(connection, table.name, table.schema))
