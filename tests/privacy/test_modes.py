"""What each mode keeps of an answer and of a person, and which settings it needs."""

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
