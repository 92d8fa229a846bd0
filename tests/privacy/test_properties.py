"""Whoever is drawn, and whatever an answer is: nothing personal is left, and everything else is."""

from __future__ import annotations

import copy
import json
import string
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillster_pipeline.errors import ContractError
from drillster_pipeline.privacy.pseudonymize import Privacy
from tests.conftest import examples

from .masking import HIDING, KEY, account, masked, text

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


def answer_about(found):
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
def test_no_personal_value_is_left_anywhere_and_people_stay_distinct(mode, found):
    body = answer_about(found)
    before = copy.deepcopy(body)
    hidden = masked(mode, body, "group_members")
    assert body == before
    assert hidden == masked(mode, body, "group_members")
    shown = text(hidden).casefold()
    assert [said for person in found for said in said_by(person) if said.casefold() in shown] == []
    for name in ("pagination", "counts"):
        assert hidden[name] == body[name]
    assert [item["joined"] for item in hidden["members"]] == [item["joined"] for item in body["members"]]
    members = [item["member"] for item in hidden["members"]]
    assert [member.get("id") for member in members] == [person.get("id") for person in found]
    if mode == "pseudonymize":
        assert outline(hidden) == outline(body)
        for field in ("name", "emailAddress"):
            assert len({member[field] for member in members}) == len(found)
    else:
        assert len({member.get("id") or member["inviteeKey"] for member in members}) == len(found)


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
    with ThreadPoolExecutor(4) as threads:
        results = threads.map(lambda _: [privacy.apply("accounts", body) for body in bodies], range(4))
        assert list(results) == [expected] * 4


def test_a_long_answer_takes_no_longer_per_person():
    """A hundred times the people, and texts between them: if names were tried one by one this would not end."""
    crowd = [
        {"member": {"type": "USER", "id": str(n), "name": f"Person Number{n}"}, "note": f"of Person Number{n}"}
        for n in range(10_000)
    ]
    hidden = masked("pseudonymize", {"members": crowd}, "group_members")
    assert "Number" not in text(hidden)


def test_a_long_text_without_spaces_is_no_trap():
    assert masked("drop", {"note": "x" * 200_000 + " @"})["note"].endswith("x @")
    assert masked("drop", {"note": "@" + "a." * 100_000})["note"].startswith("@a.")
