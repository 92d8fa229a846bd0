from __future__ import annotations

import copy
import json
import re
import string
import threading
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drillster_pipeline.errors import ContractError, SettingsError
from drillster_pipeline.privacy import Privacy
from tests.conftest import examples

KEY = "a long random text that nobody knows"
HIDING = ("pseudonymize", "drop")

NOOR = {
    "type": "USER",
    "id": "Qm3vX0sTTeG1rJ8nB5yL2w",
    "name": "Noor de Wit",
    "realName": "Noor Maria de Wit",
    "emailAddress": "Noor.deWit@example.org",
    "avatar": {"type": "image/jpeg", "url": "https://img.example/noor.jpg", "width": 64},
    "yearOfBirth": "1987",
    "description": "Nurse in the night shift",
    "biography": "Born in Hoorn",
    "locale": "nl",
    "timeZone": "Europe/Amsterdam",
    "domicile": "NL",
    "thirdPartyIds": [{"thirdParty": "HRCO", "id": "E10077"}],
    "status": "ACTIVE",
    "created": "2023-04-12T08:15:30Z",
    "lastLogin": "2025-05-02T06:41:00Z",
    "repertoireSize": 12,
    "organization": {"type": "ORGANIZATION", "id": "org", "name": "Ziekenhuis Oost", "locale": "nl"},
}
SAID = ("Noor", "Wit", "Maria", "example.org", "img.example", "1987", "Nurse", "Hoorn", "E10077")


def masked(mode, body, resource="accounts", **options):
    return Privacy(mode, KEY, **options).apply(resource, body)


def text(body):
    return json.dumps(body, ensure_ascii=False)


def account(person, **more):
    return {"accounts": [{"account": person, "relationTypes": ["ACCOUNT"], **more}], "pagination": {"total": 1}}


def the_account(mode, person):
    return masked(mode, account(person))["accounts"][0]["account"]


# The modes


def test_keep_gives_the_body_itself():
    body = account(NOOR)
    assert Privacy("keep", None).apply("accounts", body) is body


@pytest.mark.parametrize("mode", HIDING)
def test_the_body_is_never_changed(mode):
    body = account(NOOR, note="Noor de Wit <noor@example.org>")
    before = copy.deepcopy(body)
    masked(mode, body)
    assert body == before


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


@pytest.mark.parametrize("mode", ["", "hash", "KEEP", None])
def test_there_are_no_other_modes(mode):
    with pytest.raises(SettingsError, match="DRILLSTER_PERSONAL_DATA"):
        Privacy(mode, KEY)


@pytest.mark.parametrize("key", [None, ""])
def test_pseudonyms_need_a_key(key):
    with pytest.raises(SettingsError, match="DRILLSTER_PSEUDONYM_KEY"):
        Privacy("pseudonymize", key)
    Privacy("drop", key)


def test_the_key_is_not_shown():
    assert KEY not in repr(Privacy("pseudonymize", KEY))


# Pseudonyms


def test_pseudonyms_are_the_same_every_night_and_depend_on_the_key():
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


def test_a_person_has_one_name_wherever_it_is_met():
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


# Where people are

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
@pytest.mark.parametrize("place", [place for place in PLACES if "unknown" not in place and place != "a map"])
def test_a_person_with_only_a_name_is_found_in_a_known_place(mode, place):
    resource, body = PLACES[place]
    hidden = masked(mode, body({"id": NOOR["id"], "name": "Noor de Wit"}), resource)
    assert "Noor" not in text(hidden)
    assert NOOR["id"] in text(hidden)


@pytest.mark.parametrize("mode", HIDING)
def test_things_keep_their_names(mode):
    body = {
        "groups": [
            {
                "id": "g",
                "name": "Operatiekamer",
                "description": "All who work there",
                "customReference": "OK-1",
                "counts": {"members": 3},
                "organization": {"type": "ORGANIZATION", "id": "o", "name": "Ziekenhuis Oost"},
                "creator": {"type": "ORGANIZATION", "id": "o", "name": "Ziekenhuis Oost"},
                "drillables": [
                    {
                        "id": "d",
                        "type": "DRILL",
                        "name": "Hygiëne",
                        "owner": {"type": "ORGANIZATION", "id": "o", "name": "Z"},
                    }
                ],
                "objectives": [
                    {"id": "x", "type": "ONEOFF", "name": "Voor 1 mei", "playables": [{"id": "d", "name": "Hygiëne"}]}
                ],
                "catalogs": [{"id": "c", "name": "Basis", "description": "Zorg@thuis, 24/7"}],
            }
        ],
        "pagination": {"total": 1, "lastOnPage": "g", "moreAvailable": False},
    }
    assert masked(mode, body, "groups") == body


