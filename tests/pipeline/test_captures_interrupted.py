"""A capture that was interrupted is gone on with, as long as it is of the same purpose and the same time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from drillster_pipeline.dates import events_window
from drillster_pipeline.pipeline.capture import How
from tests.api.walking import expected, expected_events, held

from .captured import DAY, NOW, Nights


@pytest.mark.parametrize("kind", ["snapshot", "events"])
def test_an_interrupted_capture_is_gone_on_with(nights: Nights, kind: str) -> None:
    nights.interrupt(kind, after=15 if kind == "snapshot" else 4)
    outcome = nights.capture(kind)
    assert outcome.how is How.RESUMED
    wanted = (
        expected(nights.sandbox)
        if kind == "snapshot"
        else expected_events(nights.sandbox, events_window(DAY, nights.session().settings.timezone))
    )
    found = held(outcome.capture)
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    "settings",
    [
        {"DRILLSTER_PERSONAL_DATA": "drop"},
        {"DRILLSTER_PERSONAL_DATA": "pseudonymize", "DRILLSTER_PSEUDONYM_KEY": "a key of some length"},
        {"DRILLSTER_TIMEZONE": "Atlantic/Reykjavik"},
    ],
    ids=["drop", "pseudonymize", "time zone"],
)
def test_an_interrupted_capture_of_another_purpose_is_not_gone_on_with(
    nights: Nights, settings: dict[str, str]
) -> None:
    nights.interrupt()
    assert nights.capture(**settings).how is How.CAPTURED


def test_an_interrupted_capture_of_another_organization_is_not_gone_on_with(nights: Nights) -> None:
    nights.interrupt()
    own = nights.sandbox.credentials.organization_id
    assert nights.capture(DRILLSTER_ORGANIZATION_ID=own).how is How.CAPTURED


def test_another_pseudonym_key_is_another_purpose(nights: Nights) -> None:
    nights.settings = {"DRILLSTER_PERSONAL_DATA": "pseudonymize"}
    nights.interrupt(DRILLSTER_PSEUDONYM_KEY="a key of some length")
    assert nights.capture(DRILLSTER_PSEUDONYM_KEY="another key of some length").how is How.CAPTURED


def test_an_interrupted_capture_that_is_too_old_is_not_gone_on_with(nights: Nights) -> None:
    nights.interrupt()
    nights.now = NOW + timedelta(hours=12, minutes=1)
    assert nights.capture().how is How.CAPTURED


def test_an_interrupted_capture_that_is_damaged_is_begun_anew(nights: Nights) -> None:
    nights.interrupt()
    nights.interrupt(after=3)  # the second attempt closes the parts of the first
    (part, *_) = (nights.folder / "archive").rglob("accounts/part-00001.jsonl.gz")
    part.write_bytes(b"damaged")
    outcome = nights.capture()
    assert outcome.how is How.CAPTURED
    assert held(outcome.capture) == expected(nights.sandbox)
