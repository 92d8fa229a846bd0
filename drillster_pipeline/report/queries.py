"""What the report reads of the warehouse, in SQLAlchemy: the queries of the views where these serve any date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.language import marked
from drillster_pipeline.warehouse import views
from drillster_pipeline.warehouse.expressions import as_double, number_of
from drillster_pipeline.warehouse.ledger import is_full_table
from drillster_pipeline.warehouse.model import Tables

TEST_DAYS, EVENT_DAYS = 30, 7
BUCKETS = (
    (marked("this week"), 7),
    (marked("1 to 2 weeks"), 14),
    (marked("2 to 4 weeks"), 30),
    (marked("1 to 3 months"), 90),
    (marked("longer ago"), None),
)
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
    daily = tables("group_objective_daily")
    norm = daily.c.minimum_proficiency.label("norm")
    return views.group_compliance(tables).add_columns(norm).where(daily.c.export_date.in_(days))


def practice(tables: Tables, days: Sequence[date]) -> sa.CompoundSelect[Any]:
    """Per date and group: learners, their average proficiency, and who practices.

    A row whose ``group_id`` is NULL is of all groups together: a learner of several counts there once.
    """
    groups, daily, in_all = (tables(name) for name in ("groups", "group_daily", "organization_daily"))
    group = (daily.c.group_id, groups.c.name.label("group_name"))
    no_group = (sa.cast(sa.null(), each.type).label(each.name) for each in group)
    of_groups = sa.select(*group, *_practice(daily)).join(groups, groups.c.group_id == daily.c.group_id)
    of_all = sa.select(*no_group, *_practice(in_all))
    return sa.union_all(
        *(
            query.where(rows.c.export_date.in_(days), rows.c.learner_count.is_not(None))
            for query, rows in ((of_groups, daily), (of_all, in_all))
        )
    )


def _practice(daily: sa.Table) -> list[sa.ColumnElement[Any]]:
    never = daily.c.learners_never_practiced
    return [
        daily.c.export_date,
        daily.c.learner_count.label("learners"),
        daily.c.average_proficiency.label("proficiency"),
        daily.c.learners_practicing_7_days.label("practicing"),
        (daily.c.learners_idle_30_days - never).label("stopped"),
        never.label("never"),
    ]


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
            number_of(attempts.c.passed.is_(sa.true())).label("passed"),
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
