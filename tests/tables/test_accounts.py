from __future__ import annotations

from typing import Any

import pytest

from .pages import Extracted, extract, page, utc

NOOR = {
    "type": "USER",
    "id": "Qm3vX0sTTeG1rJ8nB5yL2w",
    "name": "Noor de Wit",
    "emailAddress": "noor.dewit@example.org",
    "locale": "nl",
    "domicile": "NL",
    "timeZone": "Europe/Amsterdam",
    "yearOfBirth": "1984",
    "repertoireSize": 12,
    "organization": {"type": "ORGANIZATION", "id": "org", "name": "Linde"},
    "created": "2023-04-12T08:15:30Z",
    "lastLogin": "2025-05-02T06:41:00Z",
    "thirdPartyIds": [{"thirdParty": "HRCO", "id": "E10077"}],
    "status": "ACTIVE",
}
NOORS_ROW = {
    "account_id": "Qm3vX0sTTeG1rJ8nB5yL2w",
    "name": "Noor de Wit",
    "email_address": "noor.dewit@example.org",
    "locale": "nl",
    "domicile": "NL",
    "time_zone": "Europe/Amsterdam",
    "year_of_birth": 1984,
    "status": "ACTIVE",
    "is_managed": True,
    "is_admin": False,
    "repertoire_size": 12,
    "organization_id": "org",
    "created_at": utc(2023, 4, 12, 8, 15, 30),
    "last_login_at": utc(2025, 5, 2, 6, 41),
}
ITEM = {"account": NOOR, "relationTypes": ["ACCOUNT"]}


def accounts(*items: Any) -> Extracted:
    return extract(page("accounts", {"accounts": list(items)}))


@pytest.mark.parametrize(
    "body",
    [
        {"accounts": [ITEM], "pagination": {"total": 1, "lastOnPage": "1681287330123", "moreAvailable": False}},
        {"organizationAccounts": [ITEM], "pagination": {"lastOnPage": "1681287330123", "moreAvailable": False}},
        {"people": [ITEM]},
        [ITEM],
        {"accounts": [{**NOOR, "relationTypes": ["ACCOUNT"]}]},
    ],
    ids=["accounts", "organizationAccounts", "another name", "bare array", "bare User"],
)
def test_an_account_loads_from_each_form_of_the_list(body: Any) -> None:
    found = extract(page("accounts", body))
    assert found.row("accounts") == NOORS_ROW
    assert found.row("account_external_ids") == {
        "account_id": NOOR["id"],
        "third_party": "HRCO",
        "external_id": "E10077",
    }
    assert found.rejects() == []


def test_a_service_account_has_only_an_id_and_a_name() -> None:
    found = accounts({"account": {"type": "USER", "id": "s", "name": "Export"}, "relationTypes": ["ADMIN"]})
    row = found.row("accounts")
    given = {"account_id": "s", "name": "Export", "is_managed": True, "is_admin": True}
    assert {name: value for name, value in row.items() if value is not None} == given


@pytest.mark.parametrize(
    ("relation_types", "is_admin"),
    [(["ADMIN"], True), (["ACCOUNT"], False), (["ACCOUNT", "ADMIN"], True), ([], False), (None, None)],
)
def test_whoever_has_the_relation_admin_is_one(relation_types: list[str] | None, is_admin: bool | None) -> None:
    row = accounts({"account": {"id": "a"}, "relationTypes": relation_types}).row("accounts")
    assert row["is_admin"] is is_admin
    assert row["is_managed"] is True


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("lastLogin", 1_746_168_060_500, "last_login_at", utc(2025, 5, 2, 6, 41, 0, 500_000)),
        ("created", "2023-04-12T08:15Z", "created_at", utc(2023, 4, 12, 8, 15)),
        ("created", "2023-04-12T08:15:30.123Z", "created_at", utc(2023, 4, 12, 8, 15, 30, 123_000)),
        ("yearOfBirth", 1984, "year_of_birth", 1984),
        ("name", "", "name", ""),
        ("name", None, "name", None),
        ("id", 17, "account_id", "17"),
    ],
)
def test_a_field_loads_however_it_is_written(field: str, value: Any, column: str, expected: Any) -> None:
    assert accounts({"account": {**NOOR, field: value}}).row("accounts")[column] == expected


