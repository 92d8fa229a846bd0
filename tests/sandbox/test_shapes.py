"""Each alternative form of an answer, each at least once (drillster-api.md, section 14)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from drillster_pipeline.sandbox import Faults, Shapes, Size

from .caller import Caller, Start
from .conftest import NIGHT

EVERYTHING = frozenset({"*"})


class Paths:
    """Where the resources of the shared sandbox's largest group are."""

    def __init__(self, caller: Caller) -> None:
        seen = caller.sandbox.organization.at(NIGHT)
        group = max(seen.present_groups(), key=lambda one: len(seen.memberships(one)))
        objectives = {one.type: one for one in seen.objectives(group)}
        busiest = max(objectives.values(), key=lambda one: seen.events(one, 0, seen.moment).total)
        learner = seen.model.member(seen.learners(group)[0])
        tests = seen.tests(group)
        self.accounts = "organizations/self/accounts"
        self.group = f"group/{group.id}"
        self.members = f"{self.group}/members"
        self.staff = f"{self.group}/staff"
        self.drillables = f"{self.group}/drillables"
        self.objectives = f"{self.group}/objectives"
        self.evaluations = f"{self.group}/objective/{objectives['PERMANENT'].id}/evaluations"
        self.events = f"objectives/{busiest.id}/events?fromDate=2024-01-01"
        self.results = f"{self.group}/member-results/{learner.id}"
        self.test_results = f"{self.group}/test-results/{tests[0].id}"
        self.catalogs = "organization/self/catalogs"
        self.content = f"catalog/{seen.model.content.catalog_ids()[0]}/content"


@pytest.fixture
def paths(caller: Caller) -> Paths:
    return Paths(caller)


def shaped(caller: Caller, path: str, **shapes: Any) -> Any:
    caller.sandbox.faults = Faults(shapes=Shapes(**shapes))
    return caller.get(path, resultSize=100)


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


def test_the_total_of_groups_can_stand_beside_the_list(caller: Caller) -> None:
    groups = caller.groups()
    body = shaped(caller, "groups", groups_total="top")
    assert body == {"groups": groups, "total": len(groups)}
    assert caller.get("groups", resultStart=2, resultSize=2)["groups"] == groups[2:4]
    assert shaped(caller, "groups", groups_total="both")["total"] == len(groups)


def test_members_can_come_all_at_once(caller: Caller, paths: Paths) -> None:
    everyone = caller.every(paths.members, "members")
    caller.sandbox.faults = Faults(shapes=Shapes(members_paging="all"))
    assert caller.get(paths.members, resultSize=3)["members"] == everyone
    caller.sandbox.faults = Faults(shapes=Shapes(members_default=None))
    assert caller.get(paths.members)["members"] == everyone
    assert len(caller.get(paths.members, resultSize=3)["members"]) == 3


def test_results_of_an_invitee_can_be_missing(caller: Caller) -> None:
    seen = caller.sandbox.organization.at(NIGHT)
    group, invitee = next(
        (group, one)
        for group in seen.present_groups()
        for one in seen.memberships(group)
        if not seen.is_member(one) and seen.has_account(one)
    )
    path = f"group/{group.id}/member-results/{seen.model.member(invitee).id}"
    results = caller.get(path)["groupDrillableMemberResults"]
    assert all(one["proficiency"] == {"overall": 0} and "lastPracticed" not in one for one in results)
    caller.sandbox.faults = Faults(shapes=Shapes(invitee_results="missing"))
    assert caller.call(path).status_code == 404


@pytest.mark.parametrize("inclusive", [frozenset(), EVERYTHING], ids=["exclusive", "inclusive"])
def test_accounts_can_come_newest_first(caller: Caller, paths: Paths, inclusive: frozenset[str]) -> None:
    oldest_first = caller.every(paths.accounts, "accounts")
    caller.sandbox.faults = Faults(shapes=Shapes(accounts_order="newest_first", inclusive=inclusive))
    found = {
        one["account"]["id"]: one
        for page in caller.cursor_pages(paths.accounts, "accounts", resultSize=7)
        for one in page
    }
    assert list(found.values()) == oldest_first[::-1]


CURSORS = {"id": r"[A-Za-z0-9_-]{22}", "index": r"\d+", "timestamp": r"\d{4}-.*\.\d{3}Z"}


@pytest.mark.parametrize(
    ("where", "key", "kind"),
    [
        ("accounts", "accounts", "index"),
        ("members", "members", "index"),
        ("evaluations", "evaluations", "index"),
        ("events", "events", "index"),
        ("results", "groupDrillableMemberResults", "index"),
        ("content", "playables", "index"),
        ("accounts", "accounts", "id"),
        ("members", "members", "id"),
        ("members", "members", "timestamp"),
        ("evaluations", "evaluations", "timestamp"),
    ],
)
def test_a_cursor_can_be_of_another_kind(caller: Caller, paths: Paths, where: str, key: str, kind: Any) -> None:
    path = getattr(paths, where)
    whole = caller.every(path, key)
    caller.sandbox.faults = Faults(shapes=Shapes(cursors=kind))
    assert caller.every(path, key, resultSize=3) == whole
    assert re.fullmatch(CURSORS[kind], caller.get(path, resultSize=3)["pagination"]["lastOnPage"])


