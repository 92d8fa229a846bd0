"""Pages that are refused, too small, endless, repeated or empty, and totals that are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drillster import Faults, PageFault

from .caller import Caller, a_group

LISTS = {
    "accounts": ("organizations/self/accounts", "accounts"),
    "groups": ("groups", "groups"),
    "group_members": ("group/{group}/members", "members"),
    "group_drillables": ("group/{group}/drillables", "drillables"),
}


@pytest.fixture
def lists(caller: Caller) -> dict[str, tuple[str, str]]:
    group = a_group(caller)
    return {name: (path.format(group=group), key) for name, (path, key) in LISTS.items()}


@pytest.mark.parametrize("resource", LISTS)
def test_a_page_size_can_be_refused(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    caller.sandbox.faults = Faults(refused_sizes={resource: 5})
    refused = caller.call(path, resultSize=6)
    assert (refused.status_code, refused.json()["id"]) == (400, "invalid_result_size")
    assert len(caller.get(path, resultSize=5)[key]) <= 5


def test_page_sizes_can_be_refused_everywhere(caller: Caller, lists: dict) -> None:
    caller.sandbox.faults = Faults(refused_sizes={"*": 50, "groups": 20})
    assert {caller.call(path, resultSize=51).status_code for path, _ in lists.values()} == {400}
    assert caller.call("groups", resultSize=21).status_code == 400
    assert caller.call("organizations/self/accounts", resultSize=50).status_code == 200


@pytest.mark.parametrize("resource", LISTS)
def test_a_page_can_be_smaller_than_asked_for(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    whole = caller.get(path, resultSize=100)[key]
    caller.sandbox.faults = Faults(clamped_sizes={resource: 2})
    assert caller.get(path, resultSize=100)[key] == whole[:2]


def page_fault(resource: str, what: Any, n: int = 1) -> Faults:
    return Faults(pages=(PageFault(resource=resource, what=what, n=n),))


def test_a_cursor_can_stand_still(caller: Caller) -> None:
    caller.sandbox.faults = page_fault("accounts", "stuck")
    first = caller.get("organizations/self/accounts")
    cursor = first["pagination"]["lastOnPage"]
    second = caller.get("organizations/self/accounts", resultFrom=cursor)
    assert second["pagination"]["lastOnPage"] == cursor
    assert second["pagination"]["moreAvailable"] is True


@pytest.mark.parametrize("resource", ["accounts", "groups", "group_members"])
def test_a_list_can_be_endless(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    total = caller.get(path)["pagination"]["total"]
    caller.sandbox.faults = page_fault(resource, "endless")
    pages = caller.cursor_pages(path, key, resultSize=100)
    found = sum(len(next(pages)) for _ in range(3))
    assert found == 300 > 2 * total
    assert caller.get(path)["pagination"]["total"] == total


def test_a_list_by_index_can_be_endless(caller: Caller, lists: dict) -> None:
    path, key = lists["group_drillables"]
    caller.sandbox.faults = page_fault("group_drillables", "endless")
    assert len(caller.get(path, resultStart=1000, resultSize=100)[key]) == 100


@pytest.mark.parametrize("resource", LISTS)
def test_items_can_be_repeated_across_pages(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    whole = caller.get(path, resultSize=100)[key]
    caller.sandbox.faults = page_fault(resource, "repeat", 2)
    first = caller.get(path, resultSize=3)
    where = {"resultStart": 3} if "pagination" not in first else {"resultFrom": first["pagination"]["lastOnPage"]}
    second = caller.get(path, resultSize=3, **where)
    assert first[key] == whole[:3]
    assert second[key] == whole[1:6]


@pytest.mark.parametrize("resource", LISTS)
def test_items_can_be_removed_while_paging(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    whole = caller.get(path, resultSize=100)[key]
    caller.sandbox.faults = page_fault(resource, "shrink", 1)
    first = caller.get(path, resultSize=2)
    where = {"resultStart": 2} if "pagination" not in first else {"resultFrom": first["pagination"]["lastOnPage"]}
    second = caller.get(path, resultSize=2, **where)
    assert second[key] == whole[3:5]
    if "pagination" in second:
        assert second["pagination"]["total"] == len(whole) - 1


def test_a_page_in_the_middle_can_be_empty(caller: Caller) -> None:
    caller.sandbox.faults = page_fault("groups", "empty")
    first = caller.get("groups", resultSize=2)
    second = caller.get("groups", resultSize=2, resultFrom=first["pagination"]["lastOnPage"])
    assert second["groups"] == []
    assert second["pagination"]["moreAvailable"] is True
    assert "lastOnPage" not in second["pagination"]


@pytest.mark.parametrize("n", [3, -2])
@pytest.mark.parametrize("resource", ["accounts", "groups", "objectives"])
def test_a_total_can_be_wrong(caller: Caller, resource: str, n: int) -> None:
    path = {"objectives": f"group/{a_group(caller)}/objectives"}.get(resource) or LISTS[resource][0]

    def total() -> int:
        body = caller.get(path)
        return int(body.get("pagination", body)["total"])

    right = total()
    caller.sandbox.faults = page_fault(resource, "total_off", n)
    assert total() == right + n


@pytest.mark.parametrize("n", [2, 1000])
@pytest.mark.parametrize("resource", ["groups", "objectives"])
def test_a_list_can_lack_its_last_items_and_count_them_all_the_same(caller: Caller, resource: str, n: int) -> None:
    path = {"objectives": f"group/{a_group(caller)}/objectives"}.get(resource, resource)
    whole = caller.get(path, resultSize=100)
    caller.sandbox.faults = page_fault(resource, "short", n)
    short = caller.get(path, resultSize=100)
    assert short[resource] == whole[resource][: max(0, len(whole[resource]) - n)]
    assert short.get("pagination", short)["total"] == len(whole[resource])


def test_the_last_page_can_say_that_there_is_more(caller: Caller) -> None:
    caller.sandbox.faults = page_fault("groups", "more_lies")
    body = caller.get("groups", resultSize=100)
    assert len(body["groups"]) == body["pagination"]["total"]
    assert body["pagination"]["moreAvailable"] is True
