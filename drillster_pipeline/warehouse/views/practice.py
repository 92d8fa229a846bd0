"""Views of practice and of tests."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from drillster_pipeline.warehouse.expressions import as_double, ratio
from drillster_pipeline.warehouse.model import Tables

from .declaration import (
    ACCOUNT,
    DATE,
    GROUP,
    NEWEST,
    PLAYABLE,
    VIEWS,
    flag,
    labelled,
    newest_date,
    newest_results,
    view,
    with_names,
)

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


@view(
    "Practice results of the newest export date, with the names of account, group and playable.",
    {
        **NEWEST,
        **GROUP,
        **ACCOUNT,
        **PLAYABLE,
        **_MEASURES,
    },
)
def current_results(tables: Tables) -> sa.Select[Any]:
    """Results of the newest date, with names."""
    results = tables("results")
    names, joined = with_names(tables, results, "groups", "accounts", "playables")
    measures = {name: results.c[name] for name in _MEASURES}
    query = sa.select(*labelled(names | measures)).select_from(joined)
    return query.where(results.c.export_date == newest_date(tables, "results"))


@view(
    "How far each learner is in each group on the newest export date.",
    {
        **NEWEST,
        **GROUP,
        **ACCOUNT,
        "playable_count": "Drills and courses with a result.",
        "average_proficiency": "Average of their overall proficiency, 0-100.",
        "minutes_practiced": "Time practiced in all of them together.",
        "last_practiced_at": "Last practice in any of them.",
    },
)
def learner_progress(tables: Tables) -> sa.Select[Any]:
    """One row per learner and group, on the newest date."""
    results = tables("results")
    totals: dict[str, sa.ColumnElement[Any]] = {
        "playable_count": sa.func.count(),
        "average_proficiency": sa.type_coerce(sa.func.avg(as_double(results.c.proficiency)), sa.Double()),
        "minutes_practiced": ratio(sa.func.sum(results.c.time_spent_seconds), 60),
        "last_practiced_at": sa.func.max(results.c.last_practiced_at),
    }
    return newest_results(tables, ("groups", "accounts"), totals)


@view(
    "Practice of each person in each drill and course on the newest export date, once: results has it for each group "
    "of the person that has the drill. Where these differ, as they were read at different moments, the highest counts.",
    {
        **NEWEST,
        **ACCOUNT,
        **PLAYABLE,
        "group_count": "Groups in which results shows it.",
        **_MEASURES,
    },
)
def account_results(tables: Tables) -> sa.Select[Any]:
    """One row per person and playable."""
    results = tables("results")
    totals = {"group_count": sa.func.count(), **{name: sa.func.max(results.c[name]) for name in _MEASURES}}
    return newest_results(tables, ("accounts", "playables"), totals)


@view(
    "Per export date and group: proficiency, and who practices. Learners are those with a result that day, which ends "
    "at loads.date_ends_at.",
    {
        **DATE,
        **GROUP,
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
    names, joined = with_names(tables, daily, "groups")
    figures = (daily.c[name] for name in VIEWS["proficiency_trend"].columns if name not in names)
    return sa.select(*labelled(names), *figures).select_from(joined).where(daily.c.learner_count.is_not(None))


@view(
    "Attempts at tests, numbered for each person and test, whatever the group; those of unknown persons are left out.",
    {
        "test_result_id": "The attempt.",
        "test_id": "The test.",
        "test_name": "Its name.",
        **GROUP,
        **ACCOUNT,
        "started_at": "When it was started.",
        "completed_at": "When it was handed in or timed out; NULL: under way.",
        "score_percentage": "Score, 0-100.",
        "passed": "Whether the test was passed; NULL where nothing says so.",
        "attempt_number": "The person's attempts at the test, numbered from 1 by their start.",
        "is_first_pass": "Whether it is the first of them that was passed.",
        "best_score_percentage": "The best score of all of them.",
    },
)
def test_attempts(tables: Tables) -> sa.Select[Any]:
    """One row per attempt. Its windows share one order, so that the attempts are sorted once."""
    attempts, playables, groups, accounts = map(tables, ("test_results", "playables", "groups", "accounts"))
    of_person = [attempts.c.account_id, attempts.c.test_id]
    order = [attempts.c.started_at.is_(None), attempts.c.started_at, attempts.c.test_result_id]

    def until_then(value: Any) -> sa.ColumnElement[int]:
        return sa.func.count(value).over(partition_by=of_person, order_by=order, rows=(None, 0))

    numbered = sa.select(
        *(attempts.c[name] for name in VIEWS["test_attempts"].columns if name in attempts.c),
        until_then(attempts.c.test_result_id).label("attempt_number"),
        until_then(sa.case((attempts.c.passed.is_(sa.true()), 1))).label("passed_until_then"),
        sa.func.max(attempts.c.score_percentage).over(partition_by=of_person).label("best_score_percentage"),
    ).subquery("numbered")
    is_first_pass = flag(sa.and_(numbered.c.passed.is_(sa.true()), numbered.c.passed_until_then == 1))
    made = {
        "test_name": playables.c.name,
        "group_name": groups.c.name,
        "account_name": accounts.c.name,
        "is_first_pass": is_first_pass,
    }
    columns = {name: made[name] if name in made else numbered.c[name] for name in VIEWS["test_attempts"].columns}
    return (
        sa.select(*labelled(columns))
        .join_from(numbered, playables, playables.c.playable_id == numbered.c.test_id, isouter=True)
        .join(groups, groups.c.group_id == numbered.c.group_id, isouter=True)
        .join(accounts, accounts.c.account_id == numbered.c.account_id)
    )
