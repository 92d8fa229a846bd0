"""Clocks that jump, and machines that sleep during a capture."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest

from drillster_pipeline.api.auth import Skew
from drillster_pipeline.errors import PastDateRefused, Refused
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from tests.support.installation import DAY, NOW, Installation


class Clocks:
    """A wall clock that jumps once some pages are written; a steady one that advances only while the machine sleeps."""

    def __init__(self, jump: timedelta, *, sleeps: bool) -> None:
        self._jump, self._sleeps = jump, sleeps
        self._reads = itertools.count()
        self.jumped = False

    def now(self) -> datetime:
        self.jumped = self.jumped or next(self._reads) == 20
        return NOW + (self._jump if self.jumped else timedelta())

    def steady(self) -> float:
        return self._jump.total_seconds() if self.jumped and self._sleeps else 0.0

    def context(self, installation: Installation) -> PipelineContext:
        return installation.new_context(now=self.now, steady=self.steady)


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_wall_clock_that_is_set_during_a_capture_changes_neither_its_date_nor_its_window(
    installation: Installation, hours: int
) -> None:
    clocks = Clocks(timedelta(hours=hours), sleeps=False)
    with clocks.context(installation) as context:
        for kind in ("snapshot", "events"):
            outcome = capture(context, kind, DAY)
            assert outcome.made_requests
            assert outcome.capture.manifest["export_date"] == str(DAY)
            assert outcome.capture.manifest["window"] == {
                "from": f"2026-06-0{8 if kind == 'snapshot' else 7}T22:00:00.000000Z",
                "until": "2026-06-09T22:00:00.000000Z",
            }
            assert outcome.capture.manifest["walk"]["seconds"] == 0.0, "it is measured by the steady clock"
            publish(context, kind, DAY, run_id="run")
        assert clocks.jumped
        assert {load.export_date for load in context.warehouse.ledger.latest_loads().values()} == {DAY}
    assert installation.sandbox.grants == 1


def test_a_machine_that_wakes_on_another_day_adds_nothing_of_that_day(installation: Installation) -> None:
    with Clocks(timedelta(hours=60), sleeps=True).context(installation) as context:
        with pytest.raises(PastDateRefused, match=rf"slept for 60 hours in the middle of the capture of {DAY}"):
            capture(context, "snapshot", DAY)
        assert context.archive.newest_sealed(DAY, "snapshot") is None
        # Nor does a later run resume it; the events, which carry their own dates, can still be captured.
        with pytest.raises(Refused):
            capture(context, "snapshot", DAY)
        assert capture(context, "events", DAY).made_requests


def test_a_machine_that_wakes_on_the_same_day_continues(installation: Installation) -> None:
    with Clocks(timedelta(hours=7), sleeps=True).context(installation) as context:
        manifest = capture(context, "snapshot", DAY).capture.manifest
    assert manifest["captured_from"] == "2026-06-10T00:30:00.000000Z"
    assert manifest["captured_until"] == "2026-06-10T07:30:00.000000Z"


@pytest.mark.parametrize(("hours", "newest"), [(11, "2026-06-08"), (-23, "2026-06-10")])
def test_a_clock_that_is_wrong_by_a_day_stores_nothing_under_that_date(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, hours: int, newest: str
) -> None:
    monkeypatch.setattr("drillster_pipeline.api.auth.skew_between", lambda *_: Skew(hours * 3600.0, 1.0))
    with pytest.raises(Refused, match=rf"Drillster's, by which {newest} is the newest date that has ended"):
        installation.capture()
    assert installation.context.archive.newest_sealed(DAY, "snapshot") is None
    assert installation.capture("events").made_requests


def test_a_clock_that_is_hours_off_on_the_same_day_does_no_harm(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drillster_pipeline.api.auth.skew_between", lambda *_: Skew(-3 * 3600.0, 1.0))
    assert installation.capture().made_requests