def test_a_real_name_stands_in_for_a_name_that_is_left_out() -> None:
    assert accounts({"account": {"id": "a", "realName": "Noor"}}).row("accounts")["name"] == "Noor"


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("Noor", "accounts[]: expected an object, found text"),
        ({"account": "Noor"}, "account_id, name, email_address and 9 more: expected an object, found text"),
        ({"account": {}}, "account_id: missing"),
        ({"account": {"id": ""}}, "account_id: missing"),
        ({"account": {"id": ["a"]}}, "account_id: expected an id, found a list"),
        ({"account": {"id": "a", "name": 5}}, "name: expected text, found a number"),
        ({"account": {"id": "a", "lastLogin": 1_746_168_060}}, "last_login_at: expected a timestamp, found a number"),
        ({"account": {"id": "a", "yearOfBirth": "long ago"}}, "year_of_birth: expected an integer, found text"),
        ({"account": {"id": "a", "organization": "Linde"}}, "organization_id: expected an object, found text"),
        ({"account": {"id": "a"}, "relationTypes": "ADMIN"}, "is_admin: expected a list, found text"),
    ],
)
def test_an_account_that_does_not_fit_is_rejected_with_a_reason_and_the_next_one_loads(item: Any, reason: str) -> None:
    found = accounts(item, {"account": {"id": "next"}})
    assert found.reasons() == [reason]
    assert found.column("accounts", "account_id") == ["next"]


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ("E1", "thirdPartyIds: expected a list, found text"),
        (["E1"], "thirdPartyIds[]: expected an object, found text"),
        ([{"thirdParty": "HRCO"}], "external_id: missing"),
        ([{"id": "E1"}], "third_party: missing"),
        ([{"thirdParty": "HRCO", "id": 1.5}], "external_id: expected an id, found a number"),
    ],
)
def test_a_broken_external_id_does_not_take_its_account_along(ids: Any, reason: str) -> None:
    found = accounts({"account": {"id": "a", "thirdPartyIds": ids}})
    assert found.reasons() == [reason]
    assert found.rejects()[0].table == "account_external_ids"
    assert found.column("accounts", "account_id") == ["a"]


def test_accounts_that_two_pages_repeat_are_given_once_as_last_seen() -> None:
    found = extract(
        page("accounts", [{"id": "a", "name": "Noor"}, {"id": "b"}], number=1),
        page("accounts", [{"id": "a", "name": "Noor de Wit"}, {"id": "c"}], number=2),
    )
    assert sorted(found.column("accounts", "account_id")) == ["a", "b", "c"]
    assert "Noor de Wit" in found.column("accounts", "name")
    assert "Noor" not in found.column("accounts", "name")


SAM = {"id": "sam", "name": "Sam from elsewhere"}
MENTIONS = [
    page("group_members", [{"member": SAM, "joined": "2024-01-11"}], group_id="g"),
    page("group_staff", {"groupStaffUsers": [{"user": SAM, "permission": "VIEW"}]}, group_id="g"),
    page("objective_evaluations", [{"user": SAM, "met": True}], group_id="g", objective_id="o"),
    page("results", {"member": SAM, "groupDrillableMemberResults": []}, group_id="g", account_id="sam"),
    page("test_results", {"memberTestResults": [{"user": SAM, "testResults": []}]}, group_id="g", test_id="t"),
    page("test_results", {"testResults": [{"id": "r", "user": SAM}]}, group_id="g", test_id="t"),
]


