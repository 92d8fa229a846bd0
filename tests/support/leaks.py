"""What must stand nowhere: secrets, people, and whatever looks like a token."""

from __future__ import annotations

import re
from urllib.parse import quote

from tests.drillster import FieldFault, Sandbox

from .installation import Installation

PSEUDONYM_KEY = "the-key-of-all-pseudonyms-9f3a"
DATABASE_PASSWORD = "a-password-of-the-database"


def value(resource: str, field: str, value: object, every: int = 1) -> FieldFault:
    """Another value of a field."""
    return FieldFault(resource=resource, field=field, what="value", value=value, every=every)


def mentions(name: str, email: str) -> tuple[FieldFault, ...]:
    """A person of the organization, in texts, names and unknown fields."""
    text = f"Ask {name} <{email}>, or https://x.example/?who={quote(name)}&mail={quote(email)}"
    nested = {"notes": [{"by": text, name: {"value": email}}], email: 1}
    return (
        value("groups", "description", text),
        value("groups", "name", f"Team {name}", 2),
        value("groups", "contacts", nested),
        value("group_members", "member.remarks", nested),
        value("group_members", "remarks", nested),
        value("group_drillables", "name", text),
        value("catalogs", "description", text),
        value("objectives", "name", text),
        value("objective_evaluations", "remarks", text),
        value("results", "remarks", nested),
        value("accounts", "pagination", nested),
    )


def secrets_of(sandbox: Sandbox) -> list[str]:
    """The client's secret, every long piece of the private key, and all tokens that were ever given."""
    credentials = sandbox.credentials
    lines = [line for line in credentials.private_key.splitlines() if len(line) > 40]
    pieces = [line[start : start + 30] for line in lines for start in range(0, len(line) - 29, 8)]
    return [credentials.client_secret, *pieces, *sandbox.app.grants.tokens]


def people_of(installation: Installation) -> list[str]:
    """Names, addresses and keys of everyone in the warehouse, but for short words, which stand elsewhere by chance."""
    queries = (
        "SELECT name, email_address FROM accounts",
        "SELECT name, email_address FROM group_members",
        "SELECT external_id, NULL FROM account_external_ids",
    )
    values = {value for query in queries for row in installation.query(query) for value in row}
    people = sorted(value for value in values if value and len(value) > 6)
    assert len(people) > 40
    return people


def found_in(written: bytes, forbidden: list[str]) -> list[str]:
    """Which of the words stand in what was written; and anything that looks like a JWT."""
    words = [word for word in forbidden if word.encode() in written]
    return words + [token.decode() for token in re.findall(rb"eyJ[\w-]{8,}", written)]
