"""What is read of the tables after a load: counts for the checks, and a few rows and figures for Dagster's pages.

Rows and figures get into Dagster's records, which ``forget`` does not reach: so no personal value, no free text and no
id of an account is among them, whatever DRILLSTER_PERSONAL_DATA is. Nothing here stops a load (see
:mod:`.validation` for what does).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import DATA_TABLES, Column, Kind, Table

from .model import Tables

_LEFT_OUT = {"export_date", "captured_at"}
"""What is the same in every row."""


def count_rows(connection: sa.Connection, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    """How many rows of a table meet the conditions."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(*conditions)).scalar_one())


def count_present(connection: sa.Connection, tables: Tables, name: str, *, managed: bool = False) -> int:
    """How many rows of an entity table are not marked deleted; ``managed``: accounts of the organization alone."""
    table = tables(name)
    managed_only = [table.c.is_managed.is_(sa.true())] if managed else []
    return count_rows(connection, table, table.c.deleted_on.is_(None), *managed_only)


def count_differences(
    connection: sa.Connection, tables: Tables, name: str, export_date: date
) -> list[tuple[str, int, int]]:
    """Where a parent's own count and the rows differ: (id of the parent, what Drillster counts, rows).

    Of the parents that were seen on the date: closed ones keep old rows and old counts. ``group_members``:
    ``groups.member_count`` counts members, and may or may not count invitees, so anything from one to the other
    agrees. ``group_playables``: drillables and tests. ``catalog_playables``: the catalog's total.
    """
    child = tables(name)
    counts = [part.split(".") for part in (DATA_TABLES[name].counts or "").split(" + ")]
    parent = tables(counts[0][0])
    (key,) = parent.primary_key.columns.keys()
    first, *more = (parent.c[column] for _, column in counts)
    named: sa.ColumnElement[int] = sum((sa.func.coalesce(column, 0) for column in more), start=first)
    is_member = [child.c.status == "MEMBER"] if name == "group_members" else []
    joined = sa.func.sum(sa.case((sa.and_(sa.true(), *is_member), 1), else_=0))
    rows = (
        sa.select(child.c[key], sa.func.count().label("most"), joined.label("least"))
        .where(child.c.deleted_on.is_(None))
        .group_by(child.c[key])
        .subquery()
    )
    most, least = sa.func.coalesce(rows.c.most, 0), sa.func.coalesce(rows.c.least, 0)
    query = (
        sa.select(parent.c[key], named, sa.case((named > most, most), else_=least))
        .join_from(parent, rows, rows.c[key] == parent.c[key], isouter=True)
        .where(
            parent.c.last_seen_on == export_date,
            parent.c.deleted_on.is_(None),
            named.is_not(None),
            sa.or_(named > most, named < least),
        )
        .order_by(parent.c[key])
    )
    return [(row[0], int(row[1]), int(row[2])) for row in connection.execute(query)]


def preview_columns(table: Table) -> list[Column]:
    """The columns of a table that can't say who it is about."""
    return [
        column
        for column in table.columns
        if column.name not in _LEFT_OUT and not (column.personal or column.prose or column.names_account)
    ]


def preview_rows(
    connection: sa.Connection, tables: Tables, table: Table, export_date: date, *, limit: int
) -> list[Sequence[Any]]:
    """The first rows by key: of the date where it is a snapshot, and not marked deleted where it is an entity."""
    rows = tables(table.name)
    query = sa.select(*(rows.c[column.name] for column in preview_columns(table)))
    if table.kind is Kind.SNAPSHOT:
        query = query.where(rows.c.export_date == export_date)
    elif table.kind is Kind.ENTITY:
        query = query.where(rows.c.deleted_on.is_(None))
    return [tuple(row) for row in connection.execute(query.order_by(*(rows.c[key] for key in table.key)).limit(limit))]


def proficiencies(connection: sa.Connection, tables: Tables, export_date: date) -> dict[int, int]:
    """How many results of a date have each proficiency."""
    results = tables("results")
    query = (
        sa.select(results.c.proficiency, sa.func.count())
        .where(results.c.export_date == export_date, results.c.proficiency.is_not(None))
        .group_by(results.c.proficiency)
    )
    return {int(proficiency): int(count) for proficiency, count in connection.execute(query)}


def evaluations(connection: sa.Connection, tables: Tables, export_date: date) -> tuple[int, int]:
    """How many were evaluated on a date, and how many of these met their objective."""
    rows = tables("objective_evaluations")
    met = sa.func.sum(sa.case((rows.c.met.is_(sa.true()), 1), else_=0))
    query = sa.select(sa.func.count(rows.c.met), met).where(rows.c.export_date == export_date)
    evaluated, met_rows = connection.execute(query).one()
    return int(evaluated), int(met_rows or 0)