@pytest.mark.parametrize("mode", HIDING)
def test_results_are_left_alone(mode):
    item = {
        "drillable": {
            "id": "d",
            "type": "COURSE",
            "name": "Medicatie",
            "icon": {"type": "image/png", "url": "https://x/y.png"},
        },
        "practice": {
            "proficiency": {"overall": 61, "receptive": 60},
            "timeSpent": 3600,
            "lastPracticed": "2026-01-01T00:00:00Z",
        },
    }
    body = {"group": {"id": "g", "name": "OK"}, "member": NOOR, "groupDrillableMemberResults": [item]}
    assert masked(mode, body, "results")["groupDrillableMemberResults"] == [item]
    test_result = {
        "id": "r",
        "score": {"percentage": 70, "transformations": [{"id": "t", "result": "7", "passed": True}]},
        "started": "2026-01-01T00:00:00Z",
        "progress": 1.0,
        "drills": [{"drill": {"id": "d"}, "score": {"percentage": 70}}],
    }
    for body in (
        {"memberTestResults": [{"user": NOOR, "testResults": [test_result]}]},
        {"memberTestResults": [{**test_result, "user": NOOR}]},
        {"memberTestResults": [{"user": {**NOOR, "testResults": [test_result]}}]},
    ):
        found = text(masked(mode, body, "test_results"))
        assert text(test_result).strip("{}") in found


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


# Running text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ask Noor de Wit.", "ask NAME."),
        ("NOOR DE WIT and noor de wit", "NAME and NAME"),
        ("Noor  de-Wit", "NAME"),
        ("Noor Maria de Wit", "NAME"),
        ("/files/noor_de_wit.pdf", "/files/NAME.pdf"),
        ("Noor&nbsp;de&nbsp;Wit", "NAME"),
        ("R&amp;D, R&D", "R&amp;D, R&D"),
        ("(noor.dewit@example.org)", "(MAIL)"),
        ("https://x.example/?user=Noor.deWit%40example.org&y=1", "https://x.example/?user=MAIL&y=1"),
        ("mailto:noor.dewit@example.org", "mailto:MAIL"),
        ("key E10077!", "key HR!"),
        ("Noor and de Wit", "Noor and de Wit"),
        ("Noor de Witte", "Noor de Witte"),
        ("Zorg@thuis", "Zorg@thuis"),
        ("E100775", "E100775"),
        ("", ""),
    ],
)
def test_people_in_running_text_are_hidden(before, after):
    body = {**account(NOOR), "note": before}
    hidden = masked("pseudonymize", body)
    person = hidden["accounts"][0]["account"]
    pseudonyms = {"NAME": person["name"], "MAIL": person["emailAddress"], "HR": person["thirdPartyIds"][0]["id"]}
    for word, pseudonym in pseudonyms.items():
        after = after.replace(word, pseudonym)
    assert hidden["note"] == after
    dropped = masked("drop", body)["note"]
    for pseudonym in pseudonyms.values():
        after = after.replace(pseudonym, "[removed]")
    assert dropped == after


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("said", ["NFC", "NFD"])
def test_a_name_is_found_however_its_accents_are_written(form, said):
    name = unicodedata.normalize(form, "Zoë Strömfelt")
    body = {**account({**NOOR, "name": name}), "note": unicodedata.normalize(said, "By Zoë Strömfelt")}
    assert masked("drop", body)["note"] == "By [removed]"


def test_the_address_of_someone_unknown_is_hidden_too():
    assert masked("drop", {"groups": [{"description": "Mail p.bakker@oost.example!"}]}, "groups") == {
        "groups": [{"description": "Mail [removed]!"}]
    }


def test_a_thing_that_bears_a_persons_name_loses_it_but_not_for_one_word():
    people = {
        "users": [{"type": "USER", "id": "1", "name": "Export"}, {"type": "USER", "id": "2", "name": "Jan Jansen"}]
    }
    hidden = masked("drop", {**people, "groups": [{"name": "Export"}, {"name": "Team of Jan Jansen"}]}, "groups")
    assert hidden["groups"] == [{"name": "Export"}, {"name": "Team of [removed]"}]


def test_ids_and_states_are_not_taken_for_names():
    body = {
        "users": [{"type": "USER", "id": "ACTIVE", "name": "ACTIVE"}],
        "groups": [{"id": "ACTIVE", "status": "ACTIVE"}],
    }
    hidden = masked("pseudonymize", body, "groups")
    assert hidden["users"][0]["id"] == "ACTIVE"
    assert hidden["groups"] == body["groups"]


def test_an_address_used_as_an_id_or_a_key_is_hidden():
    body = {"pagination": {"lastOnPage": "noor@example.org"}, "id": "noor@example.org", "by": {"noor@example.org": 1}}
    hidden = masked("pseudonymize", body, "groups")
    assert "noor" not in text(hidden)
    assert hidden["id"] == hidden["pagination"]["lastOnPage"]
    assert list(hidden["by"].values()) == [1]


