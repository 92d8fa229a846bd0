"""When the next night is, and what it asks for and takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drillster_pipeline.diagnostics import Examination, Status
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import load_settings
from tests.drillster import Sandbox, Size

from .examined import Examine, step


def test_the_estimate_is_what_a_night_then_asks_for() -> None:
    with Sandbox(size=Size(accounts=80, pace=3), seed=11) as sandbox:
        report = Examination(environ=sandbox.environment()).run()
        night = report.night
        assert night is not None
        sandbox.clear()
        with PipelineContext(
            settings=load_settings({**sandbox.environment(), "DRILLSTER_ARCHIVE_URL": "memory://n"})
        ) as session:
            captures = [capture(session, kind, session.newest_complete) for kind in ("snapshot", "events")]
        asked = sandbox.count("GET")
    assert night.requests.low * 0.97 <= asked <= night.requests.high * 1.03
    assert 0.9 * asked <= night.requests.likely <= 1.1 * asked
    received = sum(outcome.capture.manifest["walk"]["received_bytes"] for outcome in captures)
    assert 0.7 * received <= night.received_bytes.likely <= 1.4 * received
    assert night.tokens == sandbox.grants == 1


def test_the_next_night_is_told_in_the_zone_of_the_schedule(sandbox: Sandbox) -> None:
    moment = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)
    report = Examination(environ=sandbox.environment(), now=lambda: moment).run()
    told = step(report, "next night").found
    assert told.startswith("2026-03-29 02:30 Europe/Amsterdam")
    assert "for 2026-03-28" in told


def test_a_first_export_date_that_lies_ahead_is_worth_a_look(examine: Examine) -> None:
    first = datetime.now(UTC).date() + timedelta(days=9)
    assert step(examine(DRILLSTER_FIRST_EXPORT_DATE=str(first)), "next night").status is Status.WARNING


def test_privacy_and_a_limit_cost_what_they_cost(examine: Examine) -> None:
    usual, slow = examine().night, examine(DRILLSTER_REQUESTS_PER_SECOND="20", DRILLSTER_PERSONAL_DATA="drop").night
    assert usual is not None
    assert slow is not None
    assert slow.requests.likely == usual.requests.likely + 1
    assert slow.minutes.likely == pytest.approx(slow.requests.likely / 20 / 60, abs=0.1)
    assert slow.minutes.likely > usual.minutes.likely
