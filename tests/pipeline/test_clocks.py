"""Clocks that jump and machines that sleep in the middle of a night."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.api.auth import Skew
from drillster_pipeline.errors import PastDateRefused, Refused
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings
from tests.drillster import Faults, Sandbox

DAY = date(2026, 6, 9)
NIGHT = datetime(2026, 6, 10, 0, 30, tzinfo=UTC)
"""02:30 in Amsterdam."""
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(accounts=20, seed=5, now=NIGHT) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.faults = Faults()
    running.clear()
    return running


class Clocks:
    """A wall clock that jumps once the walk has kept some answers; a steady one that passes only while it sleeps."""

    def __init__(self, jump: timedelta, *, sleeps: bool) -> None:
        self._jump, self._sleeps = jump, sleeps
        self._asked = itertools.count()
        self.jumped = False

    def now(self) -> datetime:
        self.jumped = self.jumped or next(self._asked) == 30
        return NIGHT + (self._jump if self.jumped else timedelta())

    def steady(self) -> float:
        return self._jump.total_seconds() if self.jumped and self._sleeps else 0.0


def session(sandbox: Sandbox, folder: Path, clocks: Clocks | None = None) -> PipelineContext:
    settings = {
        **sandbox.environment(),
        "DRILLSTER_ARCHIVE_URL": str(folder / "archive"),
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/warehouse.sqlite",
    }
    options: dict[str, Any] = {"now": lambda: NIGHT}
    if clocks is not None:
        options = {"now": clocks.now, "steady": clocks.steady}
    return PipelineContext(settings=load_settings(settings), **options)


@pytest.mark.parametrize("hours", [-30, -5, 5, 30])
def test_a_wall_clock_that_is_set_in_the_middle_of_a_night_changes_neither_its_date_nor_its_window(
    sandbox: Sandbox, tmp_path: Path, hours: int
) -> None:
    clocks = Clocks(timedelta(hours=hours), sleeps=False)
    with session(sandbox, tmp_path, clocks) as opened:
        for kind in ("snapshot", "events"):
            outcome = capture(opened, kind, DAY)
            assert outcome.asked
            assert outcome.capture.manifest["export_date"] == str(DAY)
            assert outcome.capture.manifest["window"] == {
                "from": f"2026-06-0{8 if kind == 'snapshot' else 7}T22:00:00.000000Z",
                "until": "2026-06-09T22:00:00.000000Z",
            }
            assert outcome.capture.manifest["walk"]["seconds"] == 0.0, "it is measured by the steady clock"
            publish(opened, kind, DAY, run_id="run")
        assert clocks.jumped
        assert {load.export_date for load in opened.warehouse.ledger.latest_loads().values()} == {DAY}
    assert sandbox.grants == 1


def test_a_machine_that_wakes_on_another_day_adds_nothing_of_that_day(sandbox: Sandbox, tmp_path: Path) -> None:
    with session(sandbox, tmp_path, Clocks(timedelta(hours=60), sleeps=True)) as opened:
        with pytest.raises(PastDateRefused, match=rf"slept for 60 hours in the middle of the capture of {DAY}"):
            capture(opened, "snapshot", DAY)
        assert opened.archive.newest_sealed(DAY, "snapshot") is None
        # Nor does a later run go on with it; the events, which carry their own dates, can still be had.
        with pytest.raises(Refused):
            capture(opened, "snapshot", DAY)
        assert capture(opened, "events", DAY).asked


@pytest.mark.parametrize(("hours", "newest"), [(11, "2026-06-08"), (-23, "2026-06-10")])
def test_a_clock_that_is_wrong_by_a_day_stores_nothing_under_that_date(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int, newest: str
) -> None:
    monkeypatch.setattr("drillster_pipeline.api.auth.skew_between", lambda *_: Skew(hours * 3600.0, 1.0))
    with session(sandbox, tmp_path) as opened:
        with pytest.raises(Refused, match=rf"Drillster's, by which {newest} is the newest date that has ended"):
            capture(opened, "snapshot", DAY)
        assert opened.archive.newest_sealed(DAY, "snapshot") is None
        assert capture(opened, "events", DAY).asked


def test_a_clock_that_is_hours_off_on_the_same_day_does_no_harm(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drillster_pipeline.api.auth.skew_between", lambda *_: Skew(-3 * 3600.0, 1.0))
    with session(sandbox, tmp_path) as opened:
        assert capture(opened, "snapshot", DAY).asked


def test_a_machine_that_wakes_on_the_same_day_goes_on(sandbox: Sandbox, tmp_path: Path) -> None:
    with session(sandbox, tmp_path, Clocks(timedelta(hours=7), sleeps=True)) as opened:
        sealed = capture(opened, "snapshot", DAY).capture
    # What was asked before and after is told.
    assert sealed.manifest["captured_from"] == "2026-06-10T00:30:00.000000Z"
    assert sealed.manifest["captured_until"] == "2026-06-10T07:30:00.000000Z"


CAPTURE = """
import json, sys
from datetime import date, datetime
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import load_settings
moment = datetime.fromisoformat(sys.argv[2])
with PipelineContext(settings=load_settings(json.loads(sys.argv[1])), now=lambda: moment) as session:
    capture(session, "snapshot", session.newest_complete)
"""


def test_a_process_that_stood_still_for_longer_than_its_token_lives_goes_on_with_a_new_one(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """And with new connections: the server has closed the old ones meanwhile."""
    sandbox.faults = Faults(token_lifetime=2, latency=0.05)
    assert sandbox._server is not None
    sandbox._server.config.timeout_keep_alive = 1
    with session(sandbox, tmp_path) as opened:
        settings = {
            **sandbox.environment(),
            "DRILLSTER_ARCHIVE_URL": opened.settings.archive_url.get_secret_value(),
            "DRILLSTER_WAREHOUSE_URL": opened.settings.warehouse_url.get_secret_value(),
        }
        command = [sys.executable, "-c", CAPTURE, json.dumps(settings), NIGHT.isoformat()]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            while len(sandbox.requests) < 20:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGSTOP)
            time.sleep(3.0)
            process.send_signal(signal.SIGCONT)
            _, told = process.communicate()
        assert (process.returncode, told) == (0, "")
        sealed = opened.archive.newest_sealed(DAY, "snapshot")
        assert sealed is not None
    assert sandbox.grants >= 2
    # Only what was under way when the process stood still may have met the end of the token, on its way.
    assert sum(record.status == 401 for record in sandbox.requests) <= 8
    assert sealed.manifest["walk"]["retries"] <= 8
