"""The figures of a date (``tables/daily.py``), computed in the transaction of its load.

Each is computed from the rows of one table: of results and evaluations, those that the warehouse has of the date, which
after an incomplete read are not all; of members, those that the date showed; of tests, the attempts that its load has
read. So the order in which dates are loaded makes no difference. A load writes the figures of the tables that it loads
anew. Those of others stay as they are: a load of selected tables, or one after ``prune``, takes nothing away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from drillster_pipeline.dates import Window, day_window
from drillster_pipeline.tables import DAILY_TABLES, Table

from .expressions import number_of
from .model import Tables

Rows = dict[str, sa.FromClause]
"""By the name of a table, the rows that its figures are computed from."""
Key = tuple[Any, ...]
PRACTICING_DAYS, IDLE_DAYS = 7, 30
"""A learner practices who did so in the last 7 days of 24 hours up to the end of the export date, and is idle after 30
without."""
_UTC = ZoneInfo("UTC")


def rows_of(tables: Tables, names: Collection[str]) -> Rows:
    """The rows that the warehouse has, of those of ``names`` that figures are computed from."""
    return {
        name: tables("group_members_history" if name == "group_members" else name) for name in _QUERIES if name in names
    }


def write(connection: sa.Connection, tables: Tables, day: date, rows: Rows, stamp: Mapping[str, Any]) -> None:
    """Compute the figures of a date from ``rows``, and write them; ``stamp``: the load that does."""
    window = _window(connection, tables, day)
    found: dict[str, dict[Key, dict[str, Any]]] = {name: {} for name in DAILY_TABLES}
    for source, some in rows.items():
        for row in connection.execute(_QUERIES[source](some, day, window)).mappings():
            figures = _finished(row)
            ids = (figures.pop(name, None) for name in ("group_id", "objective_id"))
            key = tuple(each for each in ids if each is not None)
            of_table = found[("organization_daily", "group_daily", "group_objective_daily")[len(key)]]
            of_table.setdefault(key, {}).update(figures)
    for name, declared in DAILY_TABLES.items():
        _replace(connection, tables(name), declared, day, rows, found[name], stamp)


def _replace(
    connection: sa.Connection,
    table: sa.Table,
    declared: Table,
    day: date,
    rows: Rows,
    found: Mapping[Key, Mapping[str, Any]],
    stamp: Mapping[str, Any],
) -> None:
    """Write what was found, and again what is there of figures that are not computed from ``rows``."""
    sources = {column.name: column.source.partition(".")[0] for column in declared.columns if column.source}
    _, *ids = declared.key
    if ids and rows.keys().isdisjoint(sources.values()):
        return
    of_date = table.c.export_date == day
    values: dict[Key, dict[str, Any]] = {}
    for row in connection.execute(sa.select(table).where(of_date)).mappings():
        kept = {name: row[name] for name, source in sources.items() if source not in rows}
        values[tuple(row[name] for name in ids)] = kept
    if values:
        connection.execute(sa.delete(table).where(of_date))
    for key, figures in found.items():
        values[key] = {**values.get(key, {}), **figures}
    if not ids:  # says that the date was computed
        values.setdefault((), {})
    new = [
        {"export_date": day, **dict(zip(ids, key, strict=True)), **dict.fromkeys(sources), **figures, **stamp}
        for key, figures in values.items()
        if not ids or any(value is not None for value in figures.values())
    ]
    if new:
        connection.execute(sa.insert(table), new)


def unfilled(connection: sa.Connection, tables: Tables, there: Collection[str]) -> set[date]:
    """The dates that versions without figures have loaded; ``there``: the tables that the database has."""
    if "load_tables" not in there:
        return set()
    loaded = _loads(tables).with_only_columns(tables("loads").c.export_date).order_by(None).distinct()
    computed = tables("organization_daily")
    known = connection.scalars(sa.select(computed.c.export_date)) if computed.name in there else ()
    return {*connection.scalars(loaded)}.difference(known)


def fill(connection: sa.Connection, tables: Tables, only: Mapping[date, Collection[str]]) -> None:
    """Compute the figures of some dates from the rows of some tables that are there."""
    for day, found in groupby(connection.execute(_loads(tables)).all(), key=lambda row: row.export_date):
        loads = list(found)
        names = {row.table_name for row in loads}.intersection(only.get(day, ()))
        if names:
            stamp = {"load_id": loads[-1].load_id, "loaded_at": loads[-1].finished_at}
            write(connection, tables, day, rows_of(tables, names), stamp)


def _loads(tables: Tables) -> sa.Select[Any]:
    """What was loaded of the tables that figures are computed from, date after date."""
    loads, load_tables = tables("loads"), tables("load_tables")
    return (
        sa.select(loads.c.export_date, loads.c.load_id, loads.c.finished_at, load_tables.c.table_name)
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(loads.c.kind == "snapshot", load_tables.c.table_name.in_([*_QUERIES]))
        .order_by(loads.c.export_date, loads.c.finished_at, loads.c.load_id)
    )


def _window(connection: sa.Connection, tables: Tables, day: date) -> Window:
    """When a date begins and ends, as the view ``export_dates`` has it."""
    loads = tables("loads")
    bounds = sa.select(sa.func.max(loads.c.date_begins_at), sa.func.max(loads.c.date_ends_at))
    begins, ends = connection.execute(bounds.where(loads.c.export_date == day, loads.c.kind == "snapshot")).one()
    return Window(begins, ends) if begins else day_window(day, _UTC)


def _finished(row: Mapping[Any, Any]) -> dict[str, Any]:
    figures = dict(row)
    if "total" in figures:
        total, squares, number = (int(figures[name] or 0) for name in ("total", "squares", "result_count"))
        del figures["total"], figures["squares"]
        if number:
            figures["average_proficiency"] = total / number
            figures["proficiency_deviation"] = math.sqrt(number * squares - total * total) / number
    return figures


def _practice(results: sa.FromClause, day: date, window: Window) -> sa.Select[Any]:
    """Per group, and of all together; both from the same learners, as to read the results is most of what it costs."""
    proficiency, learner = results.c.proficiency, (results.c.group_id, results.c.account_id)
    learners = (
        sa.select(
            *learner,
            sa.func.sum(proficiency).label("total"),
            sa.func.sum(proficiency * proficiency).label("squares"),
            sa.func.count(proficiency).label("result_count"),
            sa.func.max(results.c.last_practiced_at).label("last_practiced_at"),
        )
        .where(results.c.export_date == day)
        .group_by(*learner)
        .cte("learners")
    )
    sums = ("total", "squares", "result_count")
    people = sa.select(
        _no_group(results),
        learners.c.account_id,
        *(sa.func.sum(learners.c[name]).label(name) for name in sums),
        sa.func.max(learners.c.last_practiced_at).label("last_practiced_at"),
    ).group_by(learners.c.account_id)
    each = sa.union_all(sa.select(learners), people).subquery("each_learner")
    last = each.c.last_practiced_at
    return sa.select(
        each.c.group_id,
        sa.func.count().label("learner_count"),
        number_of(last >= window.start).label("learners_practiced"),
        number_of(last >= window.end - timedelta(days=PRACTICING_DAYS)).label("learners_practicing_7_days"),
        number_of(sa.or_(last.is_(None), last < window.end - timedelta(days=IDLE_DAYS))).label("learners_idle_30_days"),
        number_of(last.is_(None)).label("learners_never_practiced"),
        *(sa.func.sum(each.c[name]).label(name) for name in sums),
    ).group_by(each.c.group_id)


def _members(history: sa.FromClause, day: date, _window: Window) -> sa.CompoundSelect[Any]:
    condition = sa.and_(
        history.c.valid_from <= day,
        sa.or_(history.c.valid_until.is_(None), history.c.valid_until > day),
        history.c.is_seen.is_(sa.true()),
        history.c.status == "MEMBER",
    )
    people = sa.func.count(sa.distinct(history.c.member_key))
    return _by_group(history, condition, [people.label("member_count")])


def _tests(attempts: sa.FromClause, _day: date, window: Window) -> sa.CompoundSelect[Any]:
    ended = sa.and_(attempts.c.completed_at >= window.start, attempts.c.completed_at < window.end)
    passed = number_of(attempts.c.passed.is_(sa.true())).label("tests_passed")
    return _by_group(attempts, ended, [sa.func.count().label("tests_completed"), passed])


def _by_group(
    rows: sa.FromClause, condition: sa.ColumnElement[bool], figures: Sequence[sa.ColumnElement[Any]]
) -> sa.CompoundSelect[Any]:
    """Figures per group, and of all together (NULL)."""
    of_groups = sa.select(rows.c.group_id, *figures).where(condition).group_by(rows.c.group_id)
    return of_groups.union_all(sa.select(_no_group(rows), *figures).where(condition))


def _no_group(rows: sa.FromClause) -> sa.ColumnElement[Any]:
    return sa.cast(sa.null(), rows.c.group_id.type).label("group_id")


def _compliance(evaluations: sa.FromClause, day: date, window: Window) -> sa.Select[Any]:
    key = (evaluations.c.group_id, evaluations.c.objective_id)
    met = evaluations.c.met
    return (
        sa.select(
            *key,
            sa.func.count(met).label("evaluated"),
            number_of(met.is_(sa.true())).label("met"),
            number_of(sa.and_(met.is_(sa.false()), evaluations.c.review_at < window.start)).label("overdue"),
            sa.func.max(evaluations.c.minimum_proficiency).label("minimum_proficiency"),
        )
        .where(evaluations.c.export_date == day)
        .group_by(*key)
    )


_QUERIES: Mapping[str, Callable[[sa.FromClause, date, Window], sa.Select[Any] | sa.CompoundSelect[Any]]] = {
    "results": _practice,
    "objective_evaluations": _compliance,
    "group_members": _members,
    "test_results": _tests,
}
"""By the name of a table, the query for the figures of a date that are computed from it: of all groups together where
``group_id`` is NULL."""
