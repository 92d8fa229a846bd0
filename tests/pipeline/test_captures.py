"""Which capture the newest complete date gets: made, kept, or none; one process at a time."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from drillster_pipeline.archive import Archive
from drillster_pipeline.errors import Busy, Refused
from drillster_pipeline.pipeline.capture import How, capture
from drillster_pipeline.pipeline.guard import mark_refused
from drillster_pipeline.pipeline.publish import publish
from tests.api.walking import expected, held

from .captured import DAY, NOW, Nights


def test_a_date_that_has_just_ended_is_captured(nights: Nights) -> None:
    outcome = nights.capture()
    assert outcome.how is How.CAPTURED
    assert held(outcome.capture) == expected(nights.sandbox)
    manifest = outcome.capture.manifest
    assert manifest["export_date"] == str(DAY)
    assert manifest["kind"] == "snapshot"
    assert manifest["window"] == {"from": "2026-02-28T00:00:00.000000Z", "until": "2026-03-01T00:00:00.000000Z"}
    assert manifest["walk"]["requests"] == len(nights.sandbox.requests) - 1
    assert manifest["walk"]["grants"] == nights.sandbox.grants == 1


def test_a_date_that_has_not_ended_is_refused(nights: Nights) -> None:
    with pytest.raises(Refused, match=r"2026-03-01 has not ended yet in UTC"):
        nights.capture(day=DAY + timedelta(days=1))
    assert nights.sandbox.requests == []


def test_a_capture_that_waits_to_be_published_is_kept_and_one_that_was_is_made_anew(nights: Nights) -> None:
    first = nights.capture()
    kept = nights.capture()
    assert kept.how is How.KEPT
    assert kept.capture.ref == first.capture.ref
    publish(nights.session(), "snapshot", DAY, run_id="1")
    second = nights.capture()
    assert second.how is How.CAPTURED
    assert second.capture.ref != first.capture.ref


def test_a_capture_that_waits_can_be_made_anew_on_demand(nights: Nights) -> None:
    nights.capture()
    assert nights.capture(again=True).how is How.CAPTURED


def test_a_capture_whose_publish_was_refused_is_made_anew(nights: Nights) -> None:
    first = nights.capture()
    mark_refused(nights.session(), first.capture.ref)
    assert nights.capture().how is How.CAPTURED


def test_a_capture_that_waits_too_long_is_made_anew(nights: Nights) -> None:
    nights.capture()
    nights.now = NOW + timedelta(hours=13)
    assert nights.capture().how is How.CAPTURED


def test_a_clock_that_is_set_back_does_not_cost_a_capture(nights: Nights) -> None:
    first = nights.capture()
    nights.now = NOW - timedelta(hours=1)
    assert nights.capture().capture.ref == first.capture.ref
    publish(nights.session(), "snapshot", DAY, run_id="1")
    second = nights.capture()
    assert second.how is How.CAPTURED
    found = nights.session().archive.newest_sealed(DAY, "snapshot")
    assert found is not None
    assert found.ref == second.capture.ref


def test_a_warehouse_that_does_not_answer_costs_no_capture(nights: Nights) -> None:
    nights.settings["DRILLSTER_WAREHOUSE_URL"] = "sqlite:////dev/null/warehouse.sqlite"
    assert nights.capture().how is How.CAPTURED
    assert nights.capture().how is How.KEPT


def test_a_newest_capture_that_is_damaged_is_made_anew(nights: Nights) -> None:
    first = nights.capture()
    (nights.folder / "archive" / first.capture.ref.folder / "manifest.json").write_bytes(b"{")
    assert nights.capture().how is How.CAPTURED


def test_a_second_process_is_told_to_wait_and_does_nothing(nights: Nights) -> None:
    with (
        nights.session().archive.locked(DAY, "snapshot"),
        pytest.raises(Busy, match=f"capturing the snapshot of {DAY}"),
    ):
        nights.capture()
    assert nights.sandbox.requests == []


def test_what_another_process_sealed_in_between_is_taken(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = Archive.locked

    def late(archive: Archive, export_date: date, kind: str) -> Any:
        monkeypatch.setattr(Archive, "locked", locked)
        capture(nights.session(), kind, export_date)  # by another process, which ends before we have the lock
        return locked(archive, export_date, kind)

    monkeypatch.setattr(Archive, "locked", late)
    outcome = capture(nights.session(), "snapshot", DAY)
    assert outcome.how is How.KEPT
    assert len(nights.session().archive.captures(DAY)) == 1


def test_a_replay_needs_no_lock(nights: Nights) -> None:
    nights.capture()
    nights.now = NOW + timedelta(days=1)
    with nights.session().archive.locked(DAY, "snapshot"):
        assert nights.capture().how is How.REPLAYED
