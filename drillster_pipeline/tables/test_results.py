"""Tests taken: each attempt, what it came to under each transformation of the score, and per drill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from drillster_pipeline.extract.values import Misfit, identity, inner

from .schema import Column, Kind, Table, Type, boolean, integer, key, percentage, text, timestamp

if TYPE_CHECKING:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.state import Findings

_ITEM = "test_results: memberTestResults[].testResults[]"

TEST_RESULTS = Table(
    name="test_results",
    kind=Kind.EVENT,
    description="Each attempt at a test, under way or finished.",
    key=("test_result_id",),
    sources=("test_results",),
    group_path="group_id",
    columns=(
        key("test_result_id", "Drillster's id of the attempt.", source=f"{_ITEM}.id"),
        text(
            "test_id",
            "The test.",
            references="playables.playable_id",
            source="test_results: {test_id}",
            nullable=False,
        ),
        text(
            "group_id",
            "The group that lists it; of several, always the same one.",
            references="groups.group_id",
            source="test_results: {group_id}",
            nullable=False,
        ),
        text(
            "account_id",
            "Who took it.",
            references="accounts.account_id",
            source="test_results: memberTestResults[].user.id",
        ),
        timestamp("started_at", "When it was started.", source=f"{_ITEM}.started"),
        timestamp(
            "completed_at",
            "When it was handed in or timed out; NULL: under way.",
            source=f"{_ITEM}.completed",
        ),
        integer("duration_minutes", "Time taken, in minutes.", source=f"{_ITEM}.duration"),
        integer("question_count", "Number of questions.", source=f"{_ITEM}.size"),
        integer("correctly_answered", "Questions answered correctly.", source=f"{_ITEM}.correctlyAnswered"),
        Column(
            name="progress",
            type=Type.FLOAT,
            minimum=0,
            maximum=1,
            description="How far the attempt is: 0.0 to 1.0.",
            source=f"{_ITEM}.progress",
        ),
        percentage("score_percentage", "Score.", source=f"{_ITEM}.score.percentage"),
        boolean(
            "passed",
            "Whether the test was passed, by the first transformation of the score that says so; NULL where none does.",
            source=f"{_ITEM}.score.transformations[].passed",
        ),
    ),
)

TEST_RESULT_SCORES = Table(
    name="test_result_scores",
    kind=Kind.EVENT,
    description="What the score of an attempt comes to under each transformation (a grade, a pass mark).",
    key=("test_result_id", "transformation_id"),
    sources=("test_results",),
    columns=(
        key(
            "test_result_id",
            "The attempt.",
            references="test_results.test_result_id",
            source=f"{_ITEM}.id",
        ),
        key(
            "transformation_id",
            "Drillster's id of the transformation, such as 'seventy-percent-grade-points'.",
            source=f"{_ITEM}.score.transformations[].id",
        ),
        text("result", "The outcome, as text.", source=f"{_ITEM}.score.transformations[].result", prose=True),
        boolean(
            "passed",
            "Whether the outcome is a pass; NULL where the transformation does not say.",
            source=f"{_ITEM}.score.transformations[].passed",
        ),
        percentage(
            "percentage",
            "The outcome as a percentage.",
            source=f"{_ITEM}.score.transformations[].percentage",
        ),
    ),
)

TEST_RESULT_DRILLS = Table(
    name="test_result_drills",
    kind=Kind.EVENT,
    description="The score of an attempt for each drill that the test drew on.",
    key=("test_result_id", "drill_id"),
    sources=("test_results",),
    columns=(
        key(
            "test_result_id",
            "The attempt.",
            references="test_results.test_result_id",
            source=f"{_ITEM}.id",
        ),
        key(
            "drill_id",
            "The drill.",
            references="playables.playable_id",
            source=f"{_ITEM}.drills[].drill.id",
        ),
        percentage(
            "score_percentage",
            "Score on the questions of that drill.",
            source=f"{_ITEM}.drills[].score.percentage",
        ),
    ),
)


def read_test_results(page: Page, found: Findings) -> None:
    """Results of all members for one test: an entry per member with ``testResults``, or one per attempt."""
    group_id, test_id = page.unit.get("group_id"), page.unit.get("test_id")
    test = page.body.get("test") if isinstance(page.body, dict) else None
    found.playables.name(test_id, inner(test), "TEST")
    for person, attempt in _attempts(page, found):
        account_id = found.people.mention(person)
        test_result_id = identity(attempt.get("id"))
        score = attempt.get("score")
        score = inner({"percentage": score} if type(score) in {int, float} else score)
        transformations = score.get("transformations")
        found.playables.name(test_id, inner(attempt.get("test")), "TEST")
        found.rows["test_results"].append(
            (
                test_result_id,
                test_id,
                group_id,
                account_id,
                attempt.get("started"),
                attempt.get("completed"),
                attempt.get("duration"),
                attempt.get("size"),
                attempt.get("correctlyAnswered"),
                attempt.get("progress"),
                score.get("percentage"),
                _passed(transformations),
            )
        )
        if type(test_result_id) is str:
            _read_scores(test_result_id, transformations, found)
            _read_drills(test_result_id, attempt.get("drills"), found)


_OF_A_PERSON = frozenset({"user", "member", "testResults"})
_OF_AN_ATTEMPT = frozenset({"id", "started", "completed", "score", "progress"})


def _attempts(page: Page, found: Findings) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each attempt and who made it. An entry with a person and nothing else is of somebody who made none."""
    entries = found.items("test_results", page)
    for entry in found.objects("test_results", entries, "memberTestResults"):
        person = entry.get("member") if entry.get("user") is None else entry["user"]
        found.people.mention(person)
        attempts = _attempts_of(entry)
        if attempts is not None:
            for attempt in found.objects("test_results", attempts, "testResults"):
                own = attempt.get("user")
                yield person if own is None else own, attempt
        elif type(person) is not dict or not entry.keys() <= _OF_A_PERSON:
            yield person, entry


def _attempts_of(entry: dict[str, Any]) -> Any:
    """The list of attempts: ``testResults``, or the only list of objects of an entry that is no attempt itself.

    An empty list of another name is that of a person who made none; of nobody, it says nothing.
    """
    named = entry.get("testResults")
    if named is not None or entry.keys() & _OF_AN_ATTEMPT:
        return named
    lists = [value for value in entry.values() if type(value) is list and all(type(one) is dict for one in value)]
    return lists[0] if len(lists) == 1 and (lists[0] or entry.keys() & _OF_A_PERSON) else None


def _passed(transformations: Any) -> Any:
    """Of the first transformation that says whether the test was passed (only binary ones do)."""
    if isinstance(transformations, Misfit):
        return transformations
    if type(transformations) is list:
        for one in transformations:
            if type(one) is dict and one.get("passed") is not None:
                return one["passed"]
    return None


def _read_scores(test_result_id: str, transformations: Any, found: Findings) -> None:
    if isinstance(transformations, Misfit):
        return  # the attempt's own row says so
    for one in found.objects("test_result_scores", transformations, "transformations"):
        found.rows["test_result_scores"].append(
            (
                test_result_id,
                identity(one.get("id")),
                one.get("result"),
                one.get("passed"),
                one.get("percentage"),
            )
        )


def _read_drills(test_result_id: str, drills: Any, found: Findings) -> None:
    for one in found.objects("test_result_drills", drills, "drills"):
        drill, score = inner(one.get("drill")), one.get("score")
        drill_id = found.playables.meet(drill, "DRILL")
        percentage = score.get("percentage") if type(score) is dict else score
        found.rows["test_result_drills"].append((test_result_id, drill_id, percentage))
