"""An item is loaded the same in every form, and special values as they are meant."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from .answers import FORMS, LISTS, example, read, respond
from .pages import extract, page, utc


def given(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.parametrize("resource", FORMS)
def test_an_item_loads_the_same_in_every_form_and_under_any_name_of_its_list(resource: str) -> None:
    for item in FORMS[resource]["items"]:
        for body in [[item], *({name: [item], "pagination": example.pagination} for name in LISTS[resource])]:
            found = read(resource, body)
            for table, rows in FORMS[resource]["rows"].items():
                assert list(map(given, found.rows(table))) == (rows if isinstance(rows, list) else [rows]), body
            assert found.rejects() == []


def test_the_organization_is_one_row_of_which_only_the_id_is_needed() -> None:
    assert given(read("organization", example.organization).row("organizations")) == {
        "organization_id": "org",
        "name": "Zorggroep De Linde",
        "contract_type": "BUSINESS",
        "contract_created_at": utc(2020, 1, 1),
        "contract_expires_at": utc(2027, 1, 1),
        "group_member_quota": 5000,
        "privacy_location": "EU",
    }
    assert given(read("organization", {"id": "org", "contract": None}).row("organizations")) == {
        "organization_id": "org"
    }


@pytest.mark.parametrize(
    ("relation_types", "is_admin"), [(["ADMIN"], True), (["ACCOUNT", "ADMIN"], True), ([], False), (None, None)]
)
def test_whoever_has_the_relation_admin_is_one(relation_types: Any, is_admin: bool | None) -> None:
    row = read("accounts", [{"account": {"id": "a"}, "relationTypes": relation_types}]).row("accounts")
    assert (row["is_managed"], row["is_admin"]) == (True, is_admin)


@pytest.mark.parametrize(
    ("account", "column", "expected"),
    [
        ({"id": 17}, "account_id", "17"),
        ({"id": "a", "name": ""}, "name", ""),
        ({"id": "a", "realName": "Noor"}, "name", "Noor"),
        ({"id": "a", "lastLogin": "2025-05-02T06:41:00Z"}, "last_login_at", utc(2025, 5, 2, 6, 41)),
    ],
)
def test_a_field_of_an_account_loads_however_it_is_written(account: Any, column: str, expected: Any) -> None:
    assert read("accounts", [account]).row("accounts")[column] == expected


def test_a_things_own_answer_adds_to_the_list_and_is_known_by_its_path() -> None:
    found = extract(
        page("catalogs", [{"id": "c", "name": "Old"}]),
        page("catalogs", {"name": "Basics"}, catalog_id="c"),
        respond("catalog_content", {"playables": [], "playableContainer": example.catalog, "pagination": {"total": 7}}),
        page("groups", [{"id": "g", "name": "Old", "description": "All"}, {"id": "closed", "name": "Closed"}]),
        page("groups", {"name": "New", "tests": [{"id": "t"}], "drillables": [example.drill]}, group_id="g"),
        respond("group_drillables", {"drillables": [example.drill], "tests": [{"id": "u"}]}),
    )
    assert given(found.row("catalogs")) == {**example.catalog_row, "playable_count": 7}
    groups = {row["group_id"]: (row["name"], row["description"]) for row in found.rows("groups")}
    assert groups == {"g": ("New", "All"), "closed": ("Closed", None)}
    playables = {row["playable_id"]: row["type"] for row in found.rows("group_playables")}
    assert playables == {"t": "TEST", "d": "DRILL", "u": "TEST"}


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ({"emailAddress": "Kim@Example.org"}, "invitee:" + hashlib.sha256(b"kim@example.org").hexdigest()[:32]),
        ({"emailAddress": "9f2c@pseudonym.invalid", "inviteeKey": "0123" * 8}, "invitee:" + "0123" * 8),
        ({"inviteeKey": "0123" * 8}, "invitee:" + "0123" * 8),
    ],
)
def test_an_invitee_without_an_account_is_known_by_a_digest_of_the_address(member: Any, expected: str) -> None:
    found = read("group_members", [{"member": member, "invited": "2024-02-01", "status": "invited"}])
    row = found.row("group_members")
    assert (row["member_key"], row["account_id"], row["status"]) == (expected, None, "INVITED")
    assert found.rows("accounts") == []


KIM = {"emailAddress": "kim@example.org"}


@pytest.mark.parametrize(
    ("item", "counts", "status"),
    [
        ({"member": example.noor, **example.joined, "status": "accepted"}, None, "ACCEPTED"),
        ({"member": example.noor, "status": ""}, None, ""),
        ({"member": example.noor}, None, "INVITED"),
        ({"member": example.noor}, {"members": 4, "invitees": 1}, "INVITED"),
        ({"member": example.noor}, {"members": 5, "invitees": 0}, "MEMBER"),
        ({"member": KIM}, {"members": 5, "invitees": 0}, "INVITED"),
        ({"member": KIM, **example.joined}, None, "MEMBER"),
    ],
)
def test_a_status_is_as_stated_or_follows_from_a_date_of_joining(item: Any, counts: Any, status: str) -> None:
    assert read("group_members", {"members": [item], "counts": counts}).row("group_members")["status"] == status


def test_the_norm_of_an_evaluation_is_its_own_else_that_of_its_objective() -> None:
    own = {
        **example.evaluation,
        "user": {"id": "a"},
        "reviewDate": "2026-05-01",
        "objective": {"minimumProficiency": 70},
    }
    found = extract(
        respond("objectives", [example.objective]), respond("objective_evaluations", [example.evaluation, own])
    )
    norms = {
        row["account_id"]: (row["review_at"], row["minimum_proficiency"]) for row in found.rows("objective_evaluations")
    }
    assert norms == {"noor": (utc(2026, 8, 1), 80), "a": (utc(2026, 5, 1), 70)}
    unread = page("objective_evaluations", [example.evaluation], group_id="g", objective_id="unread")
    assert (
        extract(respond("objectives", [example.objective]), unread).row("objective_evaluations")["minimum_proficiency"]
        is None
    )


def test_a_norm_that_does_not_fit_costs_the_objective_but_no_evaluation() -> None:
    objectives = [
        {"id": "o", "minimumProficiency": "much", "reviewDate": "2026-05-01"},
        {"id": "p", "reviewDate": "soon"},
    ]
    found = extract(respond("objectives", objectives), respond("objective_evaluations", [{"user": {"id": "a"}}]))
    assert [reject.key for reject in found.rejects()] == [("o",), ("p",)]
    row = found.row("objective_evaluations")
    assert (row["minimum_proficiency"], row["review_at"]) == (None, utc(2026, 5, 1))


def test_a_proficiency_that_is_a_number_has_no_parts_and_the_measures_of_practice_win() -> None:
    practice = {**example.practice, "proficiency": 61, "highestProficiency": 95, "eventualProficiency": "40"}
    row = read("results", [{"drillable": {**example.drill, "practice": {"timeSpent": 2}}, "practice": practice}]).row(
        "results"
    )
    assert row == {**example.result_row, "receptive_proficiency": None, "productive_proficiency": None}


def test_a_value_that_is_given_is_kept_where_others_would_be_made() -> None:
    assert read("objective_events", [{**example.event, "eventId": "e-1"}]).row("objective_events")["event_id"] == "e-1"
    falling = read("objectives", [{"id": "o", "minimumProficiency": 90.0, "fallingMinimumProficiency": 0}])
    assert falling.column("objectives", "falling_minimum_proficiency") == [0]


@pytest.mark.parametrize(
    "entry",
    [{"user": example.noor}, {"user": example.noor, "testResults": []}, {"member": example.noor, "attempts": []}],
)
def test_a_member_without_attempts_is_no_attempt(entry: Any) -> None:
    found = read("test_results", {"memberTestResults": [entry]})
    assert (found.rows("test_results"), found.rejects()) == ([], [])
    assert found.column("accounts", "account_id") == ["noor"]


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        ({"completed": None, "progress": 0, "score": None}, (0.0, None, None)),
        ({"score": 64}, (1.0, 64, None)),
        ({"score": {"transformations": [example.grade]}}, (1.0, None, None)),
        ({"score": {"transformations": [{**example.passed, "passed": False}, example.passed]}}, (1.0, None, False)),
        ({"score": {"transformations": [{**example.passed, "passed": None}, example.passed]}}, (1.0, None, True)),
    ],
)
def test_an_attempt_is_passed_by_the_first_transformation_that_says_so(attempt: Any, expected: Any) -> None:
    row = read("test_results", [{"user": example.noor, "testResults": [{**example.attempt, **attempt}]}]).row(
        "test_results"
    )
    assert (row["progress"], row["score_percentage"], row["passed"]) == expected


def test_attempts_by_unknown_accounts_and_scores_that_are_numbers_load_too() -> None:
    found = read(
        "test_results", [{**example.attempt, "ticket": {"id": "x"}, "drills": [{"drill": example.drill, "score": 57}]}]
    )
    assert found.row("test_results")["account_id"] is None
    assert found.column("test_result_drills", "score_percentage") == [57]
