from __future__ import annotations

import hashlib
from typing import Any

import pytest

from .pages import CAPTURED_AT, EXPORT_DATE, Extracted, extract, page, utc

NOOR = {"type": "USER", "id": "noor", "name": "Noor"}
EVALUATION = {"user": NOOR, "evaluationDate": "2026-03-14T02:00:00Z", "met": True, "proficiency": 91}
OBJECTIVE = {"id": "o", "reviewDate": "2026-08-01T00:00:00Z", "minimumProficiency": "80"}
ROW = {
    "export_date": EXPORT_DATE,
    "objective_id": "o",
    "account_id": "noor",
    "group_id": "g",
    "met": True,
    "proficiency": 91,
    "evaluated_at": utc(2026, 3, 14, 2),
    "review_at": utc(2026, 8, 1),
    "minimum_proficiency": 80,
    "captured_at": CAPTURED_AT,
}


def evaluations(body: Any, objective: Any = OBJECTIVE) -> Extracted:
    return extract(
        page("objectives", [objective], group_id="g"),
        page("objective_evaluations", body, group_id="g", objective_id="o"),
    )


@pytest.mark.parametrize(
    "body",
    [
        [EVALUATION],
        {"evaluations": [EVALUATION], "pagination": {"moreAvailable": False, "lastOnPage": "noor"}},
        {"evaluations": [EVALUATION]},
        {"objectiveEvaluations": [EVALUATION], "pagination": {"total": 1}},
        {"items": [EVALUATION], "total": 1},
    ],
    ids=["bare array", "evaluations, paged", "evaluations", "objectiveEvaluations", "another name"],
)
def test_an_evaluation_loads_from_each_form_with_the_norm_of_the_day(body: Any) -> None:
    assert evaluations(body).row("objective_evaluations") == ROW


def test_an_evaluation_needs_only_its_user() -> None:
    row = evaluations([{"user": {"id": "noor"}}], {"id": "o"}).row("objective_evaluations")
    given = {"export_date", "objective_id", "account_id", "group_id", "captured_at"}
    assert {name for name, value in row.items() if value is not None} == given


def test_a_members_own_review_date_wins_over_the_objectives() -> None:
    own = {**EVALUATION, "reviewDate": "2026-05-01T00:00Z"}
    inside = {**EVALUATION, "user": {"id": "kim"}, "objective": {"id": "o", "reviewDate": "2026-06-01"}}
    assert evaluations([own, inside]).column("objective_evaluations", "review_at") == [utc(2026, 5, 1), utc(2026, 6, 1)]


def test_the_norm_is_that_of_the_evaluations_own_objective() -> None:
    found = extract(
        page("objectives", [OBJECTIVE, {"id": "p", "minimumProficiency": 60}], group_id="g"),
        page("objective_evaluations", [EVALUATION], group_id="g", objective_id="p"),
        page("objective_evaluations", [EVALUATION], group_id="g", objective_id="unread"),
    )
    assert {row["objective_id"]: row["minimum_proficiency"] for row in found.rows("objective_evaluations")} == {
        "p": 60,
        "unread": None,
    }


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"met": True}, "account_id: missing"),
        ({"user": "noor"}, "account_id: expected an object, found text"),
        ({**EVALUATION, "met": "yes"}, "met: expected true or false, found text"),
        ({**EVALUATION, "proficiency": "91.5"}, "proficiency: expected an integer, found text"),
        ({**EVALUATION, "objective": "o"}, "review_at, minimum_proficiency: expected an object, found text"),
        (True, "evaluations[]: expected an object, found a boolean"),
    ],
)
def test_an_evaluation_that_does_not_fit_is_rejected_with_a_reason(item: Any, reason: str) -> None:
    found = evaluations([item, {"user": {"id": "next"}}])
    assert found.reasons() == [reason]
    assert found.column("objective_evaluations", "account_id") == ["next"]


WHEN = "2026-03-14T09:26:53Z"
KEY = hashlib.sha256(b"o|noor|OBJECTIVE_BECAME_OK|2026-03-14T09:26:53.000000Z").hexdigest()[:32]
EVENT = {
    "event_id": KEY,
    "objective_id": "o",
    "account_id": "noor",
    "group_id": "g",
    "event_type": "OBJECTIVE_BECAME_OK",
    "occurred_at": utc(2026, 3, 14, 9, 26, 53),
    "proficiency": 91,
}
INSIDE = {"user": NOOR, "evaluationDate": WHEN, "proficiency": 91, "met": True}


def events(body: Any) -> Extracted:
    return extract(
        page("objective_events", body, group_id="g", objective_id="o"),
        kind="events",
        tables=("objective_events", "accounts"),
    )


