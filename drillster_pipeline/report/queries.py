"""What the report asks the warehouse, in SQLAlchemy: the queries of the views where they answer it for any date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.warehouse import views
from drillster_pipeline.warehouse.ledger import is_full_table
from drillster_pipeline.warehouse.views import as_double, ratio

Tables = Callable[[str], sa.Table]

TEST_DAYS, EVENT_DAYS = 30, 7
BUCKETS = (("this week", 7), ("1 to 2 weeks", 14), ("2 to 4 weeks", 30), ("1 to 3 months", 90), ("longer ago", None))
"""Time since the last practice: in words, and up to how many days (exclusive)."""


def dates(tables: Tables) -> sa.Select[Any]:
    """All dates with a snapshot, and when each begins and ends."""
    return views.date_bounds(tables)


def loads_of(tables: Tables, day: date) -> sa.Select[Any]:
    """What the loads of a date did to each table, the oldest first."""
    loads, load_tables = tables("loads"), tables("load_tables")
    names = ("kind", "load_id", "finished_at", "captured_from", "captured_until")
    return (
        sa.select(
            *(loads.c[name] for name in names),
            load_tables.c.table_name,
            load_tables.c.rows_rejected,
            is_full_table(load_tables).label("is_complete"),
        )
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(loads.c.export_date == day)
        .order_by(loads.c.finished_at, loads.c.load_id)
    )


def compliance(tables: Tables, days: Sequence[date]) -> sa.Select[Any]:
    """The view ``group_compliance`` of some dates, with the norm that held on each."""
    evaluations = tables("objective_evaluations")
    norm = sa.func.max(evaluations.c.minimum_proficiency).label("norm")
    rows = views.group_compliance(tables).add_columns(norm).where(evaluations.c.export_date.in_(days)).subquery()
    return sa.select(*(_integer(column).label("met") if column.name == "met" else column for column in rows.c))


def practice(tables: Tables, days: Sequence[date]) -> sa.Select[Any]:
    """Per date and group: learners, their average proficiency, and who practices.

    A row whose ``group_id`` is NULL is of all groups together: a learner of several counts there once. Both are made
    from the same learners, as to read all results of all dates is most of what a report costs.
    """
    results, groups = tables("results"), tables("groups")
    learners = (
        sa.select(
            results.c.export_date,
            results.c.group_id,
            results.c.account_id,
            sa.func.sum(results.c.proficiency).label("total"),
            sa.func.count(results.c.proficiency).label("counted"),
            sa.func.max(results.c.last_practiced_at).label("last_practiced_at"),
        )
        .where(results.c.export_date.in_(days))
        .group_by(results.c.export_date, results.c.group_id, results.c.account_id)
        .cte("learners")
    )
    people = sa.select(
        learners.c.export_date,
        sa.cast(sa.null(), learners.c.group_id.type).label("group_id"),
        learners.c.account_id,
        sa.func.sum(learners.c.total).label("total"),
        sa.func.sum(learners.c.counted).label("counted"),
        sa.func.max(learners.c.last_practiced_at).label("last_practiced_at"),
    ).group_by(learners.c.export_date, learners.c.account_id)
    each = sa.union_all(sa.select(learners), people).subquery()
    of_date = views.date_bounds(tables).subquery("of_date")
    last = each.c.last_practiced_at
    counted = (
        sa.select(
            each.c.export_date,
            each.c.group_id,
            sa.func.count().label("learners"),
            ratio(sa.func.sum(each.c.total), sa.func.sum(each.c.counted)).label("proficiency"),
            _number_of(last >= of_date.c.practicing_since).label("practicing"),
            _number_of(last < of_date.c.idle_since).label("stopped"),
            _number_of(last.is_(None)).label("never"),
        )
        .join_from(each, of_date, of_date.c.export_date == each.c.export_date)
        .group_by(each.c.export_date, each.c.group_id)
        .subquery()
    )
    return sa.select(*counted.c, groups.c.name.label("group_name")).outerjoin(
        groups, groups.c.group_id == counted.c.group_id
    )


def spread(tables: Tables, day: date) -> sa.Executable:
    """How many results have each proficiency."""
    results = tables("results")
    return (
        sa.select(results.c.proficiency, sa.func.count())
        .where(results.c.export_date == day, results.c.proficiency.is_not(None))
        .group_by(results.c.proficiency)
    )


def fading(tables: Tables, day: date, ends_at: datetime) -> sa.Select[Any]:
    """Results by the time from their last practice to the end of the date; ``place`` is that in BUCKETS."""
    results = tables("results")
    since = [ends_at - timedelta(days=until) for _, until in BUCKETS if until is not None]
    place = sa.case(
        *((results.c.last_practiced_at >= moment, place) for place, moment in enumerate(since)), else_=len(since)
    )
    rows = (
        sa.select(place.label("place"), results.c.proficiency, results.c.highest_proficiency)
        .where(results.c.export_date == day, results.c.last_practiced_at.is_not(None))
        .subquery()
    )
    return (
        sa.select(
            rows.c.place,
            sa.func.count().label("results"),
            as_double(sa.func.avg(rows.c.proficiency)).label("proficiency"),
            as_double(sa.func.avg(rows.c.highest_proficiency - rows.c.proficiency)).label("lost"),
        )
        .group_by(rows.c.place)
        .order_by(rows.c.place)
    )


def fading_playables(tables: Tables, day: date, limit: int) -> sa.Select[Any]:
    """Drills and courses whose learners have lost most of what they once reached."""
    results = tables("results")
    counted = (
        sa.select(
            results.c.playable_id,
            sa.func.count(sa.distinct(results.c.account_id)).label("learners"),
            as_double(sa.func.avg(results.c.proficiency)).label("proficiency"),
            as_double(sa.func.avg(results.c.highest_proficiency - results.c.proficiency)).label("lost"),
        )
        .where(results.c.export_date == day, results.c.last_practiced_at.is_not(None))
        .group_by(results.c.playable_id)
        .subquery()
    )
    of_most = (counted.c.lost.desc(), counted.c.playable_id)
    return _named(tables, counted, counted.c.playable_id).where(counted.c.lost > 0).order_by(*of_most).limit(limit)


def tests(tables: Tables, ends_at: datetime) -> sa.Select[Any]:
    """Attempts that were completed in the days up to a moment, per test; ``judged``: those that passed or failed."""
    attempts = tables("test_results")
    completed = attempts.c.completed_at
    counted = (
        sa.select(
            attempts.c.test_id,
            sa.func.count().label("attempts"),
            sa.func.count(attempts.c.passed).label("judged"),
            _number_of(attempts.c.passed.is_(sa.true())).label("passed"),
            as_double(sa.func.avg(attempts.c.score_percentage)).label("score"),
        )
        .where(completed >= ends_at - timedelta(days=TEST_DAYS), completed < ends_at)
        .group_by(attempts.c.test_id)
        .subquery()
    )
    return _named(tables, counted, counted.c.test_id).order_by(counted.c.attempts.desc(), counted.c.test_id)


def events(tables: Tables, ends_at: datetime) -> sa.Executable:
    """Events of the days up to a moment, by type."""
    occurred = tables("objective_events").c.occurred_at
    kind = tables("objective_events").c.event_type
    return (
        sa.select(kind, sa.func.count())
        .where(occurred >= ends_at - timedelta(days=EVENT_DAYS), occurred < ends_at)
        .group_by(kind)
    )


def overdue(tables: Tables, day: date) -> sa.Select[Any]:
    """Per group and objective: how many are overdue, and the longest in days."""
    rows = views.overdue_objectives(tables, day).subquery()
    return sa.select(rows.c.group_id, rows.c.objective_id, sa.func.count(), sa.func.max(rows.c.days_overdue)).group_by(
        rows.c.group_id, rows.c.objective_id
    )


def overdue_people(tables: Tables, day: date) -> sa.Select[Any]:
    """How many people are overdue with anything."""
    return sa.select(sa.func.count(sa.distinct(views.overdue_objectives(tables, day).subquery().c.account_id)))


def overdue_names(tables: Tables, day: date, limit: int) -> sa.Select[Any]:
    """Who is overdue with what, the longest first."""
    rows = views.overdue_objectives(tables, day).subquery()
    names = (
        sa.func.coalesce(rows.c[f"{what}_name"], rows.c[f"{what}_id"]) for what in ("group", "objective", "account")
    )
    return (
        sa.select(*names, rows.c.proficiency, rows.c.minimum_proficiency, rows.c.days_overdue)
        .order_by(rows.c.days_overdue.desc(), rows.c.group_id, rows.c.objective_id, rows.c.account_id)
        .limit(limit)
    )


def organization(tables: Tables) -> sa.Select[Any]:
    """The name of the organization."""
    organizations = tables("organizations")
    return sa.select(organizations.c.name).where(organizations.c.deleted_on.is_(None)).limit(1)


def _named(tables: Tables, counted: sa.Subquery, playable_id: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """The rows with the name of their playable, or its id where it has none."""
    playables = tables("playables")
    name = sa.func.coalesce(playables.c.name, playable_id).label("name")
    return sa.select(*counted.c, name).outerjoin(playables, playables.c.playable_id == playable_id)


def _number_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    """How many rows meet a condition."""
    return _integer(sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0))


def _integer(total: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """A sum of integers as an integer: some databases make a decimal of it."""
    return sa.cast(total, sa.Integer)