# Invitees without an account


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


# Properties

letters = st.characters(categories=["Lu", "Ll", "Lo"])
words = st.text(letters, min_size=3, max_size=9)
names = st.lists(words, min_size=2, max_size=4).map(" ".join)
labels = st.text(string.ascii_lowercase, min_size=4, max_size=9)
addresses = st.tuples(labels, labels, labels).map(lambda parts: "{}.{}@{}.example".format(*parts))
keys = st.text(string.digits, min_size=6, max_size=9).map(lambda digits: f"HR{digits}")


@st.composite
def people(draw):
    """Persons who differ in everything, each in one of the forms that Drillster gives them."""
    count = draw(st.integers(1, 4))
    distinct = {"min_size": count, "max_size": count, "unique_by": str.casefold}
    drawn = zip(
        draw(st.lists(names, **distinct)),
        draw(st.lists(addresses, **distinct)),
        draw(st.lists(keys, **distinct)),
        strict=True,
    )
    found = []
    for number, (name, address, key) in enumerate(drawn):
        person = {"name": name, "emailAddress": address, "thirdPartyIds": [{"thirdParty": "HR", "id": key}]}
        if draw(st.booleans()):
            person |= {"id": f"account-{number:016}", "realName": f"{name} {draw(words)}"}
        if draw(st.booleans()):
            person |= {"phone": f"06-{key}", "avatar": {"url": f"https://x.example/{key}"}, "biography": f"I am {name}"}
        found.append({"type": "USER", **person} if draw(st.booleans()) else person)
    return found


def said_by(person):
    said = [person["name"], person["emailAddress"], person["thirdPartyIds"][0]["id"]]
    return [*said, *(person[field] for field in ("realName", "phone", "biography") if field in person)]


def whole_answer(found):
    """Everyone in several places, and in running text all around."""
    first = found[0]
    prose = [
        f"Ask {person['name']}, {person['emailAddress'].upper()} ({person['thirdPartyIds'][0]['id']})"
        for person in found
    ]
    return {
        "members": [{"member": person, "joined": "2024-02-01T09:00:00Z"} for person in found],
        "counts": {"members": len(found)},
        "group": {"id": "g", "name": f"Team {first['name']}", "description": " / ".join(prose), "creator": first},
        "unknown": {"deep": [[{"helper": person, "remark": line} for person, line in zip(found, prose, strict=True)]]},
        "pagination": {"total": len(found), "lastOnPage": "2024-02-01T09:00:00.512Z", "moreAvailable": False},
    }


def outline(body):
    """The structure of a body without its values; a person is one leaf."""
    if isinstance(body, list):
        return [outline(item) for item in body]
    if isinstance(body, dict):
        if {"emailAddress", "thirdPartyIds", "inviteeKey"} & set(body) or body.get("type") == "USER":
            return "person"
        if set(body) <= {"id", "phone"}:  # what is left of a person who is dropped
            return "person"
        return {name: outline(value) for name, value in body.items()}
    return type(body).__name__


@pytest.mark.parametrize("mode", HIDING)
@given(found=people())
@settings(max_examples=examples(60))
def test_no_personal_value_survives_anywhere(mode, found):
    body = whole_answer(found)
    before = copy.deepcopy(body)
    hidden = masked(mode, body, "group_members")
    assert body == before
    shown = text(hidden).casefold()
    for person in found:
        for said in said_by(person):
            assert said.casefold() not in shown
    assert hidden == masked(mode, body, "group_members")
    assert hidden["pagination"] == body["pagination"]
    assert hidden["counts"] == body["counts"]
    assert [item["joined"] for item in hidden["members"]] == [item["joined"] for item in body["members"]]
    assert [item["member"].get("id") for item in hidden["members"]] == [person.get("id") for person in found]


@given(found=people())
@settings(max_examples=examples(60))
def test_pseudonyms_leave_the_structure_as_it_is(found):
    body = whole_answer(found)
    assert outline(masked("pseudonymize", body, "group_members")) == outline(body)


