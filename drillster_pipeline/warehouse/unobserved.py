"""Rows that a complete read cannot observe: of a closed group, rejected, or only referenced.

Their absence is not a deletion. The same predicate is used for the load at hand (against what it staged) and for
earlier loads (against ``load_exceptions``), so that the order of loads makes no difference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.extract.parsing import cleaned
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Kind, Table

from .ledger import GROUP, REFERENCED, ROW
from .load_plan import LoadType, TablePlan
from .merge import exists
from .staging import KEY_SEPARATOR, Staged, Staging

REFERENCED_FLAG = "is_managed"
"""The column that is NULL in rows that are only referenced."""


def flags_referenced(table: Table) -> bool:
    """Whether rows of a table say themselves whether they were observed or are only referenced."""
    return any(column.name == REFERENCED_FLAG for column in table.columns)


def is_complete(table: Table, plan: TablePlan, *, unreadable: Collection[str]) -> bool:
    """Whether absence from this read means that a row is gone.

    ``unreadable``: tables with a rejected row of which the key could not be read. Any missing row may be that one, or
    one that is requested by its id: the content of a catalog without an id cannot be requested.
    """
    keeps_all = plan.keep_referenced and table.kind is Kind.ENTITY and not flags_referenced(table)
    hides = table.name in unreadable or not _hidden(unreadable).isdisjoint(table.sources)
    return plan.load_type is LoadType.FULL and not hides and not keeps_all


def keeps_referenced(table: Table, plan: TablePlan, *, unreadable: Collection[str]) -> bool:
    """Whether a row that is only referenced may still exist although nothing refers to it.

    Where the plan says so, or where a row that could not be read may refer to it.
    """
    if not table.secondary_sources:
        return plan.keep_referenced
    referring = {*table.secondary_sources, *(() if flags_referenced(table) else table.sources)}
    hidden = {source for name in unreadable for source in DATA_TABLES[name].sources} | _hidden(unreadable)
    return plan.keep_referenced or not hidden.isdisjoint(referring)


def _hidden(unreadable: Collection[str]) -> set[str]:
    """The resources that tables with unreadable rows lead to, and these themselves."""
    found = set(unreadable)
    for resource in RESOURCES:  # in order: what leads to another comes before it
        if not found.isdisjoint(RESOURCES[resource].parents):
            found.add(resource)
    return found


def stage_unobserved(connection: sa.Connection, staging: Staging, table: Table, plan: TablePlan) -> None:
    """Stage which rows of an entity table this load, though complete, could not observe."""
    target, rejects = staging.unobserved, staging.rejects
    values: list[dict[str, Any]] = []
    if table.group_path is not None:
        groups = sorted(map(cleaned, plan.unobserved_groups))  # as their rows have them
        values += [{"table_name": table.name, "scope": GROUP, "value": group} for group in groups]
    if plan.keep_referenced and flags_referenced(table):
        values.append({"table_name": table.name, "scope": REFERENCED, "value": None})
    if values:
        connection.execute(sa.insert(target), values)
    if staging.rejected[table.name]:
        rejected = (
            sa.select(rejects.c.table_name, sa.literal(ROW), rejects.c.row_key)
            .where(rejects.c.table_name == table.name, rejects.c.row_key.is_not(None))
            .distinct()
        )
        connection.execute(sa.insert(target).from_select(["table_name", "scope", "value"], rejected))


def is_missing(
    staged: Staged, rows: sa.Table, objectives: sa.Table, staging: Staging, export_date: date
) -> sa.ColumnElement[bool]:
    """Whether a row of an entity table, last seen by this date, is missing from a complete read of it."""
    missing = [rows.c.last_seen_on <= export_date, ~is_unobserved(staged.table, rows, objectives, staging.unobserved)]
    if staging.rows[staged.table.name]:
        missing.append(~staged.holds(rows))
    return sa.and_(*missing)


def is_unobserved(
    table: Table, rows: sa.FromClause, objectives: sa.Table, unobserved: sa.FromClause, *of_load: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    """Whether a row of ``rows`` is one of those in ``unobserved`` that meet ``of_load``."""
    matches = sa.or_(*_matches(table, rows, objectives, unobserved))
    return exists(unobserved, *of_load, unobserved.c.table_name == table.name, matches)


def _matches(
    table: Table, rows: sa.FromClause, objectives: sa.Table, unobserved: sa.FromClause
) -> Iterator[sa.ColumnElement[bool]]:
    first, *others = (rows.c[name] for name in table.key)
    key: sa.ColumnElement[Any] = first
    for other in others:
        key = key.concat(KEY_SEPARATOR).concat(other)
    yield sa.and_(unobserved.c.scope == ROW, unobserved.c.value == key)
    if flags_referenced(table):
        yield sa.and_(unobserved.c.scope == REFERENCED, rows.c[REFERENCED_FLAG].is_not(sa.true()))
    if table.group_path == "group_id":
        yield sa.and_(unobserved.c.scope == GROUP, unobserved.c.value == rows.c.group_id)
    elif table.group_path is not None:
        parent = objectives.alias()
        of_row = sa.select(parent.c.group_id).where(parent.c.objective_id == rows.c.objective_id)
        group = of_row.correlate_except(parent).scalar_subquery()
        yield sa.and_(unobserved.c.scope == GROUP, unobserved.c.value == group)
