"""The queries behind the analysts' views, in SQLAlchemy, so that each database gets them in its own words."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from .expressions import as_double, days_begun, hours_later, ratio, seconds_since, utc_midnight
from .ledger import is_complete_load, is_full_table
from .model import Tables

PRACTICING_DAYS, IDLE_DAYS = 7, 30
"""A learner practices who did so in the last 7 days of 24 hours up to the end of the export date, and is idle after 30
without."""


def days(tables: Tables) -> sa.Select[Any]:
    """Per export date of a snapshot: when it begins and ends, and since when who practices does, and is not idle.

    A date that only loads of an older version describe is a day in UTC.
    """
    loads = tables("loads")
    # Of all loads of a date one that says so is enough: a replay settles what an older version has loaded.
    begins = sa.func.coalesce(sa.func.max(loads.c.date_begins_at), utc_midnight(loads.c.export_date))
    ends = sa.func.coalesce(sa.func.max(loads.c.date_ends_at), hours_later(utc_midnight(loads.c.export_date), 24))
    return (
        sa.select(
            loads.c.export_date,
            begins.label("begins_at"),
            ends.label("ends_at"),
            hours_later(ends, -24 * PRACTICING_DAYS).label("practicing_since"),
            hours_later(ends, -24 * IDLE_DAYS).label("idle_since"),
        )
        .where(loads.c.kind == "snapshot")
        .group_by(loads.c.export_date)
    )


def _newest_date(tables: Tables, table: str) -> sa.ScalarSelect[Any]:
    """The newest date of which a snapshot load published ``table``; a load of other tables alone does not count."""
    loads, load_tables = tables("loads"), tables("load_tables")
    return (
        sa.select(sa.func.max(loads.c.export_date))
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(loads.c.kind == "snapshot", load_tables.c.table_name == table)
        .scalar_subquery()
    )


def latest_load(tables: Tables) -> sa.Select[Any]:
    """The newest complete load of each kind that has one."""
    loads, load_tables = tables("loads"), tables("load_tables")
    names = ("kind", "load_id", "export_date", "finished_at", "requests_refused")
    complete = sa.case((is_complete_load(loads), 1), else_=0)
    newest_first = (complete.desc(), loads.c.export_date.desc(), loads.c.finished_at.desc(), loads.c.load_id)
    ranked = sa.select(
        *(loads.c[name] for name in names),
        complete.label("complete"),
        sa.func.row_number().over(partition_by=loads.c.kind, order_by=newest_first).label("place"),
        sa.func.max(loads.c.export_date).over(partition_by=loads.c.kind).label("newest_export_date"),
    ).subquery("ranked")
    rejected = (
        sa.select(sa.func.sum(load_tables.c.rows_rejected))
        .where(load_tables.c.load_id == ranked.c.load_id)
        .scalar_subquery()
    )
    return sa.select(
        *(ranked.c[name] for name in names[:-1]),
        seconds_since(ranked.c.finished_at).label("age_seconds"),
        ranked.c.newest_export_date,
        ranked.c.requests_refused,
        sa.cast(sa.func.coalesce(rejected, 0), sa.BigInteger).label("rows_rejected"),
    ).where(ranked.c.place == 1, ranked.c.complete == 1)


def table_freshness(tables: Tables) -> sa.Select[Any]:
    """Per table its newest load, but for loads that only met it in passing, and the newest date that it has in full."""
    loads, load_tables = tables("loads"), tables("load_tables")
    full = sa.case((is_full_table(load_tables), 1), else_=0)
    newest_first = (loads.c.export_date.desc(), loads.c.finished_at.desc(), loads.c.load_id)
    of_table: dict[str, Any] = {"partition_by": load_tables.c.table_name}
    names = ("table_name", "load_id", "rows_read", "rows_rejected")
    ranked = (
        sa.select(
            *(load_tables.c[name] for name in names),
            loads.c.kind,
            loads.c.finished_at,
            loads.c.export_date.label("newest_export_date"),
            sa.func.max(sa.case((full == 1, loads.c.export_date))).over(**of_table).label("complete_export_date"),
            sa.func.row_number().over(**of_table, order_by=newest_first).label("place"),
        )
        .join_from(load_tables, loads, loads.c.load_id == load_tables.c.load_id)
        .where(sa.or_(load_tables.c.is_fully_loaded.is_not(None), load_tables.c.is_complete.is_(sa.true())))
        .subquery("ranked")
    )
    return sa.select(
        ranked.c.table_name,
        ranked.c.kind,
        ranked.c.complete_export_date,
        ranked.c.newest_export_date,
        ranked.c.load_id,
        ranked.c.finished_at,
        ranked.c.rows_read,
        ranked.c.rows_rejected,
    ).where(ranked.c.place == 1)


def current_results(tables: Tables) -> sa.Select[Any]:
    """Results of the newest date, with names."""
    results, accounts, groups, playables = (tables(name) for name in ("results", "accounts", "groups", "playables"))
    return (
        sa.select(
            results.c.export_date,
            results.c.group_id,
            groups.c.name.label("group_name"),
            results.c.account_id,
            accounts.c.name.label("account_name"),
            results.c.playable_id,
            playables.c.name.label("playable_name"),
            playables.c.type.label("playable_type"),
            *(results.c[name] for name in _MEASURES),
        )
        .join_from(results, accounts, accounts.c.account_id == results.c.account_id)
        .join(groups, groups.c.group_id == results.c.group_id)
        .join(playables, playables.c.playable_id == results.c.playable_id)
        .where(results.c.export_date == _newest_date(tables, "results"))
    )


def learner_progress(tables: Tables) -> sa.Select[Any]:
    """One row per learner and group, on the newest date."""
    results, accounts, groups = (tables(name) for name in ("results", "accounts", "groups"))
    who = (
        results.c.export_date,
        results.c.group_id,
        groups.c.name.label("group_name"),
        results.c.account_id,
        accounts.c.name.label("account_name"),
    )
    return (
        sa.select(
            *who,
            sa.func.count().label("playable_count"),
            sa.func.avg(as_double(results.c.proficiency)).label("average_proficiency"),
            ratio(sa.func.sum(results.c.time_spent_seconds), 60).label("minutes_practiced"),
            sa.func.max(results.c.last_practiced_at).label("last_practiced_at"),
        )
        .join_from(results, accounts, accounts.c.account_id == results.c.account_id)
        .join(groups, groups.c.group_id == results.c.group_id)
        .where(results.c.export_date == _newest_date(tables, "results"))
        .group_by(*who[:2], groups.c.name, results.c.account_id, accounts.c.name)
    )


def group_compliance(tables: Tables) -> sa.Select[Any]:
    """One row per date, group and objective."""
    evaluations, groups, objectives = (tables(name) for name in ("objective_evaluations", "groups", "objectives"))
    evaluated = sa.func.count(evaluations.c.met)
    met = sa.func.coalesce(sa.func.sum(sa.case((evaluations.c.met.is_(sa.true()), 1), else_=0)), 0)
    return (
        sa.select(
            evaluations.c.export_date,
            evaluations.c.group_id,
            groups.c.name.label("group_name"),
            evaluations.c.objective_id,
            objectives.c.name.label("objective_name"),
            objectives.c.type.label("objective_type"),
            evaluated.label("evaluated"),
            met.label("met"),
            ratio(met * 100, evaluated).label("met_percentage"),
        )
        .join_from(evaluations, groups, groups.c.group_id == evaluations.c.group_id)
        .join(objectives, objectives.c.objective_id == evaluations.c.objective_id)
        .group_by(
            evaluations.c.export_date,
            evaluations.c.group_id,
            groups.c.name,
            evaluations.c.objective_id,
            objectives.c.name,
            objectives.c.type,
        )
    )


def overdue_objectives(tables: Tables) -> sa.Select[Any]:
    """Evaluations of the newest date that are not met, and whose review was due before that date began."""
    evaluations, accounts = tables("objective_evaluations"), tables("accounts")
    groups, objectives = tables("groups"), tables("objectives")
    newest_date = _newest_date(tables, "objective_evaluations")
    newest = days(tables).where(tables("loads").c.export_date == newest_date).subquery("newest")
    begins_at = sa.select(newest.c.begins_at).scalar_subquery()
    return (
        sa.select(
            evaluations.c.export_date,
            evaluations.c.group_id,
            groups.c.name.label("group_name"),
            evaluations.c.objective_id,
            objectives.c.name.label("objective_name"),
            objectives.c.type.label("objective_type"),
            evaluations.c.account_id,
            accounts.c.name.label("account_name"),
            evaluations.c.proficiency,
            evaluations.c.minimum_proficiency,
            evaluations.c.review_at,
            days_begun(begins_at, evaluations.c.review_at).label("days_overdue"),
        )
        .join_from(evaluations, accounts, accounts.c.account_id == evaluations.c.account_id)
        .join(groups, groups.c.group_id == evaluations.c.group_id)
        .join(objectives, objectives.c.objective_id == evaluations.c.objective_id)
        .where(
            evaluations.c.export_date == newest_date,
            evaluations.c.met.is_(sa.false()),
            evaluations.c.review_at < begins_at,
        )
    )


def proficiency_trend(tables: Tables) -> sa.Select[Any]:
    """One row per date and group; learners first, so that each counts once."""
    results, groups = tables("results"), tables("groups")
    per_learner = (
        sa.select(
            results.c.export_date,
            results.c.group_id,
            results.c.account_id,
            sa.func.sum(results.c.proficiency).label("proficiency_sum"),
            sa.func.count(results.c.proficiency).label("proficiency_count"),
            sa.func.max(results.c.last_practiced_at).label("last_practiced_at"),
        )
        .group_by(results.c.export_date, results.c.group_id, results.c.account_id)
        .subquery("per_learner")
    )
    of_date = days(tables).subquery("of_date")
    last = per_learner.c.last_practiced_at
    average = ratio(sa.func.sum(per_learner.c.proficiency_sum), sa.func.sum(per_learner.c.proficiency_count))
    # Groups by ids alone, and names afterwards: PostgreSQL would sort all learners by name otherwise.
    counted = (
        sa.select(
            per_learner.c.export_date,
            per_learner.c.group_id,
            sa.func.count().label("learner_count"),
            average.label("average_proficiency"),
            sa.func.sum(sa.case((last >= of_date.c.practicing_since, 1), else_=0)).label("learners_practicing_7_days"),
            sa.func.sum(sa.case((last >= of_date.c.idle_since, 0), else_=1)).label("learners_idle_30_days"),
        )
        .join_from(per_learner, of_date, of_date.c.export_date == per_learner.c.export_date)
        .group_by(per_learner.c.export_date, per_learner.c.group_id)
        .subquery("counted")
    )
    export_date, group_id, *counts = counted.c
    return sa.select(export_date, group_id, groups.c.name.label("group_name"), *counts).join_from(
        counted, groups, groups.c.group_id == counted.c.group_id
    )


_MEASURES = (
    "proficiency",
    "receptive_proficiency",
    "productive_proficiency",
    "highest_proficiency",
    "eventual_proficiency",
    "time_spent_seconds",
    "expected_duration_seconds",
    "last_practiced_at",
    "added_at",
)
