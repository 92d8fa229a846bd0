"""People and playables that answers only refer to: known from wherever one is named, in a fixed order of preference."""

from __future__ import annotations

from typing import Any

import pytest

from .answers import example, read, respond
from .pages import ResourcePage, extract, page

SAM = {"id": "sam", "name": "Sam from elsewhere"}
PEOPLE = {
    "member": respond("group_members", [{"member": SAM, "joined": "2024-01-11"}]),
    "staff": respond("group_staff", {"groupStaffUsers": [{"user": SAM, "permission": "VIEW"}]}),
    "evaluation": respond("objective_evaluations", [{"user": SAM, "met": True}]),
    "result": page("results", {"member": SAM, "items": []}, group_id="g", account_id="sam"),
    "test without attempts": respond("test_results", {"memberTestResults": [{"user": SAM, "testResults": []}]}),
    "attempt": respond("test_results", {"testResults": [{"id": "r", "user": SAM}]}),
}


@pytest.mark.parametrize("reference", PEOPLE.values(), ids=PEOPLE)
def test_a_person_of_another_organization_is_known_from_every_reference(reference: ResourcePage) -> None:
    found = extract(page("accounts", {"accounts": [example.account]}), reference)
    (other,) = [row for row in found.rows("accounts") if row["account_id"] == "sam"]
    assert (other["name"], other["is_managed"], other["is_admin"]) == ("Sam from elsewhere", False, None)


def test_what_members_say_of_a_person_wins_and_others_fill_what_is_missing() -> None:
    found = extract(
        page("accounts", []),
        respond(
            "group_members", [{"member": {"id": "sam", "name": "Sam", "organization": "?"}, "joined": "2024-01-11"}]
        ),
        respond(
            "group_staff", [{"user": {"id": "sam", "name": "Samuel", "locale": "nl", "organization": {"id": "other"}}}]
        ),
        respond("results", {"member": {"id": "sam", "locale": "de", "timeZone": "Europe/Paris"}, "items": []}),
    )
    row = next(row for row in found.rows("accounts") if row["account_id"] == "sam")
    expected = {"name": "Sam", "locale": "nl", "time_zone": "Europe/Paris", "organization_id": "other"}
    assert {name: row[name] for name in expected} == expected


def test_only_the_list_counts_for_the_people_on_it() -> None:
    said = {"id": "noor", "name": "Noortje", "domicile": "BE"}
    found = extract(page("accounts", [{"account": {"id": "noor", "name": "Noor"}}]), respond("group_members", [said]))
    row = found.row("accounts")
    assert (row["name"], row["domicile"], row["is_managed"]) == ("Noor", None, True)


def test_the_person_and_the_test_of_the_path_are_known_even_if_nothing_names_them() -> None:
    assert read("results", {"groupDrillableMemberResults": []}).column("accounts", "account_id") == ["noor"]
    assert known(respond("test_results", [{"id": "r"}]))["t"] == ("TEST", None)
    assert known(respond("test_results", [{"id": "r", "test": {"id": "t", "name": "Exam"}}]))["t"] == ("TEST", "Exam")


@pytest.mark.parametrize(
    ("listed", "is_complete"),
    [(None, True), ([{"id": "a"}], False), ([{"id": "a"}, {"name": "No id"}], True), ([{"id": "a"}, "nothing"], True)],
    ids=["no list", "a list that is known to be short", "a person without an id", "no person at all"],
)
def test_no_account_is_of_another_organization_while_the_list_is_incomplete(listed: Any, is_complete: bool) -> None:
    pages = [] if listed is None else [page("accounts", listed)]
    found = extract(*pages, PEOPLE["member"], accounts_complete=is_complete)
    assert {row["account_id"]: row["is_managed"] for row in found.rows("accounts")}["sam"] is None


COURSE = {"id": "x", "type": "course", "name": "Safe medication"}
UNTYPED = {"id": "x"}


def places(playable: Any) -> dict[str, ResourcePage]:
    """Answers that refer to a playable."""
    return {
        "a group's drillables": respond("group_drillables", {"drillables": [playable]}),
        "an objective's drills": respond("objectives", [{"id": "o", "drills": [playable]}]),
        "a result": respond("results", [{"drillable": playable}]),
        "a catalog": respond("catalog_content", {"playables": [playable]}),
        "a group": page("groups", {"id": "g", "drillables": [playable]}, group_id="g"),
        "an objective": respond("objectives", [{"id": "o", "playables": [playable]}]),
        "an attempt": respond("test_results", [{"id": "r", "drills": [{"drill": playable}]}]),
        "a test": page("groups", {"tests": [{"id": "t", "type": "TEST", "drills": [playable]}]}, group_id="g"),
    }


def known(*pages: ResourcePage) -> dict[str, tuple[Any, Any]]:
    return {row["playable_id"]: (row["type"], row["name"]) for row in extract(*pages).rows("playables")}


@pytest.mark.parametrize("place", places(COURSE))
def test_a_type_that_is_stated_anywhere_wins_over_one_that_is_assumed(place: str) -> None:
    typed = places(COURSE)[place]
    assert known(typed)["x"] == ("COURSE", "Safe medication")
    for untyped in places(UNTYPED).values():
        assert known(typed, untyped)["x"] == known(untyped, typed)["x"] == ("COURSE", "Safe medication")


def test_the_place_of_a_reference_says_what_a_playable_is_where_nothing_else_does() -> None:
    assumed = {place: known(response)["x"][0] for place, response in places(UNTYPED).items()}
    assert assumed == {**dict.fromkeys(assumed, "DRILL"), "a catalog": None}
    assert known(respond("objectives", [{"id": "o", "type": "TEST", "playables": [UNTYPED]}]))["x"][0] == "TEST"


@pytest.mark.parametrize(("place", "table"), [("a group", "group_playables"), ("a catalog", "catalog_playables")])
def test_a_link_has_the_type_that_is_known_from_elsewhere(place: str, table: str) -> None:
    assert extract(places(UNTYPED)[place], places(COURSE)["a result"]).row(table)["type"] == "COURSE"


def test_a_name_that_cannot_be_one_gives_way_to_a_good_one() -> None:
    found = extract(respond("group_drillables", [{"id": "x", "name": 5}]), places(COURSE)["a result"])
    assert found.row("playables")["name"] == "Safe medication"
    assert found.rejects("playables") == []
