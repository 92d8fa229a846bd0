"""Each alternative form of an answer, each at least once (drillster-api.md, section 14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .caller import Caller
from .shaped import EVERYTHING, Paths, shaped

Check = Callable[[Any, Any], bool]
"""Compares the answer in its usual form with the one in another form."""

FORMS: dict[str, tuple[str, dict[str, Any], Check]] = {
    "accounts under another name": (
        "accounts",
        {"accounts_list": "organizationAccounts"},
        lambda usual, body: body["organizationAccounts"] == usual["accounts"] and "accounts" not in body,
    ),
    "accounts as bare users": (
        "accounts",
        {"accounts_items": "bare"},
        lambda usual, body: body["accounts"] == [item["account"] for item in usual["accounts"]],
    ),
    "a group without tests": (
        "group",
        {"group_has_tests": False},
        lambda usual, body: "tests" in usual and "tests" not in body and body["counts"] == usual["counts"],
    ),
    "a group with an empty list of members": (
        "group",
        {"group_has_members": True},
        lambda _, body: body["members"] == [],
    ),
    "drillables with an empty list of members": (
        "drillables",
        {"group_has_members": True},
        lambda usual, body: body["members"] == [] and body["drillables"] == usual["drillables"],
    ),
    "members without total": (
        "members",
        {"without_total": frozenset({"group_members"})},
        lambda usual, body: body["members"] == usual["members"] and "total" not in body["pagination"],
    ),
    "members without pagination": (
        "members",
        {"without_pagination": frozenset({"group_members"})},
        lambda usual, body: body["members"] == usual["members"] and "pagination" not in body,
    ),
    "invitees without a status": (
        "members",
        {"invitee_status": False, "invitee_invited": False},
        lambda _, body: all(set(one) == {"member"} for one in body["members"] if "joined" not in one),
    ),
    "invitees without an id": (
        "members",
        {"invitee_id": False},
        lambda _, body: all(("id" in one["member"]) == ("joined" in one) for one in body["members"]),
    ),
    "objectives as a bare array": (
        "objectives",
        {"objectives_list": "array"},
        lambda usual, body: body == usual["objectives"],
    ),
    "objectives with drills": (
        "objectives",
        {"objectives_content": "drills"},
        lambda _, body: all(
            ("playables" in one) == (one["type"] == "TEST")
            and all(set(drill) == {"id", "name"} for drill in one.get("drills", ()))
            for one in body["objectives"]
        ),
    ),
    "objectives with numbers as text": (
        "objectives",
        {"objectives_numbers": "string"},
        lambda usual, body: (
            [str(one.get("minimumProficiency")) for one in usual["objectives"]]
            == [one.get("minimumProficiency", "None") for one in body["objectives"]]
        ),
    ),
    "objectives without a name": (
        "objectives",
        {"objectives_named": False},
        lambda _, body: not any("name" in one for one in body["objectives"]),
    ),
    "objectives without a total": (
        "objectives",
        {"without_total": frozenset({"objectives"})},
        lambda usual, body: body == {"objectives": usual["objectives"]},
    ),
    "evaluations under another name": (
        "evaluations",
        {"evaluations_list": "objectiveEvaluations"},
        lambda usual, body: body["objectiveEvaluations"] == usual["evaluations"] and "pagination" in body,
    ),
    "evaluations as a bare array": (
        "evaluations",
        {"evaluations_list": "array"},
        lambda usual, body: body == usual["evaluations"],
    ),
    "evaluations without pagination": (
        "evaluations",
        {"without_pagination": frozenset({"objective_evaluations"})},
        lambda usual, body: body == {"evaluations": usual["evaluations"]},
    ),
    "evaluations with hardly anything": (
        "evaluations",
        {"evaluations_leave_out": frozenset({"proficiency", "evaluationDate", "reviewDate", "playableEvaluations"})},
        lambda _, body: all(set(one) == {"user", "met"} for one in body["evaluations"]),
    ),
    "events under another name": (
        "events",
        {"events_list": "objectiveEvaluationEvents"},
        lambda usual, body: body["objectiveEvaluationEvents"] == usual["events"],
    ),
    "events with a type": (
        "events",
        {"events_type": "type"},
        lambda usual, body: [one["type"] for one in body["events"]] == [one["eventType"] for one in usual["events"]],
    ),
    "events with a date": (
        "events",
        {"events_time": "date"},
        lambda usual, body: (
            [one["date"] for one in body["events"]] == [one["timestamp"] for one in usual["events"]]
            and not any("evaluationDate" in one["evaluation"] for one in body["events"])
        ),
    ),
    "events dated by their evaluation": (
        "events",
        {"events_time": "evaluationDate"},
        lambda usual, body: (
            all("timestamp" not in one and "date" not in one for one in body["events"])
            and [one["evaluation"]["evaluationDate"] for one in body["events"]]
            == [one["timestamp"] for one in usual["events"]]
        ),
    ),
    "events with an objectiveEvaluation": (
        "events",
        {"events_evaluation": "objectiveEvaluation"},
        lambda usual, body: (
            [one["objectiveEvaluation"] for one in body["events"]] == [one["evaluation"] for one in usual["events"]]
        ),
    ),
    "events with the user inside": (
        "events",
        {"events_user": "evaluation"},
        lambda usual, body: (
            [one["evaluation"]["user"] for one in body["events"]] == [one["user"] for one in usual["events"]]
            and not any("user" in one for one in body["events"])
        ),
    ),
    "events without an id": (
        "events",
        {"events_have_id": False},
        lambda _, body: not any("eventId" in one for one in body["events"]),
    ),
    "practice on its own": (
        "results",
        {"practice": "practice"},
        lambda usual, body: all(
            set(one) == {"drillable", "practice"}
            and one["drillable"] | one["practice"] == was["drillable"] | measures(was)
            for one, was in zip(listed(body), listed(usual), strict=True)
        ),
    ),
    "practice within the drillable": (
        "results",
        {"practice": "drillable"},
        lambda usual, body: all(
            set(one) == {"drillable"} and one["drillable"]["practice"] == measures(was)
            for one, was in zip(listed(body), listed(usual), strict=True)
        ),
    ),
    "proficiency as a number": (
        "results",
        {"proficiency": "number"},
        lambda usual, body: all(
            one["proficiency"] == was["proficiency"]["overall"]
            and one.get("highestProficiency") == was.get("highestProficiency", {}).get("overall")
            for one, was in zip(listed(body), listed(usual), strict=True)
        ),
    ),
    "test results under another name": (
        "test_results",
        {"test_results_list": "testResults"},
        lambda usual, body: body["testResults"] == usual["memberTestResults"],
    ),
    "test results by attempt": (
        "test_results",
        {"test_results_items": "flat"},
        lambda usual, body: (
            [(one["user"], one["id"]) for one in body["memberTestResults"]]
            == [(one["user"], attempt["id"]) for one in usual["memberTestResults"] for attempt in one["testResults"]]
        ),
    ),
    "attempts without completion or score": (
        "test_results",
        {"attempts_leave_out": frozenset({"completed", "score"})},
        lambda usual, body: (
            sum("score" in one for one in attempts(body)) < sum("score" in one for one in attempts(usual))
        ),
    ),
    "catalogs under another name": (
        "catalogs",
        {"catalogs_list": "organizationCatalogs"},
        lambda usual, body: body["organizationCatalogs"] == usual["catalogs"],
    ),
    "content under another name": (
        "content",
        {"content_list": "content"},
        lambda usual, body: body["content"] == usual["playables"] and "playables" not in body,
    ),
    "content without more available": (
        "content",
        {"without_more_available": frozenset({"catalog_content"})},
        lambda usual, body: set(body["pagination"]) == set(usual["pagination"]) - {"moreAvailable"},
    ),
    "staff without a count": (
        "staff",
        {"without_total": EVERYTHING},
        lambda usual, body: "count" not in body and body["groupStaffUsers"] == usual["groupStaffUsers"],
    ),
}


def listed(body: Any) -> Any:
    return body["groupDrillableMemberResults"]


def measures(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "drillable"}


def attempts(body: Any) -> list[Any]:
    return [attempt for item in body["memberTestResults"] for attempt in item["testResults"]]


@pytest.mark.parametrize(("where", "shapes", "check"), FORMS.values(), ids=FORMS)
def test_an_answer_can_take_another_form(
    caller: Caller, paths: Paths, where: str, shapes: dict[str, Any], check: Check
) -> None:
    usual = caller.get(getattr(paths, where), resultSize=100)
    body = shaped(caller, getattr(paths, where), **shapes)
    assert body != usual
    assert check(usual, body)
