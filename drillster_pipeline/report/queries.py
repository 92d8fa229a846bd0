"""The questions of the report, in SQLAlchemy: each database gets them in its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import tables_of
from drillster_pipeline.warehouse.ledger import is_full_table
from drillster_pipeline.warehouse.views import as_double, date_bounds, days_begun

Tables = Callable[[str], sa.Table]

TEST_DAYS = 30
SNAPSHOT_TABLES = tables_of("snapshot")

BUCKETS: tuple[tuple[str, str, int, int | None], ...] = (
    ("a", "this week", 0, 7),
    ("b", "1 to 2 weeks", 7, 14),
    ("c", "2 to 4 weeks", 14, 30),
    ("d", "1 to 3 months", 30, 90),
    ("e", "longer ago", 90, None),
)
"""Time since the last practice: key, words, from and to (exclusive) in days."""


def loaded_dates(tables: Tables, day: date, days: int) -> sa.Select[Any]:
    """Dates of which a snapshot was loaded, in the ``days`` up to ``day``."""
    loads = tables("loads")
    return (
        sa.select(loads.c.export_date)
        .distinct()
        .where(
            loads.c.kind == "snapshot",
            loads.c.export_date <= day,
            loads.c.export_date > day - timedelta(days=days),
        )
    )


def newest_date(tables: Tables) -> sa.Select[Any]:
    """The newest snapshot in the warehouse."""
    loads = tables("loads")
    return sa.select(sa.func.max(loads.c.export_date)).where(loads.c.kind == "snapshot")


def bounds(tables: Tables, day: date) -> sa.Select[Any]:
    """When a date begins and ends, in its time zone."""
    of_date = date_bounds(tables).where(tables("loads").c.export_date == day).subquery()
    return sa.select(of_date.c.begins_at, of_date.c.ends_at)


def loads_of(tables: Tables, day: date) -> sa.Select[Any]:
    """What the snapshot loads of a date did to each table, the oldest first."""
    loads, load_tables = tables("loads"), tables("load_tables")
    return (
        sa.select(
            loads.c.load_id,
            loads.c.finished_at,
            loads.c.captured_from,
            loads.c.captured_until,
            load_tables.c.table_name,
            load_tables.c.rows_rejected,
            is_full_table(load_tables).label("is_complete"),
        )
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(loads.c.kind == "snapshot", loads.c.export_date == day)
        .order_by(loads.c.finished_at, loads.c.load_id)
    )


def compliance(tables: Tables, dates: Sequence[date]) -> sa.Select[Any]:
    """Per date, group and objective: evaluated, met, and the norm of that date."""
    rows, groups, objectives = tables("objective_evaluations"), tables("groups"), tables("objectives")
    counted = (
        sa.select(
            rows.c.export_date,
            rows.c.group_id,
            rows.c.objective_id,
            sa.func.count(rows.c.met).label("evaluated"),
            _number_of(rows.c.met.is_(sa.true())).label("met"),
            sa.func.max(rows.c.minimum_proficiency).label("minimum"),
        )
        .where(rows.c.export_date.in_(dates))
        .group_by(rows.c.export_date, rows.c.group_id, rows.c.objective_id)
        .subquery()
    )
    return (
        sa.select(
            *counted.c,
            groups.c.name.label("group_name"),
            objectives.c.name.label("objective_name"),
            objectives.c.type.label("objective_type"),
        )
        .outerjoin(groups, groups.c.group_id == counted.c.group_id)
        .outerjoin(objectives, objectives.c.objective_id == counted.c.objective_id)
    )


def practice(tables: Tables, dates: Sequence[date]) -> sa.Select[Any]:
    """Per date and group: learners, the sum of their proficiencies, and who practices.

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
        .where(results.c.export_date.in_(dates))
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
    of_date = date_bounds(tables).subquery("of_date")
    counted = (
        sa.select(
            each.c.export_date,
            each.c.group_id,
            sa.func.count().label("learners"),
            sa.func.sum(each.c.total).label("total"),
            sa.func.sum(each.c.counted).label("counted"),
            _number_of(each.c.last_practiced_at >= of_date.c.practicing_since).label("practicing"),
            _number_of(each.c.last_practiced_at < of_date.c.idle_since).label("stopped"),
            _number_of(each.c.last_practiced_at.is_(None)).label("never"),
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
    """Results by the time from their last practice to the end of the date."""
    results = tables("results")
    since = {key: ends_at - timedelta(days=until) for key, _, _, until in BUCKETS if until is not None}
    bucket = sa.case(
        *((results.c.last_practiced_at >= moment, key) for key, moment in since.items()), else_=BUCKETS[-1][0]
    )
    rows = (
        sa.select(bucket.label("bucket"), results.c.proficiency, results.c.highest_proficiency)
        .where(results.c.export_date == day, results.c.last_practiced_at.is_not(None))
        .subquery()
    )
    return sa.select(
        rows.c.bucket,
        sa.func.count().label("results"),
        as_double(sa.func.avg(rows.c.proficiency)).label("proficiency"),
        as_double(sa.func.avg(rows.c.highest_proficiency - rows.c.proficiency)).label("lost"),
    ).group_by(rows.c.bucket)


def by_bucket(rows: Sequence[sa.Row[Any]]) -> Iterator[tuple[tuple[str, str, int, int | None], sa.Row[Any]]]:
    """The rows of ``fading`` with their bucket, the most recent practice first."""
    found = {row.bucket: row for row in rows}
    for bucket in BUCKETS:
        if bucket[0] in found:
            yield bucket, found[bucket[0]]


def fading_playables(tables: Tables, day: date, limit: int) -> sa.Select[Any]:
    """Drills and courses whose learners have lost most of what they once reached."""
    results, playables = tables("results"), tables("playables")
    lost = as_double(sa.func.avg(results.c.highest_proficiency - results.c.proficiency))
    counted = (
        sa.select(
            results.c.playable_id,
            sa.func.count(sa.distinct(results.c.account_id)).label("learners"),
            as_double(sa.func.avg(results.c.proficiency)).label("proficiency"),
            lost.label("lost"),
        )
        .where(results.c.export_date == day, results.c.last_practiced_at.is_not(None))
        .group_by(results.c.playable_id)
        .having(lost > 0)
        .subquery()
    )
    return (
        sa.select(*counted.c, playables.c.name)
        .outerjoin(playables, playables.c.playable_id == counted.c.playable_id)
        .order_by(counted.c.lost.desc(), counted.c.playable_id)
        .limit(limit)
    )


def tests(tables: Tables, ends_at: datetime) -> sa.Select[Any]:
    """Attempts that were completed in the 30 days up to a moment, per test."""
    attempts, playables = tables("test_results"), tables("playables")
    counted = (
        sa.select(
            attempts.c.test_id,
            sa.func.count().label("attempts"),
            sa.func.count(attempts.c.passed).label("judged"),
            _number_of(attempts.c.passed.is_(sa.true())).label("passed"),
            as_double(sa.func.avg(attempts.c.score_percentage)).label("score"),
        )
        .where(
            attempts.c.completed_at >= ends_at - timedelta(days=TEST_DAYS),
            attempts.c.completed_at < ends_at,
        )
        .group_by(attempts.c.test_id)
        .subquery()
    )
    return (
        sa.select(*counted.c, playables.c.name)
        .outerjoin(playables, playables.c.playable_id == counted.c.test_id)
        .order_by(counted.c.attempts.desc(), counted.c.test_id)
    )


def changes(tables: Tables, ends_at: datetime) -> sa.Executable:
    """Events of the 7 days up to a moment, by type."""
    events = tables("objective_events")
    return (
        sa.select(events.c.event_type, sa.func.count())
        .where(events.c.occurred_at >= ends_at - timedelta(days=7), events.c.occurred_at < ends_at)
        .group_by(events.c.event_type)
    )


def events_loaded(tables: Tables, day: date) -> sa.Select[Any]:
    """A row if the events of the date were loaded."""
    loads, load_tables = tables("loads"), tables("load_tables")
    return (
        sa.select(loads.c.load_id)
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(loads.c.export_date == day, load_tables.c.table_name == "objective_events")
        .limit(1)
    )


def overdue(tables: Tables, day: date, begins_at: datetime) -> sa.Select[Any]:
    """Per group and objective: how many are overdue, and the longest in days."""
    rows, late, condition = _late(tables, day, begins_at)
    return (
        sa.select(rows.c.group_id, rows.c.objective_id, sa.func.count(), sa.func.max(late))
        .where(condition)
        .group_by(rows.c.group_id, rows.c.objective_id)
    )


def overdue_people(tables: Tables, day: date, begins_at: datetime) -> sa.Select[Any]:
    """How many people are overdue with anything."""
    rows, _, condition = _late(tables, day, begins_at)
    return sa.select(sa.func.count(sa.distinct(rows.c.account_id))).where(condition)


def overdue_names(tables: Tables, day: date, begins_at: datetime, limit: int) -> sa.Select[Any]:
    """Who is overdue with what, the longest first."""
    rows, late, condition = _late(tables, day, begins_at)
    groups, objectives, accounts = tables("groups"), tables("objectives"), tables("accounts")
    return (
        sa.select(
            sa.func.coalesce(groups.c.name, rows.c.group_id),
            sa.func.coalesce(objectives.c.name, rows.c.objective_id),
            sa.func.coalesce(accounts.c.name, rows.c.account_id),
            rows.c.proficiency,
            rows.c.minimum_proficiency,
            late,
        )
        .select_from(rows)
        .outerjoin(groups, groups.c.group_id == rows.c.group_id)
        .outerjoin(objectives, objectives.c.objective_id == rows.c.objective_id)
        .outerjoin(accounts, accounts.c.account_id == rows.c.account_id)
        .where(condition)
        .order_by(late.desc(), rows.c.group_id, rows.c.objective_id, rows.c.account_id)
        .limit(limit)
    )


def _late(tables: Tables, day: date, begins_at: datetime) -> tuple[sa.Table, Any, sa.ColumnElement[bool]]:
    """Evaluations, the days that each is overdue, and which are: as in the view ``overdue_objectives``."""
    rows = tables("objective_evaluations")
    late = days_begun(sa.literal(begins_at, rows.c.review_at.type), rows.c.review_at)
    return rows, late, sa.and_(rows.c.export_date == day, rows.c.met.is_(sa.false()), rows.c.review_at < begins_at)


def _number_of(condition: Any) -> sa.ColumnElement[int]:
    """How many rows meet a condition, as an integer: some databases make a decimal of a sum."""
    return sa.cast(sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0), sa.Integer)
