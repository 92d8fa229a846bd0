"""The ledger: what loads record of themselves, and the queries on it.

Functions that take a connection are part of a load; :class:`Ledger` is for everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import TABLES
from drillster_pipeline.tables.schema import Table, bookkeeping, boolean, integer, key, text, timestamp

from .load_plan import LoadPlan, TableReport
from .model import Tables

LOAD_EXCEPTIONS = bookkeeping(
    "load_exceptions",
    "What a complete load could not observe: that these rows are missing from it does not mean that they are gone. "
    "Kept so that an older load that is merged later ends in the same state.",
    key("load_id", "The load.", references="loads.load_id"),
    text("table_name", "The table.", in_key=True, nullable=False),
    integer("exception_number", "Number within its load and table, from 1.", in_key=True, nullable=False),
    text(
        "scope",
        "'group': the rows of a group that was closed; 'row': one row, which was rejected; 'mentioned': accounts "
        "that are only referenced.",
        nullable=False,
    ),
    text("value", "The group, or the key of the row; NULL where the scope needs none.", personal=True),
)

VIEW_DEFINITIONS = bookkeeping(
    "view_definitions",
    "The definition that each view was last made with. Databases rewrite definitions, so this is how a new "
    "version of the program finds which views it must renew.",
    text("view_name", "The view.", in_key=True, nullable=False),
    text("definition", "The statement that made it.", nullable=False),
)

ERASURES = bookkeeping(
    "erasures",
    "Every erasure of a person from warehouse and archive (`drillster-pipeline forget`).",
    key("erasure_id", "The erasure."),
    text("account_digest", "SHA-256 of the account id, in hex: proves that it was this account.", nullable=False),
    timestamp("erased_at", "When.", nullable=False),
    integer("rows_erased", "Rows of the warehouse that were deleted."),
    integer("archive_lines", "Archived responses that were changed or removed."),
    text("program_version", "The version of this program that did it."),
)

READER_LOGINS = bookkeeping(
    "reader_logins",
    "Who reads through a login of PostgreSQL that has the role of team leads (`drillster-pipeline grants`). Only the "
    "owner writes it, by hand.",
    text("login", "The login.", in_key=True, nullable=False),
    text(
        "account_id",
        "The account of the person whose login it is; NULL for an application.",
        joins="accounts.account_id",
    ),
    boolean(
        "is_trusted",
        "True: an application that says for whom it reads, by the session setting drillster.account_id.",
        nullable=False,
    ),
)

CONTRACT: dict[str, Table] = TABLES | {
    table.name: table for table in (ERASURES, LOAD_EXCEPTIONS, VIEW_DEFINITIONS, READER_LOGINS)
}
"""Every table that the database has, parents before children."""

GROUP, ROW, REFERENCED = "group", "row", "mentioned"
"""Scopes of what a load could not observe."""


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The ledger when a load begins. It saves statements: empty tables are not queried.

    A run of a date after the newest one, and the first run of all, take a third of the statements of one in between.
    """

    empty_tables: frozenset[str]
    """Tables without a row, where this is the first load of all."""
    has_date: bool
    """Whether the date was loaded before."""
    has_later: bool
    """Whether a later date was."""


def read_state(connection: sa.Connection, tables: Tables, names: Collection[str], export_date: date) -> LedgerState:
    """Read the ledger, and before the first load the tables themselves, which others may have filled."""
    dates = tables("loads").c.export_date
    flags = [sa.func.max(sa.case((condition, 1), else_=0)) for condition in (dates == export_date, dates > export_date)]
    count, has_date, has_later = connection.execute(sa.select(sa.func.count(), *flags)).one()
    if count:
        return LedgerState(frozenset(), has_date=bool(has_date), has_later=bool(has_later))
    known = [name for name in CONTRACT if name in names]
    filled = [sa.case((sa.select(sa.literal(1)).select_from(tables(name)).exists(), 1), else_=0) for name in known]
    found = connection.execute(sa.select(*filled)).one() if known else ()
    empty = frozenset(name for name, is_filled in zip(known, found, strict=True) if not is_filled)
    return LedgerState(empty, has_date=False, has_later=False)


def is_complete_load(loads: sa.FromClause) -> sa.ColumnElement[Any]:
    """Whether a load is complete; one of a version that did not record it where all tables had been selected."""
    return sa.func.coalesce(loads.c.is_complete, loads.c.is_whole, sa.true()).is_(sa.true())


