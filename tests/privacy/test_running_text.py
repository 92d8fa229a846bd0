"""Names, addresses and keys of people are hidden in texts, ids and names of fields, and other words are not."""

from __future__ import annotations

import re
import unicodedata

import pytest

from drillster_pipeline.privacy.pseudonymize import Privacy

from .masking import KEY, NOOR, account, masked, text


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
        ("https://x.example/?who=Noor%20de%20Vries&n=1", "https://x.example/?who=*&n=1"),
        ("Noor de Vries, https://x.example/Noor%20de%20Vries", "*, https://x.example/*"),
        ("mail noor@localhost", "mail *"),
        ("personnel number P0042", "personnel number *"),
        ("Test your knowledge", "Test your knowledge"),
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
