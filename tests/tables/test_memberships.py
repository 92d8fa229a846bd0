from __future__ import annotations

import hashlib
from typing import Any

import pytest

from .pages import Extracted, extract, page, utc

NOOR = {"type": "USER", "id": "noor", "name": "Noor", "emailAddress": "noor@example.org"}
JOINED = "2024-02-01T09:00:00Z"
ADDRESS = "Kim.Jansen@Example.org"
KIMS_KEY = "invitee:" + hashlib.sha256(b"kim.jansen@example.org").hexdigest()[:32]


def members(*items: Any, **body: Any) -> Extracted:
    return extract(page("group_members", {"members": list(items), **body}, group_id="g"))


@pytest.mark.parametrize(
    "body",
    [
        {"members": [{"member": NOOR, "joined": JOINED}], "counts": {"members": 1, "invitees": 0}},
        {"members": [{"member": NOOR, "joined": JOINED}], "pagination": {"total": 1, "lastOnPage": "noor"}},
        {"groupMembers": [{"member": NOOR, "joined": JOINED}]},
        [{"member": NOOR, "joined": JOINED}],
        [{**NOOR, "joined": JOINED}],
    ],
    ids=["counts", "pagination", "another name", "bare array", "bare User"],
)
def test_a_member_loads_from_each_form(body: Any) -> None:
    assert extract(page("group_members", body, group_id="g")).row("group_members") == {
        "group_id": "g",
        "member_key": "noor",
        "account_id": "noor",
        "name": "Noor",
        "email_address": "noor@example.org",
        "status": "MEMBER",
        "joined_at": utc(2024, 2, 1, 9),
        "invited_at": None,
    }


def test_an_invitee_without_an_account_is_known_by_a_digest_of_the_address() -> None:
    found = members({"member": {"emailAddress": ADDRESS}, "invited": "2024-02-01", "status": "invited"})
    row = found.row("group_members")
    assert (row["member_key"], row["account_id"], row["status"]) == (KIMS_KEY, None, "INVITED")
    assert (row["email_address"], row["joined_at"], row["invited_at"]) == (ADDRESS, None, utc(2024, 2, 1))
    assert found.rows("accounts") == []


def test_an_invitee_whose_address_is_hidden_keeps_the_key_that_was_made_from_it() -> None:
    digest = "0123456789abcdef" * 2
    hidden = {"emailAddress": "9f2c@pseudonym.invalid", "inviteeKey": digest}
    assert members({"member": hidden}).row("group_members")["member_key"] == f"invitee:{digest}"
    assert members({"member": {"inviteeKey": digest}}).row("group_members")["member_key"] == f"invitee:{digest}"


def test_an_invitee_with_an_account_is_known_by_it() -> None:
    row = members({"member": NOOR, "invited": "2024-02-01"}).row("group_members")
    assert (row["member_key"], row["account_id"], row["status"]) == ("noor", "noor", "INVITED")


KIM = {"emailAddress": ADDRESS}


@pytest.mark.parametrize(
    ("item", "counts", "status"),
    [
        ({"member": NOOR, "joined": JOINED}, None, "MEMBER"),
        ({"member": NOOR, "joined": JOINED, "status": "accepted"}, None, "ACCEPTED"),
        ({"member": NOOR, "status": "declined"}, None, "DECLINED"),
        ({"member": NOOR, "status": ""}, None, ""),
        ({"member": NOOR}, None, "INVITED"),
        ({"member": NOOR}, {"members": 4, "invitees": 1}, "INVITED"),
        ({"member": NOOR}, {"members": 5, "invitees": 0}, "MEMBER"),
        ({"member": KIM}, None, "INVITED"),
        ({"member": KIM}, {"members": 5, "invitees": 0}, "INVITED"),
        ({"member": KIM, "joined": JOINED}, None, "MEMBER"),
    ],
)
def test_a_status_is_what_drillster_says_or_what_a_date_of_joining_tells(
    item: dict[str, Any], counts: Any, status: str
) -> None:
    assert members(item, counts=counts).row("group_members")["status"] == status


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"member": {"name": "Kim"}}, "member_key: missing: the entry has neither an id nor an e-mail address"),
        ({"member": {"id": [1], "emailAddress": ADDRESS}}, "member_key, account_id: expected an id, found a list"),
        ({"member": {**NOOR, "name": 5}}, "name: expected text, found a number"),
        ({"member": NOOR, "joined": "yesterday"}, "joined_at: expected a timestamp, found other text"),
        ({"member": NOOR, "status": 1}, "status: expected text, found a number"),
        (None, "members[]: expected an object, found nothing"),
    ],
)
def test_a_member_that_does_not_fit_is_rejected_with_a_reason(item: Any, reason: str) -> None:
    found = members(item, {"member": {"id": "next"}})
    assert found.reasons("group_members") == [reason]
    assert found.column("group_members", "member_key") == ["next"]


def test_the_same_person_may_be_in_many_groups() -> None:
    found = extract(*(page("group_members", [{"member": NOOR}], group_id=group) for group in "abc"))
    assert found.column("group_members", "group_id") == ["a", "b", "c"]
    assert found.column("accounts", "account_id") == ["noor"]


STAFF = {"group": {"id": "g"}, "user": {"type": "USER", "id": "boss", "name": "Boss"}, "permission": "MANAGE"}


@pytest.mark.parametrize(
    "body", [{"group": {"id": "g"}, "count": 1, "groupStaffUsers": [STAFF]}, {"staff": [STAFF]}, [STAFF]]
)
def test_staff_load_from_each_form(body: Any) -> None:
    found = extract(page("group_staff", body, group_id="g"))
    assert found.row("group_staff") == {"group_id": "g", "account_id": "boss", "permission": "MANAGE"}
    assert found.row("accounts")["name"] == "Boss"


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"permission": "MANAGE"}, "account_id: missing"),
        ({"user": "boss"}, "account_id: expected an object, found text"),
        ({"user": {"id": "boss"}, "permission": ["MANAGE"]}, "permission: expected text, found a list"),
    ],
)
def test_staff_that_do_not_fit_are_rejected_with_a_reason(item: Any, reason: str) -> None:
    assert extract(page("group_staff", [item], group_id="g")).reasons("group_staff") == [reason]