@pytest.mark.parametrize(
    "mention", MENTIONS, ids=["member", "staff", "evaluation", "result", "test without attempts", "test"]
)
def test_a_person_of_another_organization_is_known_from_wherever_one_is_named(mention: Any) -> None:
    found = extract(page("accounts", {"accounts": [ITEM]}), mention)
    (other,) = [row for row in found.rows("accounts") if row["account_id"] == "sam"]
    assert (other["name"], other["is_managed"], other["is_admin"]) == ("Sam from elsewhere", False, None)


def test_what_members_say_of_a_person_wins_and_others_fill_what_is_missing() -> None:
    found = extract(
        page("accounts", []),
        page("group_members", [{"member": {"id": "sam", "name": "Sam"}}], group_id="g"),
        page("group_staff", [{"user": {"id": "sam", "name": "Samuel", "locale": "nl"}}], group_id="g"),
        page(
            "results", {"member": {"id": "sam", "locale": "de", "timeZone": "Europe/Paris"}, "items": []}, group_id="g"
        ),
    )
    row = found.row("accounts")
    assert (row["name"], row["locale"], row["time_zone"]) == ("Sam", "nl", "Europe/Paris")


def test_the_list_wins_whole_for_the_people_on_it() -> None:
    said = {"id": NOOR["id"], "name": "Noortje", "description": "x", "domicile": "BE"}
    listed = {"account": {"id": NOOR["id"], "name": "Noor de Wit"}, "relationTypes": ["ACCOUNT"]}
    found = extract(page("accounts", [listed]), page("group_members", [{"member": said}], group_id="g"))
    row = found.row("accounts")
    assert (row["name"], row["domicile"], row["is_managed"]) == ("Noor de Wit", None, True)


def test_without_the_list_nobody_knows_who_is_managed() -> None:
    event = {"eventType": "OBJECTIVE_BECAME_OK", "timestamp": "2026-03-14T09:00Z", "user": SAM}
    found = extract(
        page("objective_events", {"events": [event]}, group_id="g", objective_id="o"),
        kind="events",
        tables=("objective_events", "accounts"),
    )
    row = found.row("accounts")
    assert (row["account_id"], row["is_managed"], row["is_admin"]) == ("sam", None, None)


def test_a_broken_field_of_a_mention_gives_way_to_a_good_one() -> None:
    found = extract(
        page("accounts", []),
        page("group_members", [{"member": {"id": "sam", "organization": "?"}, "joined": "2024-01-11"}], group_id="g"),
        page("group_staff", [{"user": {"id": "sam", "organization": {"id": "other"}}}], group_id="g"),
    )
    assert found.row("accounts")["organization_id"] == "other"


def test_the_person_of_the_path_is_known_even_if_the_answer_does_not_repeat_it() -> None:
    found = extract(page("results", {"groupDrillableMemberResults": []}, group_id="g", account_id="sam"))
    assert found.column("accounts", "account_id") == ["sam"]


def somebody(account_id: str) -> Any:
    return page("group_members", {"members": [{"member": {"id": account_id}}]}, group_id="g")


def test_a_list_that_is_known_to_be_short_makes_nobody_a_stranger() -> None:
    found = extract(page("accounts", {"accounts": [{"account": {"id": "a"}}]}), somebody("b"), accounts_complete=False)
    assert dict(zip(found.column("accounts", "account_id"), found.column("accounts", "is_managed"), strict=True)) == {
        "a": True,
        "b": None,
    }


@pytest.mark.parametrize("item", [{"account": {"name": "No id"}}, {"account": {"id": {}}}, "nothing"], ids=str)
def test_somebody_on_the_list_who_cannot_be_told_may_be_anybody(item: Any) -> None:
    found = extract(page("accounts", {"accounts": [{"account": {"id": "a"}}, item]}), somebody("b"))
    (other,) = [row for row in found.rows("accounts") if row["account_id"] == "b"]
    assert other["is_managed"] is None
