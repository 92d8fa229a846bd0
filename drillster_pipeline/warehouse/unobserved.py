"""Rows that a whole read could not see: of a closed group, rejected, or only known in passing.

Their absence proves nothing. The same predicate holds for the load at hand (against its staged exceptions) and for
earlier loads (against ``load_exceptions``), so that the order in which loads come in makes no difference.
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

from .ledger import GROUP, MENTIONED, ROW
from .load_plan import LoadType, TablePlan
from .staging import KEY_SEPARATOR, Staged, Staging

MENTIONED_FLAG = "is_managed"
"""The column that tells rows which are known in their own right from those only known in passing."""


def is_complete(table: Table, plan: TablePlan, *, unreadable: Collection[str]) -> bool:
    """Whether absence from this read means that a row is gone.

    ``unreadable``: tables with a rejected row of which the key could not be read, so any absent row may be that one,
    or one that is asked for by it: nobody can ask what is in a catalog without an id.
    """
    keeps_all = plan.keep_referenced and table.kind is Kind.ENTITY and not flags_referenced(table)
    hidden = table.name in unreadable or not _hidden(unreadable).isdisjoint(table.sources)
    return plan.load_type is LoadType.FULL and not hidden and not keeps_all


def keeps_referenced(table: Table, plan: TablePlan, *, unreadable: Collection[str]) -> bool:
    """Whether a thing that is only met in passing may be there although it was not met.

    Where the plan says so, or a row could not be read that may have named it.
    """
    met_in = (
        {*table.secondary_sources, *(() if flags_referenced(table) else table.sources)}
        if table.secondary_sources
        else set()
    )
    told = {source for name in unreadable for source in DATA_TABLES[name].sources} | _hidden(unreadable)
    return plan.keep_referenced or not told.isdisjoint(met_in)


def _hidden(unreadable: Collection[str]) -> set[str]:
    """The resources that tables with unreadable rows lead to, and these themselves."""
    found = set(unreadable)
    for resource in RESOURCES:  # in the order of the walk: what leads to another comes before it
        if not found.isdisjoint(RESOURCES[resource].parents):
            found.add(resource)
    return found


def flags_referenced(table: Table) -> bool:
    """Whether rows of a table tell themselves whether they are known in their own right, or only in passing."""
    return any(column.name == MENTIONED_FLAG for column in table.columns)


def stage_exceptions(connection: sa.Connection, staging: Staging, table: Table, plan: TablePlan) -> None:
    """Write down which rows of an entity table this load, whole as it is, could not see."""
    target = staging.exceptions
    values: list[dict[str, Any]] = []
    if table.group_path is not None:
        groups = sorted(map(cleaned, plan.unobserved_groups))  # as their rows have them
        values += [{"table_name": table.name, "scope": GROUP, "value": group} for group in groups]
    if plan.keep_referenced and flags_referenced(table):
        values.append({"table_name": table.name, "scope": MENTIONED, "value": None})
    if values:
        connection.execute(sa.insert(target), values)
    if not staging.rejected[table.name]:
        return
    rejects = staging.rejects
    rejected = (
        sa.select(rejects.c.table_name, sa.literal(ROW), rejects.c.row_key)
        .where(rejects.c.table_name == table.name, rejects.c.row_key.is_not(None))
        .distinct()
    )
    connection.execute(sa.insert(target).from_select(["table_name", "scope", "value"], rejected))


def absent(
    staged: Staged, rows: sa.Table, objectives: sa.Table, staging: Staging, export_date: date
) -> sa.ColumnElement[bool]:
    """Whether a row of an entity table, last seen by this date, is missing from a whole read of it."""
    gone = [rows.c.last_seen_on <= export_date, ~excepted(staged.table, rows, objectives, staging.exceptions)]
    if staging.rows[staged.table.name]:
        gone.append(~staged.holds(rows))
    return sa.and_(*gone)


def excepted(
    table: Table, rows: sa.FromClause, objectives: sa.Table, exceptions: sa.FromClause, *of_load: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    """Whether a row of ``rows`` is among ``exceptions`` (those that meet ``of_load``)."""
    matches = sa.or_(*_matches(table, rows, objectives, exceptions))
    return (
        sa.select(sa.literal(1))
        .select_from(exceptions)
        .where(*of_load, exceptions.c.table_name == table.name, matches)
        .correlate_except(exceptions)
        .exists()
    )


def _matches(
    table: Table, rows: sa.FromClause, objectives: sa.Table, exceptions: sa.FromClause
) -> Iterator[sa.ColumnElement[bool]]:
    yield sa.and_(exceptions.c.scope == ROW, exceptions.c.value == key_text(table, rows))
    if flags_referenced(table):
        yield sa.and_(exceptions.c.scope == MENTIONED, rows.c[MENTIONED_FLAG].is_not(sa.true()))
    group = _group(table, rows, objectives)
    if group is not None:
        yield sa.and_(exceptions.c.scope == GROUP, exceptions.c.value == group)


def _group(table: Table, rows: sa.FromClause, objectives: sa.Table) -> sa.ColumnElement[Any] | None:
    if table.group_path is None:
        return None
    if table.group_path == "group_id":
        return rows.c.group_id
    parent = objectives.alias()
    return (
        sa.select(parent.c.group_id)
        .where(parent.c.objective_id == rows.c.objective_id)
        .correlate_except(parent)
        .scalar_subquery()
    )


def key_text(table: Table, rows: sa.FromClause) -> sa.ColumnElement[Any]:
    """The key of a row as one text, as rejects have it."""
    first, *others = (rows.c[name] for name in table.key)
    text: sa.ColumnElement[Any] = first
    for other in others:
        text = text.concat(KEY_SEPARATOR).concat(other)
    return text
