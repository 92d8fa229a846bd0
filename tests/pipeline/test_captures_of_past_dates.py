"""A past snapshot is replayed or refused; the events of a past date are fetched once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from drillster_pipeline.dates import events_window
from drillster_pipeline.errors import ArchiveCorrupt, PastDateRefused
from drillster_pipeline.pipeline.capture import How
from tests.api.walking import expected_events, held
from tests.drillster import Failure, Faults

from .captured import DAY, NOW, PAST, Nights


def test_a_past_snapshot_without_archive_is_refused_and_says_what_can_be_done(nights: Nights) -> None:
    with pytest.raises(PastDateRefused) as caught:
        nights.capture(day=PAST)
    for words in (str(PAST), "forge history", "objective events of that date are fetched", str(DAY), "is replayed"):
        assert words in str(caught.value)
    assert nights.sandbox.requests == []
    assert nights.session().archive.dates() == []


def test_a_past_date_is_replayed_without_a_request(nights: Nights) -> None:
    first = nights.capture()
    nights.now = NOW + timedelta(days=30)
    for again in (False, True):
        outcome = nights.capture(again=again)
        assert outcome.how is How.REPLAYED
        assert outcome.capture.ref == first.capture.ref
    assert nights.sandbox.requests == []


def test_an_interrupted_snapshot_of_a_date_that_is_past_now_is_refused(nights: Nights) -> None:
    nights.interrupt()
    nights.now = NOW + timedelta(hours=23)
    with pytest.raises(PastDateRefused):
        nights.capture()


def test_a_past_capture_that_is_damaged_is_not_passed_over(nights: Nights) -> None:
    first = nights.capture()
    (nights.folder / "archive" / first.capture.ref.folder / "manifest.json").write_bytes(b"{")
    nights.now = NOW + timedelta(days=1)
    with pytest.raises(ArchiveCorrupt, match=r"manifest\.json"):
        nights.capture()


def test_the_events_of_a_past_date_are_fetched_once_and_replayed_from_then_on(nights: Nights) -> None:
    outcome = nights.capture("events", PAST)
    assert outcome.how is How.CAPTURED
    window = events_window(PAST, nights.session().settings.timezone)
    assert held(outcome.capture)["objective_events"] == expected_events(nights.sandbox, window)["objective_events"]
    asked = [record.query for record in nights.sandbox.requests if record.path.endswith("/events")]
    assert all("fromDate=2026-02-24T00%3A00%3A00Z&toDate=2026-02-26T00%3A00%3A00Z" in query for query in asked)
    assert nights.capture("events", PAST).how is How.REPLAYED
    assert nights.capture("events", PAST, again=True).how is How.CAPTURED


def test_events_are_asked_for_the_objectives_of_the_snapshot_of_the_date(nights: Nights) -> None:
    nights.capture()
    nights.capture("events")
    assert nights.sandbox.count("GET", "*/groups") == nights.sandbox.count("GET", "*/objectives") == 0


@pytest.mark.parametrize("trouble", ["no snapshot", "objectives unavailable", "a damaged part", "a damaged manifest"])
def test_events_find_their_objectives_by_themselves_where_the_snapshot_cannot_tell(
    nights: Nights, trouble: str
) -> None:
    if trouble == "objectives unavailable":
        nights.sandbox.faults = Faults(failures=(Failure(at="group/*/objectives", statuses=(404,)),))
    if trouble != "no snapshot":
        nights.capture()
        nights.sandbox.faults = Faults()
    pattern = {"a damaged part": "objectives/part-*.gz", "a damaged manifest": "manifest.json"}.get(trouble, "nothing")
    for path in (nights.folder / "archive").rglob(pattern):
        path.write_bytes(b"damaged")
    outcome = nights.capture("events")
    window = events_window(DAY, nights.session().settings.timezone)
    assert held(outcome.capture)["objective_events"] == expected_events(nights.sandbox, window)["objective_events"]