@given(found=people())
@settings(max_examples=examples(60))
def test_two_people_never_become_one(found):
    assume(len(found) > 1)
    body = whole_answer(found)
    pseudonymized = [item["member"] for item in masked("pseudonymize", body, "group_members")["members"]]
    for field in ("name", "emailAddress"):
        assert len({person[field] for person in pseudonymized}) == len(found)
    dropped = [item["member"] for item in masked("drop", body, "group_members")["members"]]
    assert len({person.get("id") or person["inviteeKey"] for person in dropped}) == len(found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text() | st.sampled_from(["user", "name", "type", "emailAddress", "thirdPartyIds", "id", "members"]),
            inner,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("mode", HIDING)
@given(body=json_values, resource=st.sampled_from(["accounts", "group_members", "organization", "results"]))
def test_no_body_is_too_strange(mode, body, resource):
    before = copy.deepcopy(body)
    hidden = masked(mode, body, resource)
    assert body == before
    assert type(hidden) in {type(body), type(None)}
    json.dumps(hidden)


def test_an_answer_that_is_nested_without_end_is_a_broken_contract():
    with pytest.raises(ContractError, match="nested"):
        masked("drop", json.loads("[" * 900 + "]" * 900))


def test_one_privacy_serves_all_threads():
    privacy = Privacy("pseudonymize", KEY)
    bodies = [
        account({"type": "USER", "id": str(n), "name": f"Person Number{n}"}, note=f"Person Number{n}")
        for n in range(50)
    ]
    expected = [privacy.apply("accounts", body) for body in bodies]
    results = [[] for _ in range(4)]

    def work(mine):
        mine.extend(privacy.apply("accounts", body) for body in bodies)

    threads = [threading.Thread(target=work, args=[mine]) for mine in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_a_long_answer_takes_no_longer_per_person():
    """A hundred times the people, and texts between them: if names were tried one by one this would not end."""
    crowd = [
        {"member": {"type": "USER", "id": str(n), "name": f"Person Number{n}"}, "note": f"of Person Number{n}"}
        for n in range(20_000)
    ]
    hidden = masked("pseudonymize", {"members": crowd}, "group_members")
    assert "Number" not in text(hidden)


def test_a_long_text_without_spaces_is_no_trap():
    assert masked("drop", {"note": "x" * 200_000 + " @"})["note"].endswith("x @")
    assert masked("drop", {"note": "@" + "a." * 100_000})["note"].startswith("@a.")


ACCOUNTS = {
    "accounts": [
        {"account": {"type": "USER", "id": "A" * 22, "name": "Noor de Vries", "emailAddress": "noor@localhost"}},
        {
            "account": {
                "type": "USER",
                "id": "B" * 22,
                "name": "Test",
                "thirdPartyIds": [{"thirdParty": "hr", "id": "P0042"}],
            }
        },
    ]
}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Ask Noor de Vries.", "Ask *."),
        ("Ask noor DE  vries", "Ask *"),
        ("https://x.example/?who=Noor%20de%20Vries&n=1", "https://x.example/?who=*&n=1"),
        ("Noor de Vries, https://x.example/Noor%20de%20Vries", "*, https://x.example/*"),
        ("mail noor@localhost", "mail *"),
        ("personnel number P0042", "personnel number *"),
        ("Test your knowledge", "Test your knowledge"),
        ("100 %, that is 100%", "100 %, that is 100%"),
    ],
)
@pytest.mark.parametrize("place", ["name", "description", "customReference", "somethingNew"])
@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_whoever_was_learnt_is_found_in_every_other_answer(mode, place, text, left):
    privacy = Privacy(mode, KEY)
    privacy.learn("accounts", ACCOUNTS)
    (group,) = privacy.apply("groups", {"groups": [{"id": "G" * 43, place: text}]})["groups"]
    masked = re.escape(left).replace(
        re.escape("*"), r"(person-[0-9a-f]{16}|\[removed\]|[0-9a-f]{32}|[0-9a-f]{20}@pseudonym\.invalid)"
    )
    assert re.fullmatch(masked, group[place]), group[place]


@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_a_member_of_an_object_that_is_used_as_a_map_is_hidden(mode):
    privacy = Privacy(mode, KEY)
    privacy.learn("accounts", ACCOUNTS)
    names = ["Noor de Vries", "somebody else", "noor@x.example", "P0042", "Zoë"]
    found = privacy.apply("groups", {"contacts": dict.fromkeys(names, 1), "plainField": {"G" * 43: 1}})
    assert len(found["contacts"]) == len(names)
    assert all(re.fullmatch("field-[0-9a-f]{32}", name) for name in found["contacts"])
    assert found["plainField"] == {"G" * 43: 1}


@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_an_id_that_is_an_address_is_hidden_in_a_unit_as_in_a_body(mode):
    privacy = Privacy(mode, KEY)
    unit = {"group_id": "G" * 43, "account_id": "Noor@X.example"}
    body = privacy.apply("group_members", {"members": [{"member": {"id": unit["account_id"], "name": "Noor"}}]})
    assert privacy.unit(unit) == {"group_id": "G" * 43, "account_id": body["members"][0]["member"]["id"]}
    assert "noor@" not in str(privacy.unit(unit)).lower()
    page = privacy.apply(
        "groups", {"groups": [], "pagination": {"lastOnPage": "Noor@X.example", "moreAvailable": False}}
    )
    assert page["pagination"]["lastOnPage"] == privacy.unit(unit)["account_id"]
    assert Privacy("keep", None).unit(unit) is unit
