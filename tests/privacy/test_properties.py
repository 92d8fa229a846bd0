"""Whoever is drawn, and whatever an answer is: nothing personal is left, and all else is."""

from __future__ import annotations

import copy
import json
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.conftest import examples

from .masking import HIDING, masked, text

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
def test_no_personal_value_survives_anywhere(mode, found):
    body = answer_about(found)
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
    body = answer_about(found)
    assert outline(masked("pseudonymize", body, "group_members")) == outline(body)


@given(found=people())
@settings(max_examples=examples(60))
def test_two_people_never_become_one(found):
    assume(len(found) > 1)
    body = answer_about(found)
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