def test_events_at_one_moment_are_all_found_by_an_inclusive_timestamp(caller: Caller, paths: Paths) -> None:
    """Reviews change many evaluations in the same millisecond, so an exclusive timestamp would lose some."""
    whole = caller.every(paths.events, "events")
    caller.sandbox.faults = Faults(shapes=Shapes(cursors="timestamp", inclusive=EVERYTHING))
    found: dict[str, Any] = {}
    for page in caller.cursor_pages(paths.events, "events", resultSize=20):
        found |= {event["eventId"]: event for event in page}
    assert list(found.values()) == whole
    cursor = caller.get(paths.events, resultSize=3)["pagination"]["lastOnPage"]
    assert re.fullmatch(CURSORS["timestamp"], cursor)


@pytest.mark.parametrize(("where", "key"), [("accounts", "accounts"), ("members", "members"), ("events", "events")])
def test_a_cursor_can_be_inclusive(caller: Caller, paths: Paths, where: str, key: str) -> None:
    path = getattr(paths, where)
    caller.sandbox.faults = Faults(shapes=Shapes(inclusive=EVERYTHING))
    first = caller.get(path, resultSize=3)
    second = caller.get(path, resultSize=3, resultFrom=first["pagination"]["lastOnPage"])
    assert second[key][0] == first[key][-1]


def test_an_inclusive_cursor_loses_no_account_of_an_import(start: Start) -> None:
    size = Size(accounts=102, import_batch=25, stable=True)
    caller = start(size=size, faults=Faults(shapes=Shapes(inclusive=frozenset({"accounts"}))))
    found: dict[str, Any] = {}
    query: dict[str, Any] = {}
    for _ in range(10):
        body = caller.get("organizations/self/accounts", resultSize=60, **query)
        found |= {one["account"]["id"]: one for one in body["accounts"]}
        query = {"resultFrom": body["pagination"]["lastOnPage"]}
        if not body["pagination"]["moreAvailable"]:
            break
    assert len(found) == 102


def test_the_cursor_of_an_empty_page_is_missing_or_null(caller: Caller, paths: Paths) -> None:
    empty = paths.events.partition("?")[0] + "?fromDate=2024-01-01&toDate=2024-01-01"
    assert caller.get(empty)["pagination"] == {"total": 0, "moreAvailable": False}
    assert shaped(caller, empty, null_cursor_on_empty=True)["pagination"]["lastOnPage"] is None


@pytest.mark.parametrize("form", ["milliseconds", "minutes", "mixed"])
def test_timestamps_come_in_every_precision(caller: Caller, paths: Paths, form: Any) -> None:
    forms = {"milliseconds": r".*T\d\d:\d\d:\d\d\.\d{3}Z", "minutes": r".*T\d\d:\d\dZ"}
    for where in ("accounts", "members", "events", "results"):
        usual = caller.get(getattr(paths, where), resultSize=100)
        moments = stamps(shaped(caller, getattr(paths, where), timestamps=form))
        caller.sandbox.faults = Faults()
        assert len(moments) == len(stamps(usual)) > 0
        assert [moment[:16] for moment in moments] == [moment[:16] for moment in stamps(usual)]
        if form != "mixed":
            assert all(re.fullmatch(forms[form], moment) for moment in moments)
        else:
            assert where == "events" or len({len(moment) for moment in moments}) > 1


def stamps(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for name, item in value.items() if name != "lastOnPage" for one in stamps(item)]
    if isinstance(value, list):
        return [one for item in value for one in stamps(item)]
    return [value] if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value) else []


def test_optional_fields_can_all_be_missing(caller: Caller, paths: Paths) -> None:
    def bare(path: str) -> Any:
        return shaped(caller, path, optional_fields=False)

    assert {frozenset(one["account"]) for one in bare(paths.accounts)["accounts"]} == {
        frozenset({"type", "id", "name"})
    }
    assert {frozenset(one) for one in bare("groups")["groups"]} == {frozenset({"id", "name", "description"})}
    assert {frozenset(one) for one in bare(paths.evaluations)["evaluations"]} == {frozenset({"user", "met"})}
    results = {"drillable", "proficiency", "timeSpent", "expectedDuration"}
    assert {frozenset(one) for one in bare(paths.results)["groupDrillableMemberResults"]} == {frozenset(results)}
    assert all("name" not in one and "type" in one for one in bare(paths.objectives)["objectives"])
    members = {frozenset(one) for one in bare(paths.members)["members"]}
    assert members == {frozenset({"member"}), frozenset({"member", "joined"})}
    assert "tests" in bare(paths.group)


ERROR_FORMS = {
    "object": lambda answer: set(answer.json()) == {"id", "description"},
    "oauth": lambda answer: set(answer.json()) == {"error", "error_description"},
    "html": lambda answer: answer.text.startswith("<!DOCTYPE html>"),
    "nothing": lambda answer: answer.content == b"",
}


@pytest.mark.parametrize("form", ERROR_FORMS)
def test_errors_come_in_every_form(caller: Caller, form: Any) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(errors=form))
    answer = caller.call("group/unknown/members")
    assert answer.status_code == 404
    assert ERROR_FORMS[form](answer)


def test_a_lack_of_permission_can_be_a_401(caller: Caller) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(permission_status=401))
    answer = caller.call("organizations/AAAAAAAAAAAAAAAAAAAAAA/accounts")
    assert (answer.status_code, answer.json()["id"]) == (401, "not_permitted")


@pytest.mark.parametrize(("version", "missing"), [("2.1.1", "3"), ("3", "2.1.1")])
def test_content_can_be_known_to_one_version_only(caller: Caller, paths: Paths, version: Any, missing: str) -> None:
    caller.sandbox.faults = Faults(shapes=Shapes(content_version=version))
    assert caller.call(paths.content, version=version).status_code == 200
    assert caller.call(paths.content, version=missing).status_code == 404
