"""The documented forms of answers, over the wire."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from drillster_pipeline.sandbox.snapshot import Snapshot

from .caller import Caller

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


def snapshot(caller: Caller) -> Snapshot:
    return caller.sandbox.organization.at(caller.sandbox.now)


def test_the_version_is_open_to_all(caller: Caller) -> None:
    answer = requests.get(f"{caller.sandbox.base_url}/api/2.1.1/version", timeout=20)
    assert (answer.status_code, answer.json()) == (200, {"version": "2-1-1.601"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_reading_is_allowed(caller: Caller, method: str) -> None:
    answer = caller.call("groups", method=method)
    assert (answer.status_code, answer.json()["id"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_head_is_a_get_without_its_body(caller: Caller) -> None:
    head, get = caller.call("organization", method="HEAD"), caller.call("organization")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("nothing", "2.1.1"),
        ("group", "2.1.1"),
        ("groups/", "2.1.1"),
        ("organization", "2.1"),
        ("organization", "3"),
        ("", "2.1.1"),
    ],
)
def test_an_unknown_path_is_404_with_an_error_object(caller: Caller, path: str, version: str) -> None:
    answer = caller.call(path, version=version)
    assert (answer.status_code, answer.json()["id"]) == (404, "not_found")


def test_outside_of_the_api_there_is_nothing(caller: Caller) -> None:
    answer = requests.get(f"{caller.sandbox.base_url}/index.html", timeout=20)
    assert (answer.status_code, set(answer.json())) == (404, {"id", "description"})


NOBODY = "AAAAAAAAAAAAAAAAAAAAAA"
ERRORS = {
    "another organization": ("organization/{nobody}", {}, 404, "not_found"),
    "accounts of another organization": ("organizations/{nobody}/accounts", {}, 403, "not_permitted"),
    "a relation that is none": ("organizations/self/accounts", {"relationType": "USER"}, 400, "invalid_relation_type"),
    "too many accounts": ("organizations/self/accounts", {"resultSize": 101}, 400, "invalid_result_size"),
    "no accounts": ("organizations/self/accounts", {"resultSize": 0}, 400, "invalid_result_size"),
    "a size in words": ("organizations/self/accounts", {"resultSize": "ten"}, 400, "invalid_result_size"),
    "a cursor in words": ("organizations/self/accounts", {"resultFrom": "start"}, 400, "invalid_result_from"),
    "a permission that is none": ("groups", {"permission": "EDIT"}, 400, "invalid_permission"),
    "a group that is none": ("group/{nobody}/members", {}, 404, "group_not_found"),
    "members after no moment": ("group/{group}/members", {"resultFrom": "x"}, 400, "invalid_result_from"),
    "drillables before the first": ("group/{group}/drillables", {"resultStart": -1}, 400, "invalid_result_start"),
    "results of somebody else": ("group/{group}/member-results/{nobody}", {}, 404, "not_group_member"),
    "a test that is none": ("group/{group}/test-results/{nobody}", {}, 404, "unknown_test"),
    "a test of another group": ("group/{group}/test-results/{foreign_test}", {}, 404, "unknown_test"),
    "an objective that is none": ("group/{group}/objective/{nobody}/evaluations", {}, 404, "unknown_objective"),
    "an objective of another group": ("group/{group}/objective/{foreign}/evaluations", {}, 404, "unknown_objective"),
    "events since no date": ("objectives/{foreign}/events", {"fromDate": "yesterday"}, 400, "illegal_date"),
    "a catalog that is none": ("catalog/{nobody}/content", {}, 404, "catalog_not_found"),
    "a catalog that is a group": ("catalog/{group}", {}, 404, "catalog_not_found"),
    "a user that is none": ("user/{nobody}", {}, 404, "nonexistent_user"),
    "a size that is too many": ("test-results/{foreign_test}", {"resultSize": 11}, 400, "invalid_result_size"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "query", "status", "error"), ERRORS.values(), ids=ERRORS)
def test_a_mistake_has_its_own_error(caller: Caller, path: str, query: dict[str, Any], status: int, error: str) -> None:
    seen = snapshot(caller)
    group, other = seen.present_groups()[:2]
    path = path.format(
        nobody=NOBODY, group=group.id, foreign=seen.objectives(other)[0].id, foreign_test=seen.tests(other)[0].id
    )
    answer = caller.call(path, **query)
    assert (answer.status_code, answer.json()["id"]) == (status, error)
    assert set(answer.json()) == {"id", "description"}


def every_answer(caller: Caller) -> dict[str, Any]:
    """One answer of each resource."""
    seen = snapshot(caller)
    group = seen.present_groups()[0]
    member = next(one for one in caller.get(f"group/{group.id}/members")["members"] if "joined" in one)["member"]
    objective, test = seen.objectives(group)[0], seen.tests(group)[0]
    catalog = caller.get("organization/self/catalogs")["catalogs"][0]
    paths = {
        "organization": "organization",
        "accounts": "organizations/self/accounts",
        "staff": "organization/self/staff",
        "license": "organization/self/license",
        "user": "user/self",
        "third party ids": f"user/{member['id']}/third-party-ids",
        "catalogs": "organization/self/catalogs",
        "catalog": f"catalog/{catalog['id']}",
        "content": f"catalog/{catalog['id']}/content",
        "groups": "groups",
        "group": f"group/{group.id}",
        "members": f"group/{group.id}/members",
        "group staff": f"group/{group.id}/staff",
        "drillables": f"group/{group.id}/drillables",
        "objectives": f"group/{group.id}/objectives",
        "evaluations": f"group/{group.id}/objective/{objective.id}/evaluations",
        "events": f"objectives/{objective.id}/events",
        "events, singular": f"objective/{objective.id}/events",
        "results": f"group/{group.id}/member-results/{member['id']}",
        "test results": f"group/{group.id}/test-results/{test.id}",
        "results of a test": f"test-results/{test.id}",
        "results of a test and a user": f"test-results/{test.id}/{member['id']}",
        "own objectives": "objectives",
        "own tests": "tests",
    }
    return {name: caller.call(path) for name, path in paths.items()}


def nulls(value: Any) -> bool:
    if isinstance(value, dict):
        return any(nulls(item) for item in value.values())
    if isinstance(value, list):
        return any(nulls(item) for item in value)
    return value is None


def test_every_answer_is_compact_json_without_nulls(caller: Caller) -> None:
    for name, answer in every_answer(caller).items():
        assert answer.status_code == 200, name
        assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
        body = answer.json()
        assert answer.content.decode() == json.dumps(body, ensure_ascii=False, separators=(",", ":")), name
        assert not nulls(body), name


def test_answers_carry_the_documented_fields(caller: Caller) -> None:
    answers = {name: answer.json() for name, answer in every_answer(caller).items()}
    assert answers["organization"]["contract"]["type"] == "BUSINESS"
    assert set(answers["accounts"]) == {"accounts", "pagination"}
    assert set(answers["accounts"]["pagination"]) == {"total", "lastOnPage", "moreAvailable"}
    assert answers["accounts"]["pagination"]["lastOnPage"].isdigit()
    assert len(answers["accounts"]["accounts"]) == 10
    assert set(answers["groups"]["groups"][0]) >= {
        "id",
        "name",
        "description",
        "counts",
        "icon",
        "created",
        "lastEdited",
    }
    assert answers["group"]["tests"]
    assert set(answers["members"]) == {"members", "counts", "pagination"}
    assert answers["members"]["pagination"]["total"] == sum(answers["members"]["counts"].values())
    assert ISO.fullmatch(answers["members"]["pagination"]["lastOnPage"]).group(1), "milliseconds"
    assert answers["group staff"]["count"] == len(answers["group staff"]["groupStaffUsers"])
    assert set(answers["drillables"]) == {"id", "name", "description", "drillables"}
    assert answers["objectives"]["total"] == len(answers["objectives"]["objectives"]) == 4
    assert {"user", "met", "evaluationDate"} <= set(answers["evaluations"]["evaluations"][0])
    assert set(answers["events"]) == {"events", "pagination"}
    assert answers["events"] == answers["events, singular"]
    assert set(answers["results"]) == {"group", "member", "pagination", "groupDrillableMemberResults"}
    practice = answers["results"]["groupDrillableMemberResults"][0]
    assert {"drillable", "proficiency", "timeSpent", "expectedDuration"} <= set(practice)
    assert set(answers["test results"]) == {"group", "total", "test", "memberTestResults"}
    assert set(answers["content"]) == {"playableContainer", "playables", "pagination"}
    assert isinstance(answers["third party ids"], list)
    assert answers["own objectives"] == {"total": 0, "objectives": []}


def test_a_service_account_has_a_type_an_id_and_a_name(caller: Caller) -> None:
    accounts = caller.every("organizations/self/accounts", "accounts")
    mine = next(one for one in accounts if one["account"]["id"] == caller.sandbox.credentials.service_account_id)
    assert set(mine["account"]) == {"type", "id", "name"}
    assert mine["relationTypes"] == ["ADMIN"]
    assert {tuple(one["relationTypes"]) for one in accounts} == {("ADMIN",), ("ACCOUNT",), ("ADMIN", "ACCOUNT")}
    assert caller.get("user") == mine["account"]


def test_administrators_are_paged_by_index(caller: Caller) -> None:
    everyone = caller.every("organizations/self/accounts", "accounts")
    expected = {one["account"]["id"] for one in everyone if "ADMIN" in one["relationTypes"]}
    found = caller.every("organizations/self/accounts", "accounts", relationType="ADMIN", resultSize=1)
    assert {one["account"]["id"] for one in found} == expected
    first = caller.get("organizations/self/accounts", relationType="ADMIN", resultSize=1)
    assert first["pagination"]["lastOnPage"] == "0"


def test_queries_filter_whatever_the_case(caller: Caller) -> None:
    everyone = caller.every("organizations/self/accounts", "accounts")
    name = everyone[5]["account"]["name"]
    found = caller.every("organizations/self/accounts", "accounts", query=name.upper())
    assert everyone[5] in found
    assert all(name.casefold() in json.dumps(one, ensure_ascii=False).casefold() for one in found)
    group = caller.groups()[0]
    assert group in caller.every("groups", "groups", query=group["name"].lower())
    assert caller.every("groups", "groups", query="no such group") == []
    members = caller.every(f"group/{group['id']}/members", "members")
    wanted = next(one for one in members if "joined" in one)
    assert wanted in caller.every(f"group/{group['id']}/members", "members", query=wanted["member"]["name"])


def test_permissions_match_exactly(caller: Caller) -> None:
    everything = {group["id"] for group in caller.groups()}
    view, manage = (
        {group["id"] for group in caller.every("groups", "groups", permission=permission)}
        for permission in ("VIEW", "MANAGE")
    )
    assert not view & manage
    assert view | manage == everything


def test_groups_can_be_found_by_their_custom_reference(caller: Caller) -> None:
    group = next(group for group in caller.groups() if "customReference" in group)
    assert caller.every("groups", "groups", customReference=group["customReference"]) == [group]
    assert caller.every("groups", "groups", customReference=group["customReference"].lower()) == []
    brief = caller.get("groups", profile="AUTO_COMPLETE")["groups"][0]
    assert set(brief) == {"id", "name"}


def test_the_organization_goes_by_self_and_by_its_id(caller: Caller) -> None:
    organization = caller.get("organization")
    assert caller.sandbox.credentials.organization_id == organization["id"]
    for path in ("organization/{}", "organization/{}/staff", "organization/{}/catalogs", "organizations/{}/accounts"):
        assert caller.get(path.format("self")) == caller.get(path.format(organization["id"]))


def test_content_of_catalogs_answers_under_version_3_as_well(caller: Caller) -> None:
    catalog = caller.get("organization/self/catalogs")["catalogs"][0]
    path = f"catalog/{catalog['id']}/content"
    assert caller.get(path) == caller.get(path, version="3")
    names = [thing["name"] for thing in caller.every(path, "playables")]
    assert names == sorted(names)


def test_answers_are_compressed_when_asked_for(caller: Caller) -> None:
    plain = caller.call("groups", headers={"Authorization": f"Bearer {caller.token}", "Accept-Encoding": "identity"})
    packed = caller.call("groups", headers={"Authorization": f"Bearer {caller.token}", "Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    assert packed.json() == plain.json()


def test_the_wire_tells_what_the_model_knows(caller: Caller) -> None:
    seen = snapshot(caller)
    assert caller.every("organizations/self/accounts", "accounts") == seen.accounts().all()
    assert caller.groups() == [seen.group(group) for group in seen.present_groups()]
    for group in seen.present_groups()[:2]:
        assert caller.every(f"group/{group.id}/members", "members") == seen.members(group).all()
        for objective in seen.objectives(group):
            path = f"group/{group.id}/objective/{objective.id}/evaluations"
            assert caller.every(path, "evaluations") == seen.evaluations(objective).all()
        for test in seen.tests(group):
            body = caller.get(f"group/{group.id}/test-results/{test.id}", resultSize=100)
            assert body["memberTestResults"] == seen.test_results(group, test)
            assert body["total"] == len(seen.learners(group))


def test_the_moment_can_be_moved_at_any_time(caller: Caller) -> None:
    now = caller.sandbox.now
    before = caller.every("organizations/self/accounts", "accounts")
    caller.sandbox.now = now.replace(year=2027)
    after = caller.every("organizations/self/accounts", "accounts")
    caller.sandbox.now = now
    assert before != after
    assert caller.every("organizations/self/accounts", "accounts") == before
    with pytest.raises(ValueError, match="time zone"):
        caller.sandbox.now = now.replace(tzinfo=None)


def test_without_a_moment_the_real_clock_is_shown(caller: Caller) -> None:
    caller.sandbox.now = None
    assert caller.get("organizations/self/accounts")["pagination"]["total"] > 40
