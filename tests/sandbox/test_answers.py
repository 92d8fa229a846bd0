"""The documented forms of answers, errors and pages, over the wire."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from .caller import NOW, Caller

NOBODY = "AAAAAAAAAAAAAAAAAAAAAA"
ERRORS: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "another organization": ("organization/{nobody}", {}, 403, "not_permitted"),
    "too many accounts": ("organizations/self/accounts", {"resultSize": 101}, 400, "invalid_result_size"),
    "a cursor in words": ("organizations/self/accounts", {"resultFrom": "start"}, 400, "invalid_result_from"),
    "a group that is none": ("group/{nobody}/members", {}, 404, "group_not_found"),
    "drillables before the first": ("group/{group}/drillables", {"resultStart": -1}, 400, "invalid_result_start"),
    "results of somebody else": ("group/{group}/member-results/{nobody}", {}, 404, "not_group_member"),
    "a test of another group": ("group/{group}/test-results/{foreign_test}", {}, 404, "unknown_test"),
    "an objective of another group": ("group/{group}/objective/{foreign}/evaluations", {}, 404, "unknown_objective"),
    "events since no date": ("objectives/{foreign}/events", {"fromDate": "yesterday"}, 400, "illegal_date"),
    "a catalog that is a group": ("catalog/{group}", {}, 404, "catalog_not_found"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "query", "status", "error"), ERRORS.values(), ids=ERRORS)
def test_a_mistake_has_its_own_error(caller: Caller, path: str, query: dict[str, Any], status: int, error: str) -> None:
    seen = caller.sandbox.organization.at(NOW)
    group, other = seen.present_groups()[:2]
    names = {"foreign": seen.objectives(other)[0].id, "foreign_test": other.tests[0].id}
    answer = caller.call(path.format(nobody=NOBODY, group=group.id, **names), **query)
    assert (answer.status_code, answer.json()["id"]) == (status, error)
    assert set(answer.json()) == {"id", "description"}


def test_only_get_is_allowed_and_only_of_what_is_there(caller: Caller) -> None:
    assert caller.call("groups", method="POST").status_code == 405
    assert [caller.call(path).status_code for path in ("nothing", "group", "groups/")] == [404] * 3


def test_accounts_are_of_three_kinds_and_the_service_account_shows_little(caller: Caller) -> None:
    accounts = caller.every("organizations/self/accounts", "accounts")
    mine = next(one for one in accounts if one["account"]["id"] == caller.sandbox.credentials.service_account_id)
    assert (set(mine["account"]), mine["relationTypes"]) == ({"type", "id", "name"}, ["ADMIN"])
    assert {tuple(one["relationTypes"]) for one in accounts} == {("ADMIN",), ("ACCOUNT",), ("ADMIN", "ACCOUNT")}


def test_some_resources_have_two_paths(caller: Caller, paths: dict[str, str]) -> None:
    id_ = caller.get("organization")["id"]
    for path in ("organization/{}", "organization/{}/catalogs", "organizations/{}/accounts"):
        assert caller.get(path.format("self")) == caller.get(path.format(id_))
    content, events = paths["catalog_content"], paths["objective_events"]
    assert caller.get(content) == caller.get(content, version="3")
    assert caller.get(events) == caller.get(events.replace("objectives/", "objective/"))


def test_the_moment_can_be_moved_at_any_time(caller: Caller) -> None:
    path, key = "organizations/self/accounts", "accounts"
    before = caller.every(path, key)
    caller.sandbox.now = NOW + timedelta(days=200)
    assert caller.every(path, key) != before
    caller.sandbox.now = None
    assert caller.get(path)["pagination"]["total"] > 40, "by the real clock"


# -- pages


def test_lists_are_in_the_documented_order(caller: Caller, paths: dict[str, str]) -> None:
    created = [one["account"].get("created", "") for one in caller.every("organizations/self/accounts", "accounts")]
    ids = [group["id"] for group in caller.every("groups", "groups")]
    members = caller.every(paths["group_members"], "members")
    signed_up = [one.get("joined", one.get("invited")) for one in members]
    assert (created, ids, signed_up) == (sorted(created), sorted(ids), sorted(signed_up))
    assert any("invited" in one for one in members)


def test_a_window_of_events_takes_its_start_and_leaves_its_end_and_is_a_week_by_default(
    caller: Caller, paths: dict[str, str]
) -> None:
    path = paths["objective_events"].partition("?")[0]
    everything = caller.every(path, "events", fromDate="2024-01-01")
    first, last = everything[0]["timestamp"], everything[-1]["timestamp"]
    within = caller.every(path, "events", fromDate=first, toDate=last)
    assert within == [event for event in everything if event["timestamp"] < last]
    empty = caller.get(path, fromDate=last, toDate=first)
    assert (empty["events"], empty["pagination"]) == ([], {"total": 0, "moreAvailable": False})
    assert caller.every(path, "events", fromDate="2024-01-01T00:00:00Z", toDate="2099-01-01") == everything
    for days, is_within in ((6.9, True), (7.1, False)):
        caller.sandbox.now = datetime.fromisoformat(last) + timedelta(days=days)
        assert (everything[-1] in caller.every(path, "events")) == is_within