def is_full_table(load_tables: sa.FromClause) -> sa.ColumnElement[Any]:
    """Whether a load has all of a table; one of a version that did not record it where its read was complete."""
    return sa.func.coalesce(load_tables.c.is_fully_loaded, load_tables.c.is_complete).is_(sa.true())


def newest_complete_loads(tables: Tables) -> sa.Subquery:
    """The newest complete load of each kind that has one, and the newest date of any load of its kind."""
    loads = tables("loads")
    complete = sa.case((is_complete_load(loads), 1), else_=0)
    newest_first = (complete.desc(), loads.c.export_date.desc(), loads.c.finished_at.desc(), loads.c.load_id)
    ranked = sa.select(
        *(loads.c[name] for name in ("kind", "load_id", "export_date", "finished_at", "requests_refused")),
        complete.label("complete"),
        sa.func.row_number().over(partition_by=loads.c.kind, order_by=newest_first).label("place"),
        sa.func.max(loads.c.export_date).over(partition_by=loads.c.kind).label("newest_export_date"),
    ).subquery("ranked")
    return sa.select(ranked).where(ranked.c.place == 1, ranked.c.complete == 1).subquery("newest")


def never_loaded(connection: sa.Connection, tables: Tables, plan: LoadPlan) -> bool:
    """Whether there are loads of earlier dates, and none of them has any of the tables that ``plan`` could not read."""
    loads, load_tables = map(tables, ("loads", "load_tables"))
    of_load = sa.and_(load_tables.c.load_id == loads.c.load_id, load_tables.c.table_name.in_(plan.unread))
    query = (
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(sa.case((is_full_table(load_tables), 1), else_=0)), 0))
        .join_from(loads, load_tables, of_load, isouter=True)
        .where(loads.c.kind == plan.kind, loads.c.export_date < plan.export_date)
    )
    earlier, full = connection.execute(query).one()
    return bool(earlier) and not full


