from __future__ import annotations

from typing import Any

import pytest

from .pages import Extracted, extract, page, utc

NOOR = {"type": "USER", "id": "noor", "name": "Noor"}
GRADE = {"id": "grade-points", "result": "6.4", "percentage": 64}
PASSED = {"id": "seventy-percent", "result": "Geslaagd", "passed": True}
ATTEMPT = {
    "id": "r",
    "started": "2026-02-09T11:45:21Z",
    "completed": "2026-02-09T12:15:21Z",
    "duration": 30,
    "size": 25,
    "correctlyAnswered": 16,
    "progress": 1.0,
    "score": {"percentage": 64, "transformations": [GRADE, PASSED]},
    "drills": [{"drill": {"id": "d", "type": "DRILL", "name": "Medicines"}, "score": {"percentage": 57}}],
}
ROW = {
    "test_result_id": "r",
    "test_id": "t",
    "group_id": "g",
    "account_id": "noor",
    "started_at": utc(2026, 2, 9, 11, 45, 21),
    "completed_at": utc(2026, 2, 9, 12, 15, 21),
    "duration_minutes": 30,
    "question_count": 25,
    "correctly_answered": 16,
    "progress": 1.0,
    "score_percentage": 64,
    "passed": True,
}


def read(body: Any) -> Extracted:
    return extract(page("test_results", body, group_id="g", test_id="t"))


def attempt(**values: Any) -> Extracted:
    return read([{"user": NOOR, "testResults": [{**ATTEMPT, **values}]}])


ENTRIES = {
    "per member": {"user": NOOR, "testResults": [ATTEMPT]},
    "per member, called member": {"member": NOOR, "testResults": [ATTEMPT]},
    "per member, another name": {"user": NOOR, "attempts": [ATTEMPT]},
    "per attempt": {**ATTEMPT, "user": NOOR},
}


@pytest.mark.parametrize("name", ["memberTestResults", "testResults", "groupTestResults", "results", None])
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_an_attempt_loads_from_each_form(name: str | None, entry: Any) -> None:
    body = [entry] if name is None else {"group": {"id": "g"}, "total": 1, "test": {"id": "t"}, name: [entry]}
    found = read(body)
    assert found.row("test_results") == ROW
    assert found.rows("test_result_scores") == [
        {
            "test_result_id": "r",
            "transformation_id": "grade-points",
            "result": "6.4",
            "passed": None,
            "percentage": 64,
        },
        {
            "test_result_id": "r",
            "transformation_id": "seventy-percent",
            "result": "Geslaagd",
            "passed": True,
            "percentage": None,
        },
    ]
    assert found.row("test_result_drills") == {"test_result_id": "r", "drill_id": "d", "score_percentage": 57}
    assert found.rejects() == []


def test_a_member_may_have_several_attempts() -> None:
    found = read([{"user": NOOR, "testResults": [ATTEMPT, {**ATTEMPT, "id": "r2"}]}])
    assert found.column("test_results", "test_result_id") == ["r", "r2"]


@pytest.mark.parametrize(
    "entry",
    [{"user": NOOR}, {"user": NOOR, "testResults": []}, {"user": NOOR, "attempts": []}, {"member": NOOR}],
)
def test_a_member_without_attempts_is_no_attempt(entry: Any) -> None:
    found = read({"memberTestResults": [entry]})
    assert found.rows("test_results") == []
    assert found.rejects() == []
    assert found.column("accounts", "account_id") == ["noor"]


@pytest.mark.parametrize("entry", [{}, {"attempts": []}, {"user": None}, {"user": "noor"}])
def test_an_entry_without_person_and_attempts_is_a_reject(entry: Any) -> None:
    found = read({"memberTestResults": [entry]})
    assert found.rows("test_results") == []
    assert [reject.table for reject in found.rejects()] == ["test_results"]


