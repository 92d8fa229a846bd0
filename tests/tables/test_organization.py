from __future__ import annotations

from typing import Any

import pytest

from .pages import extract, page, utc

ORGANIZATION = {
    "type": "ORGANIZATION",
    "id": "org",
    "name": "Zorggroep De Linde",
    "emailAddress": "info@linde.example",
    "locale": "nl",
    "domicile": "NL",
    "contract": {"type": "BUSINESS", "created": "2020-01-01T00:00:00Z", "expires": "2027-01-01T00:00Z"},
    "groupMemberQuota": 5000,
    "privacyLocation": "EU",
}


def test_the_organization_is_one_row() -> None:
    assert extract(page("organization", ORGANIZATION)).row("organizations") == {
        "organization_id": "org",
        "name": "Zorggroep De Linde",
        "email_address": "info@linde.example",
        "locale": "nl",
        "domicile": "NL",
        "contract_type": "BUSINESS",
        "contract_created_at": utc(2020, 1, 1),
        "contract_expires_at": utc(2027, 1, 1),
        "group_member_quota": 5000,
        "privacy_location": "EU",
    }


def test_only_its_id_is_needed() -> None:
    row = extract(page("organization", {"id": "org", "contract": None})).row("organizations")
    assert {name for name, value in row.items() if value is not None} == {"organization_id"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "organization_id: missing"),
        ([], "organization[]: expected an object, found a list"),
        ({"id": "org", "groupMemberQuota": "unlimited"}, "group_member_quota: expected an integer, found text"),
        (
            {"id": "org", "contract": "BUSINESS"},
            "contract_type, contract_created_at, contract_expires_at: expected an object, found text",
        ),
    ],
)
def test_what_does_not_fit_is_rejected_with_a_reason(body: Any, reason: str) -> None:
    found = extract(page("organization", body))
    assert found.reasons() == [reason]
    assert found.rows("organizations") == []
