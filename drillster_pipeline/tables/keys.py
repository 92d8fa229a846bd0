"""Keys that are made from values, where Drillster gives none."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

_HEX_DIGITS = 32


def invitee_key(email_address: str) -> str:
    """The ``member_key`` of an invitee without an account."""
    return "invitee:" + sha256(email_address.lower().encode("utf-8", "replace")).hexdigest()[:_HEX_DIGITS]


def event_key(objective_id: str, account_id: str, event_type: str, occurred_at: datetime) -> str:
    """The ``event_id`` of an event to which Drillster gives none."""
    moment = occurred_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    said = f"{objective_id}|{account_id}|{event_type}|{moment}Z"
    return sha256(said.encode("utf-8", "replace")).hexdigest()[:_HEX_DIGITS]
