"""What loads leave behind of themselves, and the questions that publishing asks of earlier ones."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import TABLES
from drillster_pipeline.tables.schema import Kind, Table, integer, key, text, timestamp

from .load_plan import LoadPlan
from .model import lookup

LOAD_EXCEPTIONS = Table(
    name="load_exceptions",
    kind=Kind.BOOKKEEPING,
    description=(
        "What a complete load could not see all the same: absence of these rows from it does not mean that they are "
        "gone. Kept so that an older load that comes in later ends in the same state."
    ),
    key=("load_id", "table_name", "exception_number"),
    columns=(
        key("load_id", "The load.", references="loads.load_id"),
        text("table_name", "The table.", nullable=False),
        integer("exception_number", "Number of the exception within its load and table, from 1.", nullable=False),
        text(
            "scope",
            "'group': the rows of a group that was closed; 'row': one row, which was rejected; 'mentioned': accounts "
            "that are only known in passing.",
            nullable=False,
        ),
        text("value", "The group, or the key of the row; NULL where the scope needs none.", personal=True),
    ),
)

VIEW_DEFINITIONS = Table(
    name="view_definitions",
    kind=Kind.BOOKKEEPING,
    description=(
        "The definition that each view was last made with. Databases rewrite what they are told, so this is how a new "
        "version of the program sees which views it must renew."
    ),
    key=("view_name",),
    columns=(
        text("view_name", "The view.", nullable=False),
        text("definition", "The statement that made it.", nullable=False),
    ),
)

ERASURES = Table(
    name="erasures",
    kind=Kind.BOOKKEEPING,
    description="Every time that a person was taken out of warehouse and archive (`drillster-pipeline forget`).",
    key=("erasure_id",),
    columns=(
        key("erasure_id", "The erasure."),
        text("account_digest", "SHA-256 of the account id, in hex: proves that it was this account.", nullable=False),
        timestamp("erased_at", "When.", nullable=False),
        integer("rows_erased", "Rows of the warehouse that were deleted."),
        integer("archive_lines", "Archived answers that were changed or removed."),
        text("program_version", "The version of this program that did it."),
    ),
)

CONTRACT: dict[str, Table] = {
    **TABLES,
    ERASURES.name: ERASURES,
    LOAD_EXCEPTIONS.name: LOAD_EXCEPTIONS,
    VIEW_DEFINITIONS.name: VIEW_DEFINITIONS,
}
"""Every table that the database has, parents before children."""

GROUP, ROW, MENTIONED = "group", "row", "mentioned"
"""Scopes of exceptions."""


@dataclass(frozen=True, slots=True)
class Before:
    """What a load finds when it has the writer lock. What this tells, no table needs to be asked.

    A night after the newest one, and the first night of all, then take a third of the statements that a load in
    between takes.
    """

    blank: frozenset[str]
    """Tables without a row, where this is the first load of all."""
    of_date: bool
    """Whether the date was loaded before."""
    later: bool
    """Whether a later date was."""


def look_back(connection: sa.Connection, metadata: sa.MetaData, tables: Collection[str], export_date: date) -> Before:
    """Look at the ledger, and before the first load at the tables themselves: nobody knows where rows came from."""
    target = lookup(metadata)
    dates = target("loads").c.export_date
    flags = [sa.func.max(sa.case((condition, 1), else_=0)) for condition in (dates == export_date, dates > export_date)]
    count, of_date, later = connection.execute(sa.select(sa.func.count(), *flags)).one()
    if count:
        return Before(frozenset(), of_date=bool(of_date), later=bool(later))
    names = [name for name in CONTRACT if name in tables]
    filled = [sa.case((sa.select(sa.literal(1)).select_from(target(name)).exists(), 1), else_=0) for name in names]
    found = connection.execute(sa.select(*filled)).one() if names else ()
    return Before(
        frozenset(name for name, is_filled in zip(names, found, strict=True) if not is_filled),
        of_date=False,
        later=False,
    )


@dataclass(frozen=True, slots=True)
class Later:
    """The first complete read of a table after a date: what ``deleted_on`` of a row last seen on that date is."""

    export_date: date | None
    """The date; None: there is no complete read after it, so nothing says that the row is gone."""
    has_exceptions: bool
    """That read could not see everything, so the answer differs from row to row."""


NOTHING_LATER = Later(None, has_exceptions=False)


def later_read(connection: sa.Connection, metadata: sa.MetaData, table: str, after: date) -> Later:
    """The first complete read of ``table`` after the date ``after``."""
    loads, load_tables, exceptions = map(lookup(metadata), ("loads", "load_tables", "load_exceptions"))
    excepted = (
        sa.select(sa.literal(1))
        .where(exceptions.c.load_id == loads.c.load_id, exceptions.c.table_name == table)
        .exists()
    )
    query = (
        sa.select(loads.c.export_date, sa.func.min(sa.case((excepted, 1), else_=0)))
        .join(load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(
            load_tables.c.table_name == table,
            load_tables.c.is_complete.is_(sa.true()),
            loads.c.export_date > after,
        )
        .group_by(loads.c.export_date)
        .order_by(loads.c.export_date)
        .limit(1)
    )
    row = connection.execute(query).first()
    return NOTHING_LATER if row is None else Later(row[0], has_exceptions=bool(row[1]))


def is_complete_load(loads: sa.FromClause) -> sa.ColumnElement[Any]:
    """Whether a load is complete; one of a version that did not say where all tables had been asked for."""
    return sa.func.coalesce(loads.c.is_complete, loads.c.is_whole, sa.true()).is_(sa.true())


def is_full_table(load_tables: sa.FromClause) -> sa.ColumnElement[Any]:
    """Whether a load has all of a table; one of a version that did not say where its read was whole."""
    return sa.func.coalesce(load_tables.c.is_fully_loaded, load_tables.c.is_complete).is_(sa.true())


def never_loaded(connection: sa.Connection, metadata: sa.MetaData, plan: LoadPlan) -> bool:
    """Whether there are loads of earlier dates, and none of them has any of the tables that ``plan`` could not read."""
    loads, load_tables = map(lookup(metadata), ("loads", "load_tables"))
    of_load = sa.and_(load_tables.c.load_id == loads.c.load_id, load_tables.c.table_name.in_(plan.unread))
    query = (
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(sa.case((is_full_table(load_tables), 1), else_=0)), 0))
        .join_from(loads, load_tables, of_load, isouter=True)
        .where(loads.c.kind == plan.kind, loads.c.export_date < plan.export_date)
    )
    earlier, full = connection.execute(query).one()
    return bool(earlier) and not full


def last_unloaded(connection: sa.Connection, metadata: sa.MetaData, table: str, kind: str, before: date) -> date | None:
    """The newest date before ``before`` that was never loaded, though an older one was; None: there is no gap.

    A row that an older load wrote can only be overwritten by a load of such a date: see ``events``.
    """
    loads, load_tables = map(lookup(metadata), ("loads", "load_tables"))
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
