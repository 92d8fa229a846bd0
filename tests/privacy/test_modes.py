"""What each mode keeps of a person, and that a person has one pseudonym in every run and place."""

from __future__ import annotations

import copy
import re

import pytest

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.privacy.pseudonymize import Privacy

from .masking import HIDING, KEY, NOOR, account, masked, the_account


def test_keep_gives_the_body_itself():
    body = account(NOOR)
    assert Privacy("keep", None).apply("accounts", body) is body


def test_a_pseudonymized_account():
    hidden = the_account("pseudonymize", NOOR)
    assert re.fullmatch(r"person-[0-9a-f]{16}", hidden["name"])
    assert hidden["realName"] == hidden["name"]
    assert re.fullmatch(r"[0-9a-f]{20}@pseudonym\.invalid", hidden["emailAddress"])
    (third_party_id,) = hidden["thirdPartyIds"]
    assert third_party_id["thirdParty"] == "HRCO"
    assert re.fullmatch(r"[0-9a-f]{32}", third_party_id["id"])
    kept = ("type", "id", "status", "created", "lastLogin", "repertoireSize", "organization")
    for field in (*kept, "locale", "timeZone", "domicile"):
        assert hidden[field] == NOOR[field]
    assert set(NOOR) - set(hidden) == {"avatar", "yearOfBirth", "description", "biography"}


def test_a_dropped_account():
    hidden = the_account("drop", NOOR)
    kept = ("type", "id", "status", "created", "lastLogin", "repertoireSize", "organization")
    assert hidden == {field: NOOR[field] for field in kept}


def test_there_are_no_other_modes_and_pseudonyms_need_a_key_that_is_not_shown():
    for mode in ("", "hash", "KEEP", None):
        with pytest.raises(SettingsError, match="DRILLSTER_PERSONAL_DATA"):
            Privacy(mode, KEY)
    for key in (None, ""):
        with pytest.raises(SettingsError, match="DRILLSTER_PSEUDONYM_KEY"):
            Privacy("pseudonymize", key)
        Privacy("drop", key)
    assert KEY not in repr(Privacy("pseudonymize", KEY))


def test_pseudonyms_are_the_same_in_every_run_and_depend_on_the_key():
    first, second = (the_account("pseudonymize", copy.deepcopy(NOOR)) for _ in range(2))
    assert first == second
    other = Privacy("pseudonymize", "another key").apply("accounts", account(NOOR))["accounts"][0]["account"]
    for field in ("name", "emailAddress", "thirdPartyIds"):
        assert other[field] != first[field]


def test_an_address_has_one_pseudonym_however_it_is_written():
    addresses = ["Noor@Example.org", "noor@example.org", " NOOR@EXAMPLE.ORG "]
    hidden = {the_account("pseudonymize", {**NOOR, "emailAddress": address})["emailAddress"] for address in addresses}
    assert len(hidden) == 1
    note = masked("pseudonymize", {"note": "write to NOOR@example.org"})["note"]
    assert note == f"write to {hidden.pop()}"


def test_a_person_has_one_name_in_every_place():
    whole = the_account("pseudonymize", NOOR)
    reduced = masked(
        "pseudonymize", {"evaluations": [{"user": {"id": NOOR["id"], "name": "N. de Wit"}}]}, "objective_evaluations"
    )
    assert reduced["evaluations"][0]["user"] == {"id": NOOR["id"], "name": whole["name"]}


def test_namesakes_stay_two_people():
    names = {the_account("pseudonymize", {"type": "USER", "id": n, "name": "Jan Jansen"})["name"] for n in ("a", "b")}
    assert len(names) == 2


def test_what_is_empty_stays_empty():
    hidden = the_account("pseudonymize", {"type": "USER", "id": "x", "name": "", "emailAddress": "", "realName": None})
    assert (hidden["name"], hidden["emailAddress"]) == ("", "")


def test_the_same_number_in_two_systems_has_two_pseudonyms():
    ids = [{"thirdParty": party, "id": "10077"} for party in ("HRCO", "LMS")]
    hidden = the_account("pseudonymize", {**NOOR, "thirdPartyIds": ids})["thirdPartyIds"]
    assert hidden[0]["id"] != hidden[1]["id"]


def invitee(**person):
    return {"members": [{"member": person, "status": "INVITED"}]}


def key_of(mode, person, **options):
    hidden = masked(mode, invitee(**person), "group_members", **options)
    return hidden["members"][0]["member"].get("inviteeKey")


def test_a_dropped_invitee_keeps_a_key():
    key = key_of("drop", {"emailAddress": "New@example.org", "name": "New One"})
    assert re.fullmatch(r"[0-9a-f]{32}", key)
    assert key == key_of("drop", {"emailAddress": "new@EXAMPLE.org "})
    assert key != key_of("drop", {"emailAddress": "newer@example.org"})
    assert re.fullmatch(r"[0-9a-f]{32}", key_of("drop", {"name": "New One"}))
    assert key_of("drop", {"name": "New One"}) != key_of("drop", {"name": "Other One"})


def test_a_pseudonymized_invitee_is_known_by_the_address_or_a_key():
    assert key_of("pseudonymize", {"emailAddress": "new@example.org"}) is None
    assert re.fullmatch(r"[0-9a-f]{32}", key_of("pseudonymize", {"name": "New One"}))


@pytest.mark.parametrize("mode", HIDING)
def test_who_has_an_account_or_says_nothing_gets_no_key(mode):
    assert key_of(mode, {"id": "a", "emailAddress": "new@example.org"}) is None
    assert key_of(mode, {"type": "USER"}) is None


def test_a_bare_invitee_gets_a_key_too():
    hidden = masked("drop", {"members": [{"emailAddress": "new@example.org", "status": "INVITED"}]}, "group_members")
    assert hidden["members"][0]["inviteeKey"] == key_of("drop", {"emailAddress": "new@example.org"})


def test_only_members_get_a_key():
    body = {"member": {"emailAddress": "new@example.org"}, "groupDrillableMemberResults": []}
    assert masked("drop", body, "results")["member"] == {}


def test_keys_of_invitees_are_made_with_the_key_or_else_with_the_organization():
    def key(pseudonym_key, organization):
        privacy = Privacy("drop", pseudonym_key, organization_id=organization)
        body = privacy.apply("group_members", invitee(emailAddress="new@example.org"))
        return body["members"][0]["member"]["inviteeKey"]

    assert key("k", "one") == key("k", "two") != key("l", "one")
    assert key(None, "one") == key(None, "one") != key(None, "two")
