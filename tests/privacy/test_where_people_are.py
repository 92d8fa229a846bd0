"""People are found in every place and shape of an answer, and what is no person is left alone."""

from __future__ import annotations

import pytest

from tests.extract.answers import example

from .masking import HIDING, NOOR, masked, text, the_account

SAID = ("Noor", "Wit", "Maria", "example.org", "img.example", "1987", "Nurse", "Hoorn", "E10077")

PLACES = {
    "an account": ("accounts", lambda who: {"accounts": [{"account": who, "relationTypes": ["ADMIN"]}]}),
    "a bare account": ("accounts", lambda who: {"accounts": [who]}),
    "an account under another name": ("accounts", lambda who: {"organizationAccounts": [{"account": who}]}),
    "an account under any name": ("accounts", lambda who: {"things": [who]}),
    "a bare list": ("accounts", lambda who: [who]),
    "a member": ("group_members", lambda who: {"members": [{"member": who, "joined": "2024-02-01T09:00:00Z"}]}),
    "a bare member": ("group_members", lambda who: {"members": [who]}),
    "staff": (
        "group_staff",
        lambda who: {"groupStaffUsers": [{"group": {"id": "g"}, "user": who, "permission": "VIEW"}]},
    ),
    "the member of results": ("results", lambda who: {"member": who, "groupDrillableMemberResults": []}),
    "an evaluation": ("objective_evaluations", lambda who: [{"user": who, "met": True}]),
    "an event": ("objective_events", lambda who: {"events": [{"objectiveEvaluation": {"user": who}}]}),
    "a test": ("test_results", lambda who: {"memberTestResults": [{"user": who, "testResults": [{"id": "r"}]}]}),
    "an anonymous attempt": ("test_results", lambda who: {"testResults": [{"id": "r", "ticket": who}]}),
    "a creator": (
        "groups",
        lambda who: {"groups": [{"id": "g", "name": "A", "drillables": [{"id": "d", "creator": who}]}]},
    ),
    "an owner": ("catalog_content", lambda who: {"playables": [{"id": "d", "type": "DRILL", "owner": who}]}),
    "an unknown field": ("groups", lambda who: {"groups": [{"id": "g", "name": "A", "mentor": who}]}),
    "a list in an unknown field": ("groups", lambda who: {"groups": [{"id": "g", "extra": {"deep": [[who]]}}]}),
    "a map": ("groups", lambda who: {"groups": [{"id": "g", "by": {who["emailAddress"]: who}}]}),
}
SHAPES = {
    "whole": NOOR,
    "without a type": {name: value for name, value in NOOR.items() if name != "type"},
    "without an id": {name: value for name, value in NOOR.items() if name not in {"id", "type"}},
    "reduced": {"id": NOOR["id"], "name": NOOR["name"], "emailAddress": NOOR["emailAddress"]},
}


@pytest.mark.parametrize("mode", HIDING)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("place", PLACES)
def test_a_person_is_found(mode, place, shape):
    resource, body = PLACES[place]
    hidden = text(masked(mode, body(SHAPES[shape]), resource))
    for said in SAID:
        assert said not in hidden


@pytest.mark.parametrize("mode", HIDING)
@pytest.mark.parametrize("place", [place for place in PLACES if place != "a map"])
def test_a_person_with_only_a_name_is_found_in_a_known_place_or_by_the_type(mode, place):
    resource, body = PLACES[place]
    person = {"id": NOOR["id"], "name": "Noor de Wit"} | ({"type": "USER"} if "unknown" in place else {})
    hidden = masked(mode, body(person), resource)
    assert "Noor" not in text(hidden)
    assert NOOR["id"] in text(hidden)


@pytest.mark.parametrize("mode", HIDING)
def test_things_keep_their_names(mode):
    owner = {"type": "ORGANIZATION", "id": "o", "name": "Ziekenhuis Oost"}
    group = {**example.group, "description": "All who work there", "organization": owner, "creator": owner}
    content = {"drillables": [{**example.drill, "owner": owner}], "objectives": [example.objective]}
    catalogs = [{"id": "c", "name": "Basis", "description": "Zorg@thuis, 24/7"}]
    body = {"groups": [{**group, **content, "catalogs": catalogs}], "pagination": example.pagination}
    assert masked(mode, body, "groups") == body


@pytest.mark.parametrize("mode", HIDING)
def test_results_are_left_alone(mode):
    body = {"group": {"id": "g", "name": "OK"}, "member": NOOR, "groupDrillableMemberResults": [example.result]}
    assert masked(mode, body, "results")["groupDrillableMemberResults"] == [example.result]
    for item in (
        {"user": NOOR, "testResults": [example.attempt]},
        {**example.attempt, "user": NOOR},
        {"user": {**NOOR, "testResults": [example.attempt]}},
    ):
        assert text(example.attempt).strip("{}") in text(masked(mode, {"memberTestResults": [item]}, "test_results"))


def test_the_address_of_an_organization_is_hidden_and_its_name_is_not():
    body = {"type": "ORGANIZATION", "id": "o", "name": "Ziekenhuis Oost", "emailAddress": "p.bakker@oost.example"}
    for given_body in (body, {name: value for name, value in body.items() if name != "type"}):
        assert "@pseudonym.invalid" in masked("pseudonymize", given_body, "organization")["emailAddress"]
        dropped = masked("drop", given_body, "organization")
        assert "emailAddress" not in dropped
        assert dropped["name"] == "Ziekenhuis Oost"


@pytest.mark.parametrize("mode", HIDING)
def test_a_name_in_place_of_an_object_is_hidden_and_an_id_is_not(mode):
    body = {"creator": "Noor de Wit", "owner": "Qm3vX0sTTeG1rJ8nB5yL2w", "users": ["Noor de Wit", "12345"]}
    hidden = masked(mode, body, "groups")
    assert "Noor" not in text(hidden)
    assert hidden["owner"] == "Qm3vX0sTTeG1rJ8nB5yL2w"
    assert hidden["users"][1] == "12345"


@pytest.mark.parametrize("mode", HIDING)
def test_an_unknown_field_of_a_person_is_hidden_but_noticed(mode):
    person = {**NOOR, "phone": "0612345678", "badge": 4711, "address": {"street": "Kade 1", "since": 1999}, "vip": True}
    hidden = the_account(mode, {**person, "nicknames": ["Noortje"]})
    for said in ("0612345678", "4711", "Kade", "1999", "Noortje"):
        assert said not in text(hidden)
    assert {"phone", "badge", "address", "vip", "nicknames"} <= set(hidden)
    assert hidden["vip"] is True
    assert hidden["badge"] is None
    assert set(hidden["address"]) == {"street", "since"}
    if mode == "pseudonymize":
        assert hidden["phone"] == the_account(mode, person)["phone"] != hidden["nicknames"][0]


@pytest.mark.parametrize("mode", HIDING)
def test_what_someone_without_an_account_filled_in_is_hidden(mode):
    body = {"testResults": [{"id": "r", "reference": "Noor, ward 3", "score": {"percentage": 80}}]}
    (hidden,) = masked(mode, body, "test_results")["testResults"]
    assert "Noor" not in text(hidden)
    assert hidden["score"] == {"percentage": 80}
