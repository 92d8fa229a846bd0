"""Invitees without an account: where nothing else tells them apart, a key does."""

from __future__ import annotations

import re

import pytest

from drillster_pipeline.privacy.pseudonymize import Privacy

from .masking import HIDING, masked


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
