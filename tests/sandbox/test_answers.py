"""The documented forms of answers, errors and pages, over the wire."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
import requests

from drillster_pipeline.sandbox.draws import DAY, iso
from tests.drillster import Size

from .caller import BY_CURSOR, BY_INDEX, NIGHT, Caller, Paths, Start


def test_the_version_is_open_to_all(caller: Caller) -> None:
    answer = requests.get(f"{caller.sandbox.base_url}/api/2.1.1/version", timeout=20)
    assert (answer.status_code, answer.json()) == (200, {"version": "2-1-1.601"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_reading_is_allowed(caller: Caller, method: str) -> None:
    answer = caller.call("groups", method=method)
    assert (answer.status_code, answer.json()["id"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


def test_a_head_is_a_get_without_its_body(caller: Caller) -> None:
    head, get = caller.call("organization", method="HEAD"), caller.call("organization")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


NOBODY = "AAAAAAAAAAAAAAAAAAAAAA"
ERRORS = {
    "an unknown path": ("nothing", {}, 404, "not_found"),
    "a path that ends too soon": ("group", {}, 404, "not_found"),
    "a path with a slash too many": ("groups/", {}, 404, "not_found"),
    "another organization": ("organization/{nobody}", {}, 403, "not_permitted"),
    "too many accounts": ("organizations/self/accounts", {"resultSize": 101}, 400, "invalid_result_size"),
    "no accounts": ("organizations/self/accounts", {"resultSize": 0}, 400, "invalid_result_size"),
    "a size in words": ("organizations/self/accounts", {"resultSize": "ten"}, 400, "invalid_result_size"),
    "a cursor in words": ("organizations/self/accounts", {"resultFrom": "start"}, 400, "invalid_result_from"),
    "a group that is none": ("group/{nobody}/members", {}, 404, "group_not_found"),
    "an id with a slash": ("group/{nobody}%2F/members", {}, 404, "group_not_found"),
    "members after no moment": ("group/{group}/members", {"resultFrom": "x"}, 400, "invalid_result_from"),
    "drillables before the first": ("group/{group}/drillables", {"resultStart": -1}, 400, "invalid_result_start"),
    "results of somebody else": ("group/{group}/member-results/{nobody}", {}, 404, "not_group_member"),
    "a test of another group": ("group/{group}/test-results/{foreign_test}", {}, 404, "unknown_test"),
    "an objective of another group": ("group/{group}/objective/{foreign}/evaluations", {}, 404, "unknown_objective"),
    "events since no date": ("objectives/{foreign}/events", {"fromDate": "yesterday"}, 400, "illegal_date"),
    "a catalog that is a group": ("catalog/{group}", {}, 404, "catalog_not_found"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "query", "status", "error"), ERRORS.values(), ids=ERRORS)
def test_a_mistake_has_its_own_error(caller: Caller, path: str, query: dict[str, Any], status: int, error: str) -> None:
    seen = caller.sandbox.organization.at(NIGHT)
    group, other = seen.present_groups()[:2]
    names = {"foreign": seen.objectives(other)[0].id, "foreign_test": other.tests[0].id}
    answer = caller.call(path.format(nobody=NOBODY, group=group.id, **names), **query)
    assert (answer.status_code, answer.json()["id"]) == (status, error)
    assert set(answer.json()) == {"id", "description"}


def nulls(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(nulls, inside))


FIELDS = {
    "organization": {"type", "id", "name", "contract", "thirdParties"},
    "accounts": {"accounts", "pagination"},
    "catalogs": {"catalogs", "pagination"},
    "catalog": {"id", "name", "description", "organization"},
    "catalog_content": {"playableContainer", "playables", "pagination"},
    "groups": {"groups", "pagination"},
    "group": {"id", "name", "description", "counts", "icon", "created", "lastEdited", "tests"},
    "group_members": {"members", "counts", "pagination"},
    "group_staff": {"group", "count", "groupStaffUsers"},
    "group_drillables": {"id", "name", "description", "drillables"},
    "objectives": {"total", "objectives"},
    "objective_evaluations": {"evaluations", "pagination"},
    "objective_events": {"events", "pagination"},
    "results": {"group", "member", "pagination", "groupDrillableMemberResults"},
    "test_results": {"group", "total", "test", "memberTestResults"},
}


@pytest.mark.parametrize("resource", FIELDS)
def test_every_answer_is_compact_json_with_the_documented_fields_and_no_nulls(
    caller: Caller, paths: Paths, resource: str
) -> None:
    answer = caller.call(paths.paths[resource])
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    body = answer.json()
    assert answer.content.decode() == json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    assert not nulls(body)
    assert set(body) >= FIELDS[resource]


def test_a_service_account_has_a_type_an_id_and_a_name(caller: Caller) -> None:
    accounts = caller.every("organizations/self/accounts", "accounts")
    mine = next(one for one in accounts if one["account"]["id"] == caller.sandbox.credentials.service_account_id)
    assert set(mine["account"]) == {"type", "id", "name"}
    assert mine["relationTypes"] == ["ADMIN"]
    assert {tuple(one["relationTypes"]) for one in accounts} == {("ADMIN",), ("ACCOUNT",), ("ADMIN", "ACCOUNT")}


def test_the_organization_goes_by_self_and_by_its_id(caller: Caller) -> None:
    organization = caller.get("organization")
    assert caller.sandbox.credentials.organization_id == organization["id"]
    for path in ("organization/{}", "organization/{}/catalogs", "organizations/{}/accounts"):
        assert caller.get(path.format("self")) == caller.get(path.format(organization["id"]))


def test_some_paths_have_another_form(caller: Caller, paths: Paths) -> None:
    content, events = paths.paths["catalog_content"], paths.paths["objective_events"]
    assert caller.get(content) == caller.get(content, version="3")
    assert caller.get(events) == caller.get(events.replace("objectives/", "objective/"))


def test_answers_are_compressed_when_asked_for(caller: Caller) -> None:
    plain, packed = (
        caller.call("groups", headers={"Authorization": f"Bearer {caller.token}", "Accept-Encoding": encoding})
        for encoding in ("identity", "gzip")
    )
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    assert packed.json() == plain.json()


def test_the_moment_can_be_moved_at_any_time(caller: Caller) -> None:
    path, key = "organizations/self/accounts", "accounts"
    before = caller.every(path, key)
    assert before == caller.sandbox.organization.at(NIGHT).accounts().all()
    caller.sandbox.now = NIGHT.replace(year=2027)
    assert caller.every(path, key) != before
    caller.sandbox.now = NIGHT
    assert caller.every(path, key) == before
    with pytest.raises(ValueError, match="time zone"):
        caller.sandbox.now = NIGHT.replace(tzinfo=None)
    caller.sandbox.now = None
    assert caller.get(path)["pagination"]["total"] > 40, "by the real clock"


# -- pages


@pytest.mark.parametrize("name", BY_CURSOR)
def test_pages_of_any_size_add_up_to_the_same_list(caller: Caller, paths: Paths, name: str) -> None:
    path, key = paths.lists[name]
    everything, first = caller.every(path, key), caller.get(path)
    assert first["pagination"]["total"] == len(everything) > 1
    assert len(first[key]) == min(100 if name == "objective_events" else 10, len(everything))
    for size in (1, 3, 10):
        pages = list(caller.cursor_pages(path, key, resultSize=size))
        assert [item for page in pages for item in page] == everything
        assert {len(page) for page in pages[:-1]} <= {size}


@pytest.mark.parametrize("name", BY_INDEX)
def test_pages_by_index_add_up_and_end_on_a_short_one(caller: Caller, paths: Paths, name: str) -> None:
    path, key = paths.lists[name]
    everything = caller.get(path, resultSize=100)[key]
    for size in (1, 3):
        found: list[Any] = []
        while page := caller.get(path, resultStart=len(found), resultSize=size)[key]:
            found += page
        assert found == everything


def test_lists_are_in_the_documented_order(caller: Caller, paths: Paths) -> None:
    created = [one["account"].get("created", "") for one in caller.every("organizations/self/accounts", "accounts")]
    ids = [group["id"] for group in caller.groups()]
    members = caller.every(*paths.lists["group_members"])
    signed_up = [one.get("joined", one.get("invited")) for one in members]
    assert (created, ids, signed_up) == (sorted(created), sorted(ids), sorted(signed_up))
    assert any("invited" in one for one in members)


def test_a_cursor_remains_valid_when_its_item_is_gone(start: Start) -> None:
    caller = start(accounts=200)
    days = [caller.sandbox.organization.at(NIGHT + timedelta(days=day)) for day in range(60)]
    after, group = next(
        (after, group)
        for before, after in itertools.pairwise(days)
        for group in set(before.present_groups()) - set(after.present_groups())
    )
    caller.sandbox.now = NIGHT + timedelta(milliseconds=after.moment - days[0].moment)
    rest = caller.every("groups", "groups", resultFrom=group.id)
    assert [one["id"] for one in rest] == [one["id"] for one in caller.groups() if one["id"] > group.id]


def test_the_default_window_of_events_is_a_week(caller: Caller, paths: Paths) -> None:
    path = f"objectives/{paths.busiest.id}/events"
    week = iso(caller.sandbox.organization.at(NIGHT).moment - 7 * DAY)
    everything = caller.every(path, "events", fromDate="2024-01-01T00:00:00Z")
    assert caller.every(path, "events") == [event for event in everything if event["timestamp"] >= week] != everything


def test_a_window_takes_its_start_and_leaves_its_end(caller: Caller, paths: Paths) -> None:
    path = f"objectives/{paths.busiest.id}/events"
    everything = caller.every(path, "events", fromDate="2024-01-01")
    first, last = everything[0]["timestamp"], everything[-1]["timestamp"]
    within = caller.every(path, "events", fromDate=first, toDate=last)
    assert within == [event for event in everything if event["timestamp"] < last]
    assert caller.every(path, "events", fromDate=last, toDate=first) == []
    assert caller.every(path, "events", fromDate="2024-01-01", toDate="2099-01-01") == everything


def test_accounts_of_one_import_get_lost_at_an_exclusive_cursor(start: Start) -> None:
    """The trap of the documentation: a cursor of milliseconds, and accounts that share one."""
    caller = start(size=Size(accounts=102, import_batch=25, stable=True))
    assert caller.get("organizations/self/accounts")["pagination"]["total"] == 102
    assert len(caller.every("organizations/self/accounts", "accounts", resultSize=60)) < 102
