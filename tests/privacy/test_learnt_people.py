"""Whoever one answer tells of is hidden in all others, too."""

from __future__ import annotations

import re

import pytest

from drillster_pipeline.privacy.pseudonymize import Privacy

from .masking import KEY

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
