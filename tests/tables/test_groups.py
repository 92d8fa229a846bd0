from __future__ import annotations

from typing import Any

import pytest

from .pages import extract, page, utc

GROUP = {
    "id": "g",
    "name": "Surgery",
    "description": "",
    "customReference": "K-12",
    "counts": {"members": 41, "drillables": 12, "tests": 1},
    "created": "2023-04-12T08:15Z",
    "lastEdited": "2025-04-12T08:15:30.500Z",
}
ROW = {
    "group_id": "g",
    "name": "Surgery",
    "description": "",
    "custom_reference": "K-12",
    "member_count": 41,
    "drillable_count": 12,
    "test_count": 1,
    "is_sensitive": None,
    "created_at": utc(2023, 4, 12, 8, 15),
    "last_edited_at": utc(2025, 4, 12, 8, 15, 30, 500_000),
}


@pytest.mark.parametrize(
    "body",
    [
        {"groups": [GROUP], "pagination": {"total": 1, "lastOnPage": "g", "moreAvailable": False}},
        {"groups": [GROUP], "total": 1},
        {"results": [GROUP]},
        [GROUP],
    ],
    ids=["pagination", "total", "another name", "bare array"],
)
def test_a_group_loads_from_each_form_of_the_list(body: Any) -> None:
    assert extract(page("groups", body)).row("groups") == ROW


def test_a_groups_own_answer_wins_and_the_list_fills_what_it_leaves_out() -> None:
    own = {"id": "g", "name": "Surgery and anaesthesia", "sensitiveContent": True, "counts": {"members": 42}}
    found = extract(page("groups", {"groups": [GROUP], "total": 1}), page("groups", own, group_id="g"))
    assert found.row("groups") == {
        **ROW,
        "name": "Surgery and anaesthesia",
        "is_sensitive": True,
        "member_count": 42,
    }


def test_a_group_whose_own_answer_is_missing_is_as_the_list_says() -> None:
    found = extract(
        page("groups", [GROUP, {**GROUP, "id": "closed"}]), page("groups", {"id": "g", "name": "New"}, group_id="g")
    )
    assert {row["group_id"]: row["name"] for row in found.rows("groups")} == {"g": "New", "closed": "Surgery"}


def test_a_groups_own_answer_is_told_by_its_path_not_by_its_body() -> None:
    found = extract(page("groups", {"name": "Nameless"}, group_id="g"))
    assert found.row("groups")["group_id"] == "g"


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ({"name": "x"}, "group_id: missing"),
        ({**GROUP, "counts": 41}, "member_count, drillable_count, test_count: expected an object, found a number"),
        ({**GROUP, "counts": {"members": "many"}}, "member_count: expected an integer, found text"),
        ({**GROUP, "sensitiveContent": "no"}, "is_sensitive: expected true or false, found text"),
        (17, "groups[]: expected an object, found a number"),
    ],
)
def test_a_group_that_does_not_fit_is_rejected_with_a_reason(group: Any, reason: str) -> None:
    found = extract(page("groups", [group, {"id": "next"}]))
    assert found.reasons() == [reason]
    assert found.column("groups", "group_id") == ["next"]


def test_a_groups_own_answer_that_is_no_object_is_rejected_and_the_list_stands() -> None:
    found = extract(page("groups", [GROUP]), page("groups", ["?"], group_id="g"))
    assert found.reasons() == ["groups[]: expected an object, found a list"]
    assert found.row("groups") == ROW


DRILL = {"id": "d", "type": "DRILL", "name": "Medicines", "icon": {"url": "https://example.org/i.png"}}
TEST = {"id": "t", "type": "TEST", "name": "Exam"}


@pytest.mark.parametrize(
    "body",
    [
        {"id": "g", "name": "Surgery", "drillables": [DRILL]},
        {"id": "g", "drillables": [DRILL], "tests": []},
        {"playables": [DRILL]},
        [DRILL],
    ],
    ids=["a Group object", "with tests", "another name", "bare array"],
)
def test_drillables_load_from_each_form(body: Any) -> None:
    found = extract(page("group_drillables", body, group_id="g"))
    assert found.row("group_playables") == {"group_id": "g", "playable_id": "d", "type": "DRILL"}
    assert found.row("playables") == {"playable_id": "d", "type": "DRILL", "name": "Medicines"}


def test_a_group_without_drillables_has_none() -> None:
    found = extract(page("group_drillables", {"id": "g", "name": "Surgery"}, group_id="g"))
    assert found.rows("group_playables") == []
    assert found.rejects() == []


def test_tests_and_drillables_of_a_groups_own_answer_are_its_playables() -> None:
    own = {"id": "g", "tests": [TEST], "drillables": [DRILL]}
    found = extract(page("groups", own, group_id="g"), page("group_drillables", {"drillables": [DRILL]}, group_id="g"))
    assert {(row["playable_id"], row["type"]) for row in found.rows("group_playables")} == {
        ("t", "TEST"),
        ("d", "DRILL"),
    }
    assert len(found.rows("group_playables")) == 2


def test_tests_that_come_with_the_drillables_are_its_playables_too() -> None:
    found = extract(page("group_drillables", {"drillables": [DRILL], "tests": [{"id": "t"}]}, group_id="g"))
    assert {(row["playable_id"], row["type"]) for row in found.rows("group_playables")} == {
        ("d", "DRILL"),
        ("t", "TEST"),
    }


@pytest.mark.parametrize(
    ("playable", "reason"),
    [
        ({"type": "DRILL"}, "playable_id: missing"),
        ({"id": "d", "type": 3}, "type: expected text, found a number"),
        ("d", "drillables[]: expected an object, found text"),
    ],
)
def test_a_playable_of_a_group_that_does_not_fit_is_rejected(playable: Any, reason: str) -> None:
    found = extract(page("group_drillables", {"drillables": [playable, TEST]}, group_id="g"))
    assert found.reasons("group_playables") == [reason]
    assert found.column("group_playables", "playable_id") == ["t"]
