"""What the ledger and the tables say of themselves: for checks, status and the console."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from .ledger import is_complete_load
from .model import Tables

__all__ = [
    "LatestLoad",
    "Loaded",
    "TableLoad",
    "Tables",
    "latest_loads",
    "nights",
    "read_before",
    "row_counts",
    "rows_on",
    "table_history",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestLoad:
    """The newest complete load of a kind: that of the newest date, and of those the one published last."""

    kind: str
    load_id: str
    export_date: date
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLoad:
    """What one load did to one table."""

    load_id: str
    kind: str
    export_date: date
    finished_at: datetime
    rows_read: int
    rows_rejected: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    rows_unchanged: int
    is_complete: bool

    @property
    def rows(self) -> int:
        """Rows of the answers that are in the table."""
        return self.rows_inserted + self.rows_updated + self.rows_unchanged


def latest_loads(connection: sa.Connection, tables: Tables) -> dict[str, LatestLoad]:
    """The newest complete load of each kind that has one."""
    loads = tables("loads")
    columns = (loads.c.kind, loads.c.load_id, loads.c.export_date, loads.c.finished_at)
    place = sa.func.row_number().over(
        partition_by=loads.c.kind, order_by=(loads.c.export_date.desc(), loads.c.finished_at.desc(), loads.c.load_id)
    )
    ranked = sa.select(*columns, place.label("place")).where(is_complete_load(loads)).subquery()
    newest = sa.select(*(ranked.c[column.name] for column in columns)).where(ranked.c.place == 1)
    return {row["kind"]: LatestLoad(**row) for row in connection.execute(newest).mappings()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The load of a kind and date that counts: the one published last."""

    kind: str
    export_date: date
    finished_at: datetime
    rows_read: int
    rows_rejected: int
    is_complete: bool
    """As the ledger has it; see ``loads.is_complete``."""


def loaded(connection: sa.Connection, tables: Tables, most: int, *, is_current: bool = True) -> list[Loaded]:
    """The loads that count, the newest date first; of at most so many dates.

    ``is_current``: whether the ledger has the columns of this version; without them all loads are taken for complete.
    """
    loads, load_tables = tables("loads"), tables("load_tables")
    newest = sa.select(loads.c.export_date).distinct().order_by(loads.c.export_date.desc()).limit(most).subquery()
    place = sa.func.row_number().over(
        partition_by=(loads.c.kind, loads.c.export_date), order_by=(loads.c.finished_at.desc(), loads.c.load_id)
    )
    complete = sa.case((is_complete_load(loads) if is_current else sa.true(), 1), else_=0).label("is_complete")
    columns = (loads.c.load_id, loads.c.kind, loads.c.export_date, loads.c.finished_at, complete)
    ranked = (
        sa.select(*columns, place.label("place"))
        .where(loads.c.export_date >= sa.select(sa.func.min(newest.c.export_date)).scalar_subquery())
        .subquery()
    )
    query = (
        sa.select(
            ranked.c.kind,
            ranked.c.export_date,
            ranked.c.finished_at,
            sa.func.coalesce(sa.func.sum(load_tables.c.rows_read), 0).label("rows_read"),
            sa.func.coalesce(sa.func.sum(load_tables.c.rows_rejected), 0).label("rows_rejected"),
            sa.func.max(ranked.c.is_complete).label("is_complete"),
        )
        .select_from(ranked.outerjoin(load_tables, load_tables.c.load_id == ranked.c.load_id))
        .where(ranked.c.place == 1)
        .group_by(ranked.c.load_id, ranked.c.kind, ranked.c.export_date, ranked.c.finished_at)
        .order_by(ranked.c.export_date.desc(), ranked.c.kind.desc())
    )
    return [
        Loaded(
            kind=row["kind"],
            export_date=row["export_date"],
            finished_at=row["finished_at"],
            rows_read=int(row["rows_read"]),
            rows_rejected=int(row["rows_rejected"]),
            is_complete=bool(row["is_complete"]),
        )
        for row in connection.execute(query).mappings()
    ]


def published(connection: sa.Connection, tables: Tables) -> set[tuple[date, str]]:
    """The export dates and kinds of which there is a complete load."""
    loads = tables("loads")
    query = sa.select(loads.c.export_date, loads.c.kind).where(loads.c.is_whole.is_not(sa.false())).distinct()
    return {(row[0], row[1]) for row in connection.execute(query)}


