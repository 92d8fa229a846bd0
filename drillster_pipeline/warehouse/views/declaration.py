"""What a view is, and what the queries of views share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from drillster_pipeline.warehouse.model import Tables


@dataclass(frozen=True, slots=True)
class View:
    """A view. ``query`` is given a lookup of tables by name, and selects ``columns`` in order.

    The descriptions are for the data dictionary and the database's own comments.
    """

    name: str
    description: str
    columns: Mapping[str, str]
    query: Callable[[Tables], sa.Select[Any]]


VIEWS: dict[str, View] = {}
"""All views, by name."""
Query = TypeVar("Query", bound=Callable[..., sa.Select[Any]])


def view(description: str, columns: Mapping[str, str]) -> Callable[[Query], Query]:
    """Declare a query as the view of its name."""

    def declare(query: Query) -> Query:
        name = query.__name__
        VIEWS[name] = View(name, description, columns, query)
        return query

    return declare


def newest_date(tables: Tables, table: str) -> sa.ScalarSelect[Any]:
    """The newest date of which a snapshot load merged ``table``; a load of other tables alone does not count."""
    loads, load_tables = tables("loads"), tables("load_tables")
    return (
        sa.select(sa.func.max(loads.c.export_date))
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(loads.c.kind == "snapshot", load_tables.c.table_name == table)
        .scalar_subquery()
    )


_NAMES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "groups": ("group_id", {"group_name": "name"}),
    "accounts": ("account_id", {"account_name": "name"}),
    "objectives": ("objective_id", {"objective_name": "name", "objective_type": "type"}),
    "playables": ("playable_id", {"playable_name": "name", "playable_type": "type"}),
}
"""Per table its key, and what views show beside it."""


def newest_results(
    tables: Tables, parents: tuple[str, ...], totals: Mapping[str, sa.ColumnElement[Any]]
) -> sa.Select[Any]:
    """Totals over the results of the newest date, by ``parents``; by ids alone, which are sorted faster than names."""
    results = tables("results")
    keys = [results.c.export_date, *(results.c[_NAMES[parent][0]] for parent in parents)]
    rows = sa.select(*keys, *labelled(totals)).where(results.c.export_date == newest_date(tables, "results"))
    summed = rows.group_by(*keys).subquery("summed")
    names, joined = with_names(tables, summed, *parents)
    return sa.select(*labelled(names), *(summed.c[name] for name in totals)).select_from(joined)


def with_names(
    tables: Tables, rows: sa.FromClause, *parents: str
) -> tuple[dict[str, sa.ColumnElement[Any]], sa.FromClause]:
    """The export date of ``rows`` and the ids and names of their parents; and the tables joined for it."""
    columns: dict[str, sa.ColumnElement[Any]] = {"export_date": rows.c.export_date}
    joined: sa.FromClause = rows
    for name in parents:
        parent, (key, shown) = tables(name), _NAMES[name]
        joined = joined.outerjoin(parent, parent.c[key] == rows.c[key])
        columns |= {key: rows.c[key], **{label: parent.c[column] for label, column in shown.items()}}
    return columns, joined


def labelled(columns: Mapping[str, sa.ColumnElement[Any]]) -> list[sa.ColumnElement[Any]]:
    """Columns by the names that they are to have."""
    return [column if getattr(column, "name", None) == name else column.label(name) for name, column in columns.items()]


def flag(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """A condition as a column: not every database has those."""
    return sa.case((condition, sa.true()), else_=sa.false())


DATE = {"export_date": "The day that the row describes."}
NEWEST = {"export_date": "The newest export date of which this was published."}
GROUP = {"group_id": "The group.", "group_name": "Its name."}
ACCOUNT = {"account_id": "The person.", "account_name": "The person's name."}
OBJECTIVE = {
    "objective_id": "The objective.",
    "objective_name": "Its name; NULL where Drillster gives none.",
    "objective_type": "ONEOFF, PERMANENT, RECURRING or TEST.",
}
PLAYABLE = {
    "playable_id": "The drill or course.",
    "playable_name": "Its name.",
    "playable_type": "DRILL or COURSE.",
}