def test_an_attempt_under_way_has_no_end_and_no_score() -> None:
    found = read([{"user": NOOR, "testResults": [{"id": "r", "started": "2026-02-09T11:45Z", "progress": 0}]}])
    row = found.row("test_results")
    assert (row["completed_at"], row["score_percentage"], row["passed"], row["progress"]) == (None, None, None, 0.0)
    assert found.rows("test_result_scores") == []


def test_a_finished_attempt_may_have_no_score() -> None:
    row = attempt(score=None).row("test_results")
    assert row["completed_at"] is not None
    assert row["score_percentage"] is None


def test_a_score_may_be_a_number() -> None:
    assert attempt(score=64).row("test_results")["score_percentage"] == 64


def test_the_score_of_a_drill_may_be_a_number() -> None:
    found = attempt(drills=[{"drill": {"id": "d"}, "score": 57}, {"drill": {"id": "e"}}])
    assert found.column("test_result_drills", "score_percentage") == [57, None]


FAILED = {"id": "eighty-percent", "result": "Niet geslaagd", "passed": False}


@pytest.mark.parametrize(
    ("transformations", "passed"),
    [
        (None, None),
        ([], None),
        ([GRADE], None),
        ([GRADE, PASSED], True),
        ([FAILED], False),
        ([FAILED, PASSED], False),
        ([PASSED, FAILED], True),
        ([{**PASSED, "passed": None}, FAILED], False),
    ],
)
def test_passed_is_that_of_the_first_transformation_that_says_so(transformations: Any, passed: bool | None) -> None:
    score = {"percentage": 64, "transformations": transformations}
    assert attempt(score=score).row("test_results")["passed"] is passed


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        ({"id": None}, ["test_result_id: missing"]),
        ({"progress": 1.5}, ["progress: out of range, which is 0 to 1"]),
        ({"progress": "all"}, ["progress: expected a number, found text"]),
        ({"score": "good"}, ["score_percentage: expected an integer, found text"]),
        ({"score": {"percentage": 640}}, ["score_percentage: out of range, which is 0 to 100"]),
        ({"score": {"transformations": {}}}, ["transformations: expected a list, found an object"]),
        ({"score": {"transformations": [GRADE, "?"]}}, ["transformations[]: expected an object, found text"]),
        ({"score": {"transformations": [{"result": "6"}]}}, ["transformation_id: missing"]),
        ({"score": {"transformations": [{"id": "x", "result": 6}]}}, ["result: expected text, found a number"]),
        (
            {"score": {"transformations": [{"id": "x", "passed": "yes"}]}},
            ["passed: expected true or false, found text"] * 2,
        ),
        ({"drills": [{"score": 5}]}, ["drill_id: missing"]),
        ({"drills": [{"drill": "d"}]}, ["drill_id: expected an object, found text"]),
        (
            {"drills": [{"drill": {"id": "d"}, "score": "5 of 6"}]},
            ["score_percentage: expected an integer, found text"],
        ),
        ({"started": "today"}, ["started_at: expected a timestamp, found other text"]),
    ],
)
def test_what_does_not_fit_is_rejected_with_a_reason(values: dict[str, Any], reasons: list[str]) -> None:
    assert attempt(**values).reasons() == reasons


@pytest.mark.parametrize("entry", [{}, {"unknown": 1}, {"user": NOOR, "unknown": 1}])
def test_an_entry_that_says_nothing_known_is_rejected_rather_than_passed_over(entry: Any) -> None:
    assert read({"memberTestResults": [entry]}).reasons() == ["test_result_id: missing"]


def test_a_rejected_attempt_does_not_take_its_scores_along() -> None:
    found = attempt(progress=2)
    assert found.rows("test_results") == []
    assert len(found.rows("test_result_scores")) == 2


def test_an_attempt_by_nobody_known_still_counts() -> None:
    assert read([{**ATTEMPT, "ticket": {"id": "x"}}]).row("test_results")["account_id"] is None