@pytest.mark.parametrize("type_name", ["eventType", "type"])
@pytest.mark.parametrize("time", [{"timestamp": WHEN}, {"date": WHEN}, {}], ids=["timestamp", "date", "evaluationDate"])
@pytest.mark.parametrize("evaluation", ["evaluation", "objectiveEvaluation"])
@pytest.mark.parametrize("user_outside", [True, False], ids=["user outside", "user inside"])
def test_an_event_loads_whatever_its_fields_are_called_and_wherever_they_are(
    type_name: str, time: dict[str, str], evaluation: str, user_outside: bool
) -> None:
    inside = {name: value for name, value in INSIDE.items() if name != "user" or not user_outside}
    item = {type_name: "OBJECTIVE_BECAME_OK", **time, evaluation: inside}
    if user_outside:
        item["user"] = NOOR
    found = events({"events": [item], "pagination": {"lastOnPage": "x", "moreAvailable": False}})
    assert found.row("objective_events") == EVENT
    assert found.column("accounts", "account_id") == ["noor"]


def test_a_flat_event_loads_too() -> None:
    item = {"eventType": "OBJECTIVE_BECAME_OK", "timestamp": WHEN, "user": NOOR, "proficiency": 91}
    assert events([item]).row("objective_events") == EVENT


def test_events_load_under_any_name_of_the_list() -> None:
    item = {"eventType": "OBJECTIVE_BECAME_OK", "timestamp": WHEN, "evaluation": INSIDE}
    assert events({"objectiveEvaluationEvents": [item]}).row("objective_events") == EVENT


def test_an_id_that_drillster_gives_is_kept() -> None:
    item = {"eventId": "e-1", "eventType": "OBJECTIVE_BECAME_OK", "timestamp": WHEN, "evaluation": INSIDE}
    assert events([item]).row("objective_events")["event_id"] == "e-1"


def test_the_new_name_of_a_type_wins_over_the_deprecated_one() -> None:
    item = {"eventType": "OBJECTIVE_BECAME_OK", "type": "OBJECTIVE_MET", "timestamp": WHEN, "evaluation": INSIDE}
    assert events([item]).row("objective_events")["event_type"] == "OBJECTIVE_BECAME_OK"


@pytest.mark.parametrize("when", [WHEN, "2026-03-14T09:26:53.000Z", "2026-03-14T10:26:53+01:00", "2026-03-14T09:26:53"])
def test_an_event_has_the_same_id_however_its_time_is_written(when: str) -> None:
    item = {"eventType": "OBJECTIVE_BECAME_OK", "timestamp": when, "evaluation": INSIDE}
    assert events([item]).row("objective_events")["event_id"] == KEY


def test_an_event_that_two_pages_repeat_is_given_once() -> None:
    item = {"eventType": "OBJECTIVE_BECAME_OK", "timestamp": WHEN, "evaluation": INSIDE}
    assert len(events([item, item]).rows("objective_events")) == 1


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"timestamp": WHEN, "user": NOOR}, "event_id, event_type: missing"),
        ({"eventType": "X", "user": NOOR}, "event_id, occurred_at: missing"),
        ({"eventType": "X", "timestamp": WHEN}, "event_id, account_id: missing"),
        ({"eventType": "X", "timestamp": "now", "user": NOOR}, "event_id: missing; occurred_at: expected a timestamp"),
        (
            {"eventType": 3, "timestamp": WHEN, "user": NOOR},
            "event_id: missing; event_type: expected text, found a num",
        ),
        ({"eventId": "e", "eventType": "X", "timestamp": WHEN}, "account_id: missing"),
        ({"eventType": "X", "timestamp": WHEN, "user": NOOR, "evaluation": 3}, "proficiency: expected an object"),
        (3, "events[]: expected an object, found a number"),
    ],
)
def test_an_event_that_does_not_fit_is_rejected_with_a_reason(item: Any, reason: str) -> None:
    found = events([item, {"eventType": "X", "timestamp": WHEN, "user": NOOR}])
    (met,) = found.reasons()
    assert met.startswith(reason)
    assert found.column("objective_events", "event_type") == ["X"]


def test_a_norm_that_does_not_fit_costs_the_objective_but_nobodys_evaluation() -> None:
    objectives = [
        {"id": "o", "type": "PERMANENT", "minimumProficiency": "much", "reviewDate": "2026-05-01T00:00:00Z"},
        {"id": "p", "type": "PERMANENT", "minimumProficiency": 80, "reviewDate": "soon"},
    ]
    found = extract(
        page("objectives", {"objectives": objectives}, group_id="g"),
        *(
            page("objective_evaluations", [{"user": {"id": "a"}, "met": True}], group_id="g", objective_id=objective)
            for objective in ("o", "p")
        ),
    )
    assert [reject.key for reject in found.rejects()] == [("o",), ("p",)]
    assert found.column("objective_evaluations", "minimum_proficiency") == [None, 80]
    assert found.column("objective_evaluations", "review_at") == [utc(2026, 5, 1), None]
