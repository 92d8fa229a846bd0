"""Where a total stands, how much comes at once, and every kind of cursor."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.drillster import Faults, Shapes, Size

from .caller import Caller, Start
from .shaped import EVERYTHING, Paths, shaped


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
