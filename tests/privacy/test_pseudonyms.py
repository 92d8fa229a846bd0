"""A person has one pseudonym, in every run and wherever it is named, and two people have two."""

from __future__ import annotations

import copy

from drillster_pipeline.privacy.pseudonymize import Privacy

from .masking import NOOR, account, masked, the_account


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
