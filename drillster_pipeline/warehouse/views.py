"""The analysts' views: each is a query, with what it is for and what its columns mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import sqlalchemy as sa

from .expressions import (
    as_double,
    days_after,
    days_begun,
    hours_later,
    iso_week,
    month,
    month_begins_on,
    quarter,
    ratio,
    seconds_since,
    utc_midnight,
)
from .ledger import is_complete_load, is_full_table, newest_complete_loads
from .model import Tables

PRACTICING_DAYS, IDLE_DAYS = 7, 30
"""A learner practices who did so in the last 7 days of 24 hours up to the end of the export date, and is idle after 30
without."""


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


def _view(description: str, columns: Mapping[str, str]) -> Callable[[Query], Query]:
    """Declare a query as the view of its name."""

    def declare(query: Query) -> Query:
        name = query.__name__
        VIEWS[name] = View(name, description, columns, query)
        return query

    return declare


def date_bounds(tables: Tables) -> sa.Select[Any]:
    """Per export date of a snapshot: when it begins and ends, and since when learners practice, and are not idle.

    A date that only loads of an older version describe is a day in UTC.
    """
    loads = tables("loads")
    # Of all loads of a date one that has them is enough: a replay settles what an older version has loaded.
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


def _named(tables: Tables, rows: sa.Table, *parents: str) -> tuple[dict[str, sa.ColumnElement[Any]], sa.FromClause]:
    """The export date of ``rows`` and the ids and names of their parents; and the tables joined for it."""
    columns: dict[str, sa.ColumnElement[Any]] = {"export_date": rows.c.export_date}
    joined: sa.FromClause = rows
    for name in parents:
        parent, (key, shown) = tables(name), _NAMES[name]
        joined = joined.join(parent, parent.c[key] == rows.c[key])
        columns |= {key: rows.c[key], **{label: parent.c[column] for label, column in shown.items()}}
    return columns, joined


def _labelled(columns: Mapping[str, sa.ColumnElement[Any]]) -> list[sa.ColumnElement[Any]]:
    return [column if getattr(column, "name", None) == name else column.label(name) for name, column in columns.items()]


def _flag(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """A condition as a column: not every database has those."""
    return sa.case((condition, sa.true()), else_=sa.false())


_DATE = {"export_date": "The day that the row describes."}
_NEWEST = {"export_date": "The newest export date of which this was published."}
_GROUP = {"group_id": "The group.", "group_name": "Its name."}
_ACCOUNT = {"account_id": "The person.", "account_name": "The person's name."}
_OBJECTIVE = {
    "objective_id": "The objective.",
    "objective_name": "Its name; NULL where Drillster gives none.",
    "objective_type": "ONEOFF, PERMANENT, RECURRING or TEST.",
}


@_view(
    "The newest complete load of each kind (loads.is_complete): what a dashboard shows as 'data as of'.",
    {
        "kind": "'snapshot' or 'events'.",
        "load_id": "The load.",
        "export_date": "The day that it describes.",
        "finished_at": "When it was published.",
        "age_seconds": "Seconds since then.",
        "newest_export_date": "The newest date of which anything of the kind is loaded, complete or not.",
        "requests_refused": "Requests that were closed to the service account; see loads.",
        "rows_rejected": "Rows of it that did not fit; see rejected_rows.",
    },
)
def latest_load(tables: Tables) -> sa.Select[Any]:
    """The newest complete load of each kind that has one."""
    newest, load_tables = newest_complete_loads(tables), tables("load_tables")
    rejected = (
        sa.select(sa.func.sum(load_tables.c.rows_rejected))
        .where(load_tables.c.load_id == newest.c.load_id)
        .scalar_subquery()
    )
    return sa.select(
        *(newest.c[name] for name in ("kind", "load_id", "export_date", "finished_at")),
        seconds_since(newest.c.finished_at).label("age_seconds"),
        newest.c.newest_export_date,
        newest.c.requests_refused,
        sa.cast(sa.func.coalesce(rejected, 0), sa.BigInteger).label("rows_rejected"),
    )


@_view(
    "The dates of which a snapshot is published, with what periods and comparisons need.",
    {
        "export_date": "The date.",
        "is_newest": "Whether it is the newest one.",
        "previous_export_date": "The published date before it; NULL: it is the first.",
        "missed_days": "Days between these two, of which no snapshot is published; NULL: it is the first.",
        "iso_week": "Its ISO 8601 week, such as 2026-W01.",
        "month": "Its month, such as 2026-01.",
        "quarter": "Its quarter, such as 2026-Q1.",
        "month_begins_on": "The first day of its month.",
        "is_month_end": (
            "Whether it is the last published date of its month; of the month that is under way, the newest date."
        ),
        "previous_month_end": "The last published date before its month; NULL: there is none.",
        "timezone": "IANA name of the time zone that it is a day of; NULL: loaded by a version that did not record it.",
        "begins_at": "When it begins there.",
        "ends_at": "When it ends there; that moment not included.",
        "is_complete": "Whether one of its loads is complete (loads.is_complete).",
    },
)
def export_dates(tables: Tables) -> sa.Select[Any]:
    """One row per export date of a snapshot."""
    loads = tables("loads")
    per_date = date_bounds(tables).add_columns(
        sa.func.max(loads.c.timezone).label("timezone"),
        sa.func.max(sa.case((is_complete_load(loads), 1), else_=0)).label("complete"),
    )
    dates = per_date.subquery("dates")
    day = dates.c.export_date
    periods = {each.__name__: each(day) for each in (iso_week, month, quarter, month_begins_on)}
    placed = sa.select(
        dates,
        *_labelled(periods),
        sa.func.lag(day).over(order_by=day).label("previous_export_date"),
        sa.func.max(day).over().label("newest"),
        sa.func.max(day).over(partition_by=periods["month"]).label("month_end"),
    ).subquery("placed")
    of_month: dict[str, Any] = {"partition_by": placed.c.month, "order_by": placed.c.export_date}
    made = {
        "is_newest": _flag(placed.c.export_date == placed.c.newest),
        "missed_days": days_after(placed.c.export_date, placed.c.previous_export_date) - 1,
        "is_month_end": _flag(placed.c.export_date == placed.c.month_end),
        # What comes before the first date of a month is of another month.
        "previous_month_end": sa.func.first_value(placed.c.previous_export_date).over(**of_month),
        "is_complete": _flag(placed.c.complete == 1),
    }
    columns = {name: made[name] if name in made else placed.c[name] for name in VIEWS["export_dates"].columns}
    return sa.select(*_labelled(columns))


@_view(
    "How new each table is. Loads that only added to it, as those of other tables do, do not count.",
    {
        "table_name": "The table.",
        "kind": "The kind of load that brings it: 'snapshot' or 'events'.",
        "complete_export_date": (
            "The newest date that it has in full (load_tables.is_fully_loaded); NULL: there is none."
        ),
        "newest_export_date": "The newest date of which anything is loaded.",
        "load_id": "The newest load of that date.",
        "finished_at": "When that load was published.",
        "rows_read": "Rows that it read, those that were rejected included.",
        "rows_rejected": "Rows that did not fit; see rejected_rows.",
    },
)
def table_freshness(tables: Tables) -> sa.Select[Any]:
    """Per table its newest load, but for loads that only added to it, and the newest date that it has in full."""
    loads, load_tables = tables("loads"), tables("load_tables")
    full = sa.case((is_full_table(load_tables), loads.c.export_date))
    newest_first = (loads.c.export_date.desc(), loads.c.finished_at.desc(), loads.c.load_id)
    of_table: dict[str, Any] = {"partition_by": load_tables.c.table_name}
    ranked = (
        sa.select(
            *(load_tables.c[name] for name in ("table_name", "load_id", "rows_read", "rows_rejected")),
            loads.c.kind,
            loads.c.finished_at,
            loads.c.export_date.label("newest_export_date"),
            sa.func.max(full).over(**of_table).label("complete_export_date"),
            sa.func.row_number().over(**of_table, order_by=newest_first).label("place"),
        )
        .join_from(load_tables, loads, loads.c.load_id == load_tables.c.load_id)
        .where(sa.or_(load_tables.c.is_fully_loaded.is_not(None), load_tables.c.is_complete.is_(sa.true())))
        .subquery("ranked")
    )
    return sa.select(*(ranked.c[name] for name in VIEWS["table_freshness"].columns)).where(ranked.c.place == 1)


_MEASURES = {
    "proficiency": "Overall proficiency, 0-100.",
    "receptive_proficiency": "Proficiency in recognizing, 0-100.",
    "productive_proficiency": "Proficiency in producing, 0-100.",
    "highest_proficiency": "Highest overall proficiency ever reached, 0-100.",
    "eventual_proficiency": "Proficiency that remains if practice stops, 0-100.",
    "time_spent_seconds": "Time practiced.",
    "expected_duration_seconds": "Expected time to reach 100 %.",
    "last_practiced_at": "Last practice.",
    "added_at": "When it was added to the person's repertoire; NULL: a trial.",
}


@_view(
    "Practice results of the newest export date, with the names of account, group and playable.",
    {
        **_NEWEST,
        **_GROUP,
        **_ACCOUNT,
        "playable_id": "The drill or course.",
        "playable_name": "Its name.",
        "playable_type": "DRILL or COURSE.",
        **_MEASURES,
    },
)
def current_results(tables: Tables) -> sa.Select[Any]:
    """Results of the newest date, with names."""
    results = tables("results")
    names, joined = _named(tables, results, "groups", "accounts", "playables")
    measures = {name: results.c[name] for name in _MEASURES}
    query = sa.select(*_labelled(names | measures)).select_from(joined)
    return query.where(results.c.export_date == _newest_date(tables, "results"))


@_view(
    "How far each learner is in each group on the newest export date.",
    {
        **_NEWEST,
        **_GROUP,
        **_ACCOUNT,
        "playable_count": "Drills and courses with a result.",
        "average_proficiency": "Average of their overall proficiency, 0-100.",
        "minutes_practiced": "Time practiced in all of them together.",
        "last_practiced_at": "Last practice in any of them.",
    },
)
def learner_progress(tables: Tables) -> sa.Select[Any]:
    """One row per learner and group, on the newest date."""
    results = tables("results")
    names, joined = _named(tables, results, "groups", "accounts")
    totals = {
        "playable_count": sa.func.count(),
        "average_proficiency": sa.func.avg(as_double(results.c.proficiency)),
        "minutes_practiced": ratio(sa.func.sum(results.c.time_spent_seconds), 60),
        "last_practiced_at": sa.func.max(results.c.last_practiced_at),
    }
    query = sa.select(*_labelled(names | totals)).select_from(joined).group_by(*names.values())
    return query.where(results.c.export_date == _newest_date(tables, "results"))


@_view(
    "Per export date, group and objective: how many members were evaluated, and how many met it.",
    {
        **_DATE,
        **_GROUP,
        **_OBJECTIVE,
        "evaluated": "Members of whom Drillster said whether they met it.",
        "met": "Members who met it.",
        "met_percentage": "Share of the evaluated who met it, 0-100; NULL where nobody was evaluated.",
    },
)
def group_compliance(tables: Tables) -> sa.Select[Any]:
    """One row per date, group and objective."""
    daily = tables("group_objective_daily")
    names, joined = _named(tables, daily, "groups", "objectives")
    evaluated, met = daily.c.evaluated, daily.c.met
    percentage = ratio(met * 100, evaluated).label("met_percentage")
    return sa.select(*_labelled(names), evaluated, met, percentage).select_from(joined)


@_view(
    "Who has not met which objective on the newest export date, though its review was due before that date began in "
    "its time zone (loads.date_begins_at).",
    {
        **_NEWEST,
        **_GROUP,
        **_OBJECTIVE,
        **_ACCOUNT,
        "proficiency": "Proficiency over the objective's content that day, 0-100.",
        "minimum_proficiency": "The norm that day, 0-100.",
        "review_at": "The review date that holds for this person.",
        "days_overdue": "Days of 24 hours begun from the review to the beginning of the export date, 1 or more.",
    },
)
def overdue_objectives(tables: Tables, export_date: date | None = None) -> sa.Select[Any]:
    """Evaluations of a date, the newest one by default, that are not met and whose review was due before it began."""
    evaluations = tables("objective_evaluations")
    names, joined = _named(tables, evaluations, "groups", "objectives", "accounts")
    of_date: Any = export_date or _newest_date(tables, "objective_evaluations")
    bounds = date_bounds(tables).where(tables("loads").c.export_date == of_date).subquery("bounds")
    begins_at = sa.select(bounds.c.begins_at).scalar_subquery()
    more = {name: evaluations.c[name] for name in ("proficiency", "minimum_proficiency", "review_at")}
    overdue = {"days_overdue": days_begun(begins_at, evaluations.c.review_at)}
    return (
        sa.select(*_labelled(names | more | overdue))
        .select_from(joined)
        .where(
            evaluations.c.export_date == of_date, evaluations.c.met.is_(sa.false()), evaluations.c.review_at < begins_at
        )
    )


@_view(
    "Per export date and group: proficiency, and who practices. Learners are those with a result that day, which ends "
    "at loads.date_ends_at.",
    {
        **_DATE,
        **_GROUP,
        "learner_count": "Learners with at least one result.",
        "average_proficiency": "Average overall proficiency of all results, 0-100.",
        "learners_practicing_7_days": (
            "Learners who practiced in the seven days of 24 hours up to the end of the export date."
        ),
        "learners_idle_30_days": (
            "Learners with no practice in the thirty days of 24 hours up to the end of the export date, or none ever."
        ),
    },
)
def proficiency_trend(tables: Tables) -> sa.Select[Any]:
    """One row per date and group."""
    daily = tables("group_daily")
    names, joined = _named(tables, daily, "groups")
    figures = (daily.c[name] for name in VIEWS["proficiency_trend"].columns if name not in names)
    return sa.select(*_labelled(names), *figures).select_from(joined).where(daily.c.learner_count.is_not(None))