def last_unloaded(connection: sa.Connection, tables: Tables, table: str, kind: str, before: date) -> date | None:
    """The newest date before ``before`` that was never loaded, though an older one was; None: there is no gap."""
    loads, load_tables = map(tables, ("loads", "load_tables"))
    query = (
        sa.select(loads.c.export_date)
        .distinct()
        .join(load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(load_tables.c.table_name == table, loads.c.kind == kind, loads.c.export_date < before)
        .order_by(loads.c.export_date.desc())
    )
    expected = before
    for (loaded,) in connection.execute(query):
        expected -= timedelta(days=1)
        if loaded != expected:
            return expected
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLoad(TableReport):
    """What one load did to one table."""

    load_id: str
    kind: str
    export_date: date
    finished_at: datetime
    is_complete: bool

    @property
    def rows(self) -> int:
        """Rows of the responses that are in the table."""
        return self.rows_inserted + self.rows_updated + self.rows_unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveLoad:
    """The load of a kind and date that counts: the one merged last."""

    kind: str
    export_date: date
    finished_at: datetime
    rows_read: int
    rows_rejected: int
    is_complete: bool
    """As the ledger has it; see ``loads.is_complete``."""


class Ledger:
    """Reads the ledger. ``reading`` gives a connection for one query."""

    def __init__(
        self, reading: Callable[[], AbstractContextManager[tuple[sa.Connection, Tables]]], tables: Tables
    ) -> None:
        self._reading = reading
        self._tables = tables
        self._loads, self._load_tables = tables("loads"), tables("load_tables")

    def _read(self, query: sa.sql.expression.Executable) -> list[Any]:
        with self._reading() as (connection, _):
            return list(connection.execute(query))

    def latest_loads(self) -> dict[str, sa.Row[Any]]:
        """The newest complete load of each kind (``snapshot``, ``events``) that has one, as the query gives it."""
        return {row.kind: row for row in self._read(sa.select(newest_complete_loads(self._tables)))}

    def is_loaded(self, capture_id: str) -> bool:
        """Whether a capture was loaded."""
        return bool(self._read(sa.select(self._loads.c.load_id).where(self._loads.c.capture_id == capture_id).limit(1)))

    def complete_dates(self) -> set[tuple[date, str]]:
        """The export dates and kinds of which all tables were loaded."""
        loads = self._loads
        query = sa.select(loads.c.export_date, loads.c.kind).where(loads.c.is_whole.is_not(sa.false())).distinct()
        return {(row[0], row[1]) for row in self._read(query)}

    def count_dates(self) -> int:
        """Of how many dates there is a load."""
        return int(self._read(sa.select(sa.func.count(sa.distinct(self._loads.c.export_date))))[0][0])

    def last_date_before(self, kind: str, export_date: date) -> date | None:
        """The newest date before this one of which there is a load of the kind; None where there is none."""
        loads = self._loads
        newest = sa.select(sa.func.max(loads.c.export_date))
        found: date | None = self._read(newest.where(loads.c.kind == kind, loads.c.export_date < export_date))[0][0]
        return found

    def last_reads_before(self, kind: str, export_date: date) -> dict[str, date]:
        """Per table, the newest date before this one on which it was loaded in its own right.

        That is by a load of all tables, or where it was selected itself: a load of other tables only ever adds to it.
        """
        loads, load_tables = self._loads, self._load_tables
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
        return {row[0]: row[1] for row in self._read(query)}

    def effective_loads(self, limit: int, *, is_current: bool = True) -> list[EffectiveLoad]:
        """The loads that count, the newest date first; of at most ``limit`` dates.

        ``is_current``: whether the ledger has the columns of this version; without them all loads count as complete.
        """
        loads, load_tables = self._loads, self._load_tables
        newest = sa.select(loads.c.export_date).distinct().order_by(loads.c.export_date.desc()).limit(limit).subquery()
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
        shown = [ranked.c[name] for name in ("kind", "export_date", "finished_at", "is_complete")]
        sums = [
            sa.cast(sa.func.coalesce(sa.func.sum(load_tables.c[name]), 0), sa.BigInteger).label(name)
            for name in ("rows_read", "rows_rejected")
        ]
        query = (
            sa.select(*shown, *sums)
            .select_from(ranked.outerjoin(load_tables, load_tables.c.load_id == ranked.c.load_id))
            .where(ranked.c.place == 1)
            .group_by(ranked.c.load_id, *shown)
            .order_by(ranked.c.export_date.desc(), ranked.c.kind.desc())
        )
        rows = (row._asdict() for row in self._read(query))
        return [EffectiveLoad(**row | {"is_complete": bool(row["is_complete"])}) for row in rows]

    def table_loads(self, kind: str, export_date: date, limit: int) -> dict[str, list[TableLoad]]:
        """Per table, the last load of each of the newest dates up to this one, the newest date first.

        A complete read of the table counts before one that only added to it, as a load of other tables does.
        """
        loads, load_tables = self._loads, self._load_tables
        dates = sa.select(loads.c.export_date).distinct().where(loads.c.kind == kind)
        newest = dates.where(loads.c.export_date <= export_date).order_by(loads.c.export_date.desc()).limit(limit)
        of_load = ("load_id", "kind", "export_date", "finished_at")
        of_table = [each.name for each in fields(TableLoad) if each.name not in of_load]
        query = (
            sa.select(load_tables.c.table_name, *(loads.c[name] for name in of_load))
            .add_columns(*(load_tables.c[name] for name in of_table))
            .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
            .where(loads.c.kind == kind, loads.c.export_date.in_([row[0] for row in self._read(newest)]))
            # The one that counts comes last.
            .order_by(load_tables.c.is_complete, loads.c.finished_at, loads.c.load_id.desc())
        )
        found: dict[str, dict[date, TableLoad]] = {}
        for name, *values in self._read(query):
            load = TableLoad(**dict(zip([*of_load, *of_table], values, strict=True)))
            found.setdefault(name, {})[load.export_date] = load
        return {name: [of_dates[each] for each in sorted(of_dates, reverse=True)] for name, of_dates in found.items()}

    def reject_reasons(self, load_id: str) -> dict[str, list[tuple[str, int]]]:
        """Per table, why rows of a load were rejected and how many for each reason, the most frequent first."""
        rejected, number = self._tables("rejected_rows"), sa.func.count()
        query = (
            sa.select(rejected.c.table_name, rejected.c.reason, number)
            .where(rejected.c.load_id == load_id)
            .group_by(rejected.c.table_name, rejected.c.reason)
            .order_by(rejected.c.table_name, number.desc(), rejected.c.reason)
        )
        found: dict[str, list[tuple[str, int]]] = {}
        for name, reason, rows in self._read(query):
            found.setdefault(name, []).append((reason, int(rows)))
        return found
