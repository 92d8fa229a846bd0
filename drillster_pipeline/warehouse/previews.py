"""What anybody may see of a table: a few rows without anything personal, and figures of a date.

What is shown here gets into Dagster's records, which `forget` does not reach: so no personal value, no free text and no
id of an account, whatever DRILLSTER_PERSONAL_DATA says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import Column, Kind, Table

from .ledger_queries import Tables

_LEFT_OUT = {"export_date", "captured_at"}
"""What is the same in every row."""


def columns_shown(table: Table) -> list[Column]:
    """The columns of a table that can't say who it is about."""
    return [
        column
        for column in table.columns
        if column.name not in _LEFT_OUT and not (column.personal or column.prose or column.names_account)
    ]


def rows_shown(
    connection: sa.Connection, tables: Tables, table: Table, export_date: date, *, limit: int
) -> list[Sequence[Any]]:
    """The first rows by key: of the date where it is a snapshot, and that are there where it is an entity."""
    there = tables(table.name)
    query = sa.select(*(there.c[column.name] for column in columns_shown(table)))
    if table.kind is Kind.SNAPSHOT:
        query = query.where(there.c.export_date == export_date)
    elif table.kind is Kind.ENTITY:
        query = query.where(there.c.deleted_on.is_(None))
    return [tuple(row) for row in connection.execute(query.order_by(*(there.c[key] for key in table.key)).limit(limit))]


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
