from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from drillster_pipeline.sandbox.calendar import iso
from tests.drillster import Size

from .caller import NIGHT, Caller, Start


def cursor_lists(caller: Caller) -> dict[str, tuple[str, str]]:
    """Every list that is paged by cursor: where it is, and the name of its items."""
    seen = caller.sandbox.organization.at(NIGHT)
    group = max(seen.present_groups(), key=lambda group: len(seen.memberships(group)))
    member = seen.model.member(seen.learners(group)[0])
    catalog = caller.get("organization/self/catalogs")["catalogs"][0]["id"]
    busiest = max(seen.objectives(group), key=lambda one: seen.events(one, 0, seen.moment).total)
    return {
        "accounts": ("organizations/self/accounts", "accounts"),
        "catalogs": ("organization/self/catalogs", "catalogs"),
        "content": (f"catalog/{catalog}/content", "playables"),
        "groups": ("groups", "groups"),
        "members": (f"group/{group.id}/members", "members"),
        "evaluations": (f"group/{group.id}/objective/{busiest.id}/evaluations", "evaluations"),
        "events": (f"objectives/{busiest.id}/events?fromDate=2024-01-01", "events"),
        "results": (f"group/{group.id}/member-results/{member.id}", "groupDrillableMemberResults"),
    }


CURSOR_LISTS = ("accounts", "catalogs", "content", "groups", "members", "evaluations", "events", "results")


@pytest.mark.parametrize("name", CURSOR_LISTS)
@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_pages_of_any_size_add_up_to_the_same_list(caller: Caller, name: str, size: int) -> None:
    path, key = cursor_lists(caller)[name]
    whole = caller.every(path, key)
    pages = list(caller.cursor_pages(path, key, resultSize=size))
    assert [item for page in pages for item in page] == whole
    assert all(len(page) == size for page in pages[:-1])
    assert 1 <= len(pages[-1]) <= size


@pytest.mark.parametrize("name", CURSOR_LISTS)
def test_the_total_is_the_number_of_items(caller: Caller, name: str) -> None:
    path, key = cursor_lists(caller)[name]
    assert caller.get(path)["pagination"]["total"] == len(caller.every(path, key)) > 1


@pytest.mark.parametrize(("name", "default"), [(name, 100 if name == "events" else 10) for name in CURSOR_LISTS])
def test_the_default_size_is_the_documented_one(caller: Caller, name: str, default: int) -> None:
    path, key = cursor_lists(caller)[name]
    body = caller.get(path)
    assert len(body[key]) == min(default, body["pagination"]["total"])


def test_lists_are_in_the_documented_order(caller: Caller) -> None:
    created = [one["account"]["created"] for one in caller.every("organizations/self/accounts", "accounts")[1:]]
    assert created == sorted(created)
    ids = [group["id"] for group in caller.groups()]
    assert ids == sorted(ids)
    path, key = cursor_lists(caller)["members"]
    signed_up = [one.get("joined", one.get("invited")) for one in caller.every(path, key)]
    assert signed_up == sorted(signed_up)
    assert any("invited" in one for one in caller.every(path, key))


def test_a_cursor_outlives_its_item(start: Start) -> None:
    """A group that is removed while its page is the last read does not break the next page."""
    caller = start(accounts=200)
    model = caller.sandbox.organization
    group, day = next(
        (gone, day)
        for day in range(60)
        for gone in set(model.at(NIGHT + timedelta(days=day)).present_groups())
        - set(model.at(NIGHT + timedelta(days=day + 1)).present_groups())
    )
    caller.sandbox.now = NIGHT + timedelta(days=day + 1)
    rest = caller.every("groups", "groups", resultFrom=group.id)
    assert [one["id"] for one in rest] == [one["id"] for one in caller.groups() if one["id"] > group.id]


def index_lists(caller: Caller) -> dict[str, tuple[str, str]]:
    seen = caller.sandbox.organization.at(NIGHT)
    group = max(seen.present_groups(), key=lambda group: len(seen.memberships(group)))
    return {
        "drillables": (f"group/{group.id}/drillables", "drillables"),
        "group staff": (f"group/{group.id}/staff", "groupStaffUsers"),
        "objectives": (f"group/{group.id}/objectives", "objectives"),
        "test results": (f"group/{group.id}/test-results/{seen.tests(group)[0].id}", "memberTestResults"),
        "organization staff": ("organization/self/staff", "users"),
    }


@pytest.mark.parametrize("name", ["drillables", "group staff", "objectives", "test results", "organization staff"])
@pytest.mark.parametrize("size", [1, 3])
def test_pages_by_index_add_up_and_end_on_a_short_one(caller: Caller, name: str, size: int) -> None:
    path, key = index_lists(caller)[name]
    whole = caller.get(path, resultSize=100)[key]
    found: list[Any] = []
    while page := caller.get(path, resultStart=len(found), resultSize=size)[key]:
        assert len(page) <= size
        found += page
    assert found == whole
    assert caller.get(path, resultStart=10_000)[key] == []


def test_the_default_window_of_events_is_a_week(caller: Caller) -> None:
    path, key = cursor_lists(caller)["events"]
    path = path.partition("?")[0]
    week = iso(caller.sandbox.organization.at(NIGHT).moment - 7 * 86_400_000)
    everything = caller.every(path, key, fromDate="2024-01-01T00:00:00Z")
    expected = [event for event in everything if event["timestamp"] >= week]
    assert caller.every(path, key) == expected
    assert len(everything) > len(expected)


def test_a_window_takes_its_start_and_leaves_its_end(caller: Caller) -> None:
    path, key = cursor_lists(caller)["events"]
    path = path.partition("?")[0]
    everything = caller.every(path, key, fromDate="2024-01-01")
    first, last = everything[0], everything[-1]
    within = caller.every(path, key, fromDate=first["timestamp"], toDate=last["timestamp"])
    assert within == [event for event in everything if event["timestamp"] < last["timestamp"]]
    assert caller.every(path, key, fromDate=last["timestamp"], toDate=first["timestamp"]) == []
    assert caller.every(path, key, fromDate="2024-01-01", toDate="2099-01-01") == everything
    mine = caller.every(path, key, fromDate="2024-01-01", user=first["user"]["id"])
    assert mine == [event for event in everything if event["user"]["id"] == first["user"]["id"]]


def test_accounts_of_one_import_get_lost_at_an_exclusive_cursor(start: Start) -> None:
    """The trap of the documentation: a cursor of milliseconds, and accounts that share one."""
    caller = start(size=Size(accounts=102, import_batch=25, stable=True))
    body = caller.get("organizations/self/accounts", resultSize=100)
    assert body["pagination"]["total"] == 102
    found = caller.every("organizations/self/accounts", "accounts", resultSize=60)
    assert len(found) < 102
