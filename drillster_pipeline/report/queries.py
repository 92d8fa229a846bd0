"""What the report reads of the warehouse, in SQLAlchemy: the queries of the views where these serve any date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.warehouse import views
from drillster_pipeline.warehouse.expressions import as_double, ratio
from drillster_pipeline.warehouse.ledger import is_full_table
from drillster_pipeline.warehouse.model import Tables

TEST_DAYS, EVENT_DAYS = 30, 7
BUCKETS = (("this week", 7), ("1 to 2 weeks", 14), ("2 to 4 weeks", 30), ("1 to 3 months", 90), ("longer ago", None))
"""Time since the last practice: in words, and up to how many days (exclusive)."""


def loads_of(tables: Tables, day: date) -> sa.Select[Any]:
    """What the loads of a date did to each table, the oldest first."""
    loads, load_tables = tables("loads"), tables("load_tables")
    is_full = is_full_table(load_tables).label("is_full")
    return (
        sa.select(loads, load_tables.c.table_name, load_tables.c.rows_rejected, is_full)
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(loads.c.export_date == day)
        .order_by(loads.c.finished_at, loads.c.load_id)
    )


def compliance(tables: Tables, days: Sequence[date]) -> sa.Select[Any]:
    """The view ``group_compliance`` of some dates, with the norm that held on each."""
    evaluations = tables("objective_evaluations")
    norm = sa.func.max(evaluations.c.minimum_proficiency).label("norm")
    return views.group_compliance(tables).add_columns(norm).where(evaluations.c.export_date.in_(days))


def practice(tables: Tables, days: Sequence[date]) -> sa.Select[Any]:
    """Per date and group: learners, their average proficiency, and who practices.

    A row whose ``group_id`` is NULL is of all groups together: a learner of several counts there once. Both are made
    from the same learners, as to read all results of all dates is most of what a report costs.
    """
    groups, of_days = tables("groups"), tables("results").c.export_date.in_(days)
    learners = views.learners(tables).where(of_days).cte("learners")
    people = sa.select(
        learners.c.export_date,
        sa.cast(sa.null(), learners.c.group_id.type).label("group_id"),
        learners.c.account_id,
        sa.func.sum(learners.c.proficiency_sum).label("proficiency_sum"),
        sa.func.sum(learners.c.proficiency_count).label("proficiency_count"),
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
            ratio(sa.func.sum(each.c.proficiency_sum), sa.func.sum(each.c.proficiency_count)).label("proficiency"),
            _number_of(last >= of_date.c.practicing_since).label("practicing"),
            _number_of(last < of_date.c.idle_since).label("stopped"),
            _number_of(last.is_(None)).label("never"),
        )
        .join_from(each, of_date, of_date.c.export_date == each.c.export_date)
        .group_by(each.c.export_date, each.c.group_id)
        .subquery()
    )
    names = groups.c.name.label("group_name")
    return sa.select(*counted.c, names).outerjoin(groups, groups.c.group_id == counted.c.group_id)


def fading(tables: Tables, day: date, ends_at: datetime) -> sa.Select[Any]:
    """By the time from the last practice to the end of the date (a place in BUCKETS): results, and what is lost."""
    results = tables("results")
    since = [ends_at - timedelta(days=until) for _, until in BUCKETS if until is not None]
    place = sa.case(
        *((results.c.last_practiced_at >= moment, place) for place, moment in enumerate(since)), else_=len(since)
    )
    rows = sa.select(place.label("place"), results).where(_practiced_on(results, day)).subquery()
    return sa.select(rows.c.place, sa.func.count(), *_averages(rows)).group_by(rows.c.place).order_by(rows.c.place)


def fading_playables(tables: Tables, day: date, limit: int) -> sa.Select[Any]:
    """Drills and courses whose learners have lost most of what they once reached."""
    results = tables("results")
    learners = sa.func.count(sa.distinct(results.c.account_id)).label("learners")
    counted = (
        sa.select(results.c.playable_id, learners, *_averages(results))
        .where(_practiced_on(results, day))
        .group_by(results.c.playable_id)
        .subquery()
    )
    most_lost = (counted.c.lost.desc(), counted.c.playable_id)
    return _named(tables, counted).where(counted.c.lost > 0).order_by(*most_lost).limit(limit)


def _practiced_on(results: sa.Table, day: date) -> sa.ColumnElement[bool]:
    """Results of a date that were practiced at all."""
    return sa.and_(results.c.export_date == day, results.c.last_practiced_at.is_not(None))


def _averages(rows: sa.FromClause) -> Iterator[sa.ColumnElement[float]]:
    """The average proficiency of some results, and what is lost of the highest."""
    yield as_double(sa.func.avg(rows.c.proficiency)).label("proficiency")
    yield as_double(sa.func.avg(rows.c.highest_proficiency - rows.c.proficiency)).label("lost")


def tests(tables: Tables, ends_at: datetime) -> sa.Select[Any]:
    """Attempts that were completed in the days up to a moment, per test: those with a verdict, those that passed."""
    attempts = tables("test_results")
    completed = attempts.c.completed_at
    counted = (
        sa.select(
            attempts.c.test_id.label("playable_id"),
            sa.func.count().label("attempts"),
            sa.func.count(attempts.c.passed).label("judged"),
            _number_of(attempts.c.passed.is_(sa.true())).label("passed"),
            as_double(sa.func.avg(attempts.c.score_percentage)).label("score"),
        )
        .where(completed >= ends_at - timedelta(days=TEST_DAYS), completed < ends_at)
        .group_by(attempts.c.test_id)
        .subquery()
    )
    return _named(tables, counted).order_by(counted.c.attempts.desc(), counted.c.playable_id)


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
    key = (rows.c.group_id, rows.c.objective_id)
    return sa.select(*key, sa.func.count(), sa.func.max(rows.c.days_overdue)).group_by(*key)


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


def _named(tables: Tables, counted: sa.Subquery) -> sa.Select[Any]:
    """The rows with the name of their playable in place of its id, if it has one."""
    playables, (playable_id, *rest) = tables("playables"), counted.c
    name = sa.func.coalesce(playables.c.name, playable_id)
    return sa.select(name, *rest).join_from(counted, playables, playables.c.playable_id == playable_id, isouter=True)


def _number_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    """How many rows meet a condition, as an integer: some databases make a decimal of a sum."""
    return sa.cast(sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0), sa.Integer)
