"""The analysts' views, as data: what each is for, its columns, and the query behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from . import view_queries as queries
from .model import Tables


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view, for the data dictionary and the database's own comments."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class View:
    """A view. ``query`` is given a lookup of tables by name, and selects ``columns`` in order."""

    name: str
    description: str
    columns: tuple[ViewColumn, ...]
    query: Callable[[Tables], sa.Select[Any]]


_EXPORT_DATE = ViewColumn("export_date", "The day that the row describes.")
_NEWEST_DATE = ViewColumn("export_date", "The newest export date of which this was published.")
_GROUP = (ViewColumn("group_id", "The group."), ViewColumn("group_name", "Its name."))
_ACCOUNT = (ViewColumn("account_id", "The person."), ViewColumn("account_name", "The person's name."))
_OBJECTIVE = (
    ViewColumn("objective_id", "The objective."),
    ViewColumn("objective_name", "Its name; NULL where Drillster gives none."),
    ViewColumn("objective_type", "ONEOFF, PERMANENT, RECURRING or TEST."),
)

LATEST_LOAD = View(
    "latest_load",
    "The newest complete load of each kind (loads.is_complete): what a dashboard shows as 'data as of'.",
    (
        ViewColumn("kind", "'snapshot' or 'events'."),
        ViewColumn("load_id", "The load."),
        ViewColumn("export_date", "The day that it describes."),
        ViewColumn("finished_at", "When it was published."),
        ViewColumn("age_seconds", "Seconds since then."),
        ViewColumn("newest_export_date", "The newest date of which anything of the kind is loaded, complete or not."),
        ViewColumn("requests_refused", "Requests that were closed to the service account; see loads."),
        ViewColumn("rows_rejected", "Rows of it that did not fit; see rejected_rows."),
    ),
    queries.latest_load,
)

TABLE_FRESHNESS = View(
    "table_freshness",
    "How new each table is. Loads that only met it in passing, as those of other tables do, do not count.",
    (
        ViewColumn("table_name", "The table."),
        ViewColumn("kind", "The kind of load that brings it: 'snapshot' or 'events'."),
        ViewColumn(
            "complete_export_date",
            "The newest date that it has in full (load_tables.is_fully_loaded); NULL: there is none.",
        ),
        ViewColumn("newest_export_date", "The newest date of which anything is loaded."),
        ViewColumn("load_id", "The newest load of that date."),
        ViewColumn("finished_at", "When that load was published."),
        ViewColumn("rows_read", "Rows that it read, those that were rejected included."),
        ViewColumn("rows_rejected", "Rows that did not fit; see rejected_rows."),
    ),
    queries.table_freshness,
)

CURRENT_RESULTS = View(
    "current_results",
    "Practice results of the newest export date, with the names of account, group and playable.",
    (
        _NEWEST_DATE,
        *_GROUP,
        *_ACCOUNT,
        ViewColumn("playable_id", "The drill or course."),
        ViewColumn("playable_name", "Its name."),
        ViewColumn("playable_type", "DRILL or COURSE."),
        ViewColumn("proficiency", "Overall proficiency, 0-100."),
        ViewColumn("receptive_proficiency", "Proficiency in recognizing, 0-100."),
        ViewColumn("productive_proficiency", "Proficiency in producing, 0-100."),
        ViewColumn("highest_proficiency", "Highest overall proficiency ever reached, 0-100."),
        ViewColumn("eventual_proficiency", "Proficiency that remains if practice stops, 0-100."),
        ViewColumn("time_spent_seconds", "Time practiced."),
        ViewColumn("expected_duration_seconds", "Expected time to reach 100 %."),
        ViewColumn("last_practiced_at", "Last practice."),
        ViewColumn("added_at", "When it was added to the person's repertoire; NULL: a trial."),
    ),
    queries.current_results,
)

LEARNER_PROGRESS = View(
    "learner_progress",
    "How far each learner is in each group on the newest export date.",
    (
        _NEWEST_DATE,
        *_GROUP,
        *_ACCOUNT,
        ViewColumn("playable_count", "Drills and courses with a result."),
        ViewColumn("average_proficiency", "Average of their overall proficiency, 0-100."),
        ViewColumn("minutes_practiced", "Time practiced in all of them together."),
        ViewColumn("last_practiced_at", "Last practice in any of them."),
    ),
    queries.learner_progress,
)

GROUP_COMPLIANCE = View(
    "group_compliance",
    "Per export date, group and objective: how many members were evaluated, and how many met it.",
    (
        _EXPORT_DATE,
        *_GROUP,
        *_OBJECTIVE,
        ViewColumn("evaluated", "Members of whom Drillster said whether they met it."),
        ViewColumn("met", "Members who met it."),
        ViewColumn("met_percentage", "Share of the evaluated who met it, 0-100; NULL where nobody was evaluated."),
    ),
    queries.group_compliance,
)

OVERDUE_OBJECTIVES = View(
    "overdue_objectives",
    "Who has not met which objective on the newest export date, though its review was due before that date began in "
    "its time zone (loads.date_begins_at).",
    (
        _NEWEST_DATE,
        *_GROUP,
        *_OBJECTIVE,
        *_ACCOUNT,
        ViewColumn("proficiency", "Proficiency over the objective's content that day, 0-100."),
        ViewColumn("minimum_proficiency", "The norm that day, 0-100."),
        ViewColumn("review_at", "The review date that holds for this person."),
        ViewColumn(
            "days_overdue", "Days of 24 hours begun from the review to the beginning of the export date, 1 or more."
        ),
    ),
    queries.overdue_objectives,
)

PROFICIENCY_TREND = View(
    "proficiency_trend",
    "Per export date and group: proficiency, and who practices. Learners are those with a result that day, which ends "
    "at loads.date_ends_at.",
    (
        _EXPORT_DATE,
        *_GROUP,
        ViewColumn("learner_count", "Learners with at least one result."),
        ViewColumn("average_proficiency", "Average overall proficiency of all results, 0-100."),
        ViewColumn(
            "learners_practicing_7_days",
            "Learners who practiced in the seven days of 24 hours up to the end of the export date.",
        ),
        ViewColumn(
            "learners_idle_30_days",
            "Learners with no practice in the thirty days of 24 hours up to the end of the export date, or none ever.",
        ),
    ),
    queries.proficiency_trend,
)

VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        LATEST_LOAD,
        TABLE_FRESHNESS,
        CURRENT_RESULTS,
        LEARNER_PROGRESS,
        GROUP_COMPLIANCE,
        OVERDUE_OBJECTIVES,
        PROFICIENCY_TREND,
    )
}
"""All views, by name."""
