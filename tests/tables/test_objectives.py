from __future__ import annotations

from typing import Any

import pytest

from .pages import extract, page, utc

PLAYABLE = {"id": "d", "type": "DRILL", "name": "Medicines"}
OBJECTIVE = {
    "id": "o",
    "name": "Safe medication",
    "type": "ONEOFF",
    "reviewDate": "2026-08-01T00:00:00Z",
    "minimumProficiency": 80,
    "fallingMinimumProficiency": 70,
    "estimatedStudyDuration": "PT48H",
    "playables": [PLAYABLE],
}
ROW = {
    "objective_id": "o",
    "group_id": "g",
    "name": "Safe medication",
    "type": "ONEOFF",
    "review_at": utc(2026, 8, 1),
    "minimum_proficiency": 80,
    "falling_minimum_proficiency": 70,
    "estimated_study_seconds": 172_800,
}


@pytest.mark.parametrize(
    "body",
    [
        [OBJECTIVE],
        {"total": 1, "objectives": [OBJECTIVE]},
        {"objectives": [OBJECTIVE], "pagination": {"moreAvailable": False}},
        {"groupObjectives": [OBJECTIVE]},
    ],
    ids=["bare array", "total", "pagination", "another name"],
)
def test_an_objective_loads_from_each_form(body: Any) -> None:
    found = extract(page("objectives", body, group_id="g"))
    assert found.row("objectives") == ROW
    assert found.row("objective_playables") == {"objective_id": "o", "playable_id": "d"}


@pytest.mark.parametrize("number", [80, "80", 80.0])
def test_a_proficiency_loads_as_a_number_or_as_text(number: Any) -> None:
    found = extract(page("objectives", [{**OBJECTIVE, "minimumProficiency": number}], group_id="g"))
    assert found.row("objectives")["minimum_proficiency"] == 80


@pytest.mark.parametrize(
    ("given", "minimum", "falling"),
    [
        ({"minimumProficiency": "90"}, 90, 90),
        ({"minimumProficiency": 90, "fallingMinimumProficiency": None}, 90, 90),
        ({"minimumProficiency": 90, "fallingMinimumProficiency": 0}, 90, 0),
        ({"fallingMinimumProficiency": 60}, None, 60),
        ({}, None, None),
    ],
)
def test_a_falling_minimum_that_is_left_out_is_the_minimum(given: dict[str, Any], minimum: Any, falling: Any) -> None:
    row = extract(page("objectives", [{"id": "o", **given}], group_id="g")).row("objectives")
    assert (row["minimum_proficiency"], row["falling_minimum_proficiency"]) == (minimum, falling)


def test_content_under_drills_has_no_type_and_loads_next_to_playables() -> None:
    objective = {**OBJECTIVE, "drills": [{"id": "e"}, {"id": "d"}]}
    found = extract(page("objectives", [objective], group_id="g"))
    assert found.column("objective_playables", "playable_id") == ["e", "d"]
    assert {row["playable_id"]: row["type"] for row in found.rows("playables")} == {"d": "DRILL", "e": "DRILL"}


def test_an_objective_needs_only_an_id() -> None:
    row = extract(page("objectives", [{"id": "o"}], group_id="g")).row("objectives")
    assert {name for name, value in row.items() if value is not None} == {"objective_id", "group_id"}


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        ({"name": "x"}, "objective_id: missing"),
        ({"id": "o", "minimumProficiency": "high"}, "minimum_proficiency, falling_minimum_proficiency: expected an "),
        ({"id": "o", "minimumProficiency": 101, "fallingMinimumProficiency": 9}, "minimum_proficiency: out of range"),
        ({"id": "o", "reviewDate": "PER_USER"}, "review_at: expected a timestamp, found other text"),
        ({"id": "o", "estimatedStudyDuration": 48}, "estimated_study_seconds: expected an ISO 8601 duration, found a "),
        ({"id": "o", "estimatedStudyDuration": "P1Y"}, "estimated_study_seconds: expected an ISO 8601 duration of "),
        ("o", "objectives[]: expected an object, found text"),
    ],
)
def test_an_objective_that_does_not_fit_is_rejected_with_a_reason(objective: Any, reason: str) -> None:
    found = extract(page("objectives", [objective, {"id": "next"}], group_id="g"))
    (met,) = found.reasons()
    assert met.startswith(reason)
    assert found.column("objectives", "objective_id") == ["next"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([{"name": "x"}], "playable_id: missing"),
        (["d"], "playables[]: expected an object, found text"),
        ({"id": "d"}, "playables: expected a list, found an object"),
    ],
)
def test_broken_content_does_not_take_its_objective_along(content: Any, reason: str) -> None:
    found = extract(page("objectives", [{"id": "o", "playables": content}], group_id="g"))
    assert found.reasons() == [reason]
    assert found.column("objectives", "objective_id") == ["o"]