def count_dates(connection: sa.Connection, tables: Tables) -> int:
    """Of how many dates there is a load."""
    loads = tables("loads")
    return int(connection.scalar(sa.select(sa.func.count(sa.distinct(loads.c.export_date)))) or 0)


def loaded_before(connection: sa.Connection, tables: Tables, kind: str, export_date: date) -> date | None:
    """The newest date before this one of which there is a load of the kind; None where there is none."""
    loads = tables("loads")
    query = sa.select(sa.func.max(loads.c.export_date)).where(loads.c.kind == kind, loads.c.export_date < export_date)
    return connection.execute(query).scalar_one()  # type: ignore[no-any-return]  # of a column of dates


def read_before(connection: sa.Connection, tables: Tables, kind: str, export_date: date) -> dict[str, date]:
    """Per table, the newest date before this one on which it was loaded in its own right.

    That is by a whole load, or where it was selected itself: a load of other tables may touch it, but only ever adds.
    """
    loads, load_tables = tables("loads"), tables("load_tables")
    query = (
        sa.select(load_tables.c.table_name, sa.func.max(loads.c.export_date))
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(
            loads.c.kind == kind,
            loads.c.export_date < export_date,
            sa.or_(loads.c.is_whole.is_not(sa.false()), load_tables.c.is_complete.is_(sa.true())),
        )
        .group_by(load_tables.c.table_name)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def row_counts(connection: sa.Connection, tables: Tables, names: Iterable[str]) -> dict[str, int]:
    """How many rows each table has, rows marked deleted included."""
    return {
        name: int(connection.execute(sa.select(sa.func.count()).select_from(tables(name))).scalar_one())
        for name in names
    }


def rows_on(connection: sa.Connection, tables: Tables, name: str, export_date: date) -> int:
    """How many rows a snapshot table has of a date."""
    table = tables(name)
    query = sa.select(sa.func.count()).select_from(table).where(table.c.export_date == export_date)
    return int(connection.execute(query).scalar_one())


def table_history(connection: sa.Connection, tables: Tables, name: str, limit: int) -> list[TableLoad]:
    """What the newest loads did to a table, the newest first."""
    query = _table_loads(tables).where(tables("load_tables").c.table_name == name).limit(limit)
    return [TableLoad(**row) for row in connection.execute(query).mappings()]


def nights(
    connection: sa.Connection, tables: Tables, kind: str, export_date: date, limit: int
) -> dict[str, list[TableLoad]]:
    """Per table, the last load of each of the newest dates up to this one, the newest date first.

    One that read the table whole counts before one that only added to it, as a load of other tables does.
    """
    loads, load_tables = tables("loads"), tables("load_tables")
    dates = (
        sa.select(loads.c.export_date)
        .distinct()
        .where(loads.c.kind == kind, loads.c.export_date <= export_date)
        .order_by(loads.c.export_date.desc())
        .limit(limit)
    )
    wanted = list(connection.scalars(dates))
    query = _table_loads(tables).add_columns(load_tables.c.table_name)
    found: dict[str, dict[date, TableLoad]] = {}
    for row in connection.execute(query.where(loads.c.kind == kind, loads.c.export_date.in_(wanted))).mappings():
        load = TableLoad(**{name: value for name, value in row.items() if name != "table_name"})
        of_dates = found.setdefault(row["table_name"], {})
        known = of_dates.get(load.export_date)
        if known is None or (load.is_complete and not known.is_complete):
            of_dates[load.export_date] = load
    return {name: list(of_dates.values()) for name, of_dates in found.items()}


def _table_loads(tables: Tables) -> sa.Select[Any]:
    loads, load_tables = tables("loads"), tables("load_tables")
    return (
        sa.select(
            loads.c.load_id,
            loads.c.kind,
            loads.c.export_date,
            loads.c.finished_at,
            load_tables.c.rows_read,
            load_tables.c.rows_rejected,
            load_tables.c.rows_inserted,
            load_tables.c.rows_updated,
            load_tables.c.rows_deleted,
            load_tables.c.rows_unchanged,
            load_tables.c.is_complete,
        )
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .order_by(loads.c.export_date.desc(), loads.c.finished_at.desc(), loads.c.load_id)
    )
