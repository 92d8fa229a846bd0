from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from drillster_pipeline.pipeline.alerts import channels_of, expected_date, why_stale
from drillster_pipeline.settings import load_settings

from .sessions import session_in

DAY = date(2026, 6, 9)
DUE = datetime(2026, 6, 10, 6, 30, tzinfo=UTC)
"""Six hours after the schedule."""


@pytest.mark.parametrize(("now", "expected"), [(DUE - timedelta(minutes=1), date(2026, 6, 8)), (DUE, DAY)])
def test_a_date_is_expected_six_hours_after_the_schedule(tmp_path: Path, now: datetime, expected: date) -> None:
    with session_in(tmp_path, now=now) as session:
        assert expected_date(session) == expected
        assert expected_date(session, coming=DAY) == date(2026, 6, 8)


def test_no_date_is_expected_before_the_first_export_date(tmp_path: Path) -> None:
    with session_in(tmp_path, {"DRILLSTER_FIRST_EXPORT_DATE": "2026-06-10"}, now=DUE) as session:
        assert expected_date(session) is None


def test_a_warehouse_that_lacks_a_date_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with session_in(tmp_path, now=DUE) as session:
        assert (
            why_stale(session, DAY) == "No load is complete yet. Look at the run of the job 'nightly' for 2026-06-09."
        )
        assert why_stale(session, DAY - timedelta(days=1)) is None  # perhaps it was installed today
        loaded = SimpleNamespace(export_date=DAY - timedelta(days=1))
        monkeypatch.setattr(session.warehouse, "latest_loads", lambda: {"snapshot": loaded})
        assert (why_stale(session, DAY) or "").startswith("The newest complete load describes 2026-06-08.")
        loaded.export_date = DAY
        assert why_stale(session, DAY) is None


def test_channels_are_known_by_setting_position_and_kind_alone() -> None:
    urls = "json://user:very-secret@127.0.0.1/a, mailtos://user:very-secret@example.org"
    environment = {"DRILLSTER_ALERT_URLS": urls, "DRILLSTER_ALERT_WEBHOOK": "https://hooks.example.org/very-secret"}
    channels = channels_of(load_settings(environment, needs_api=False))
    assert [channel.name for channel in channels] == [
        "DRILLSTER_ALERT_WEBHOOK",
        "DRILLSTER_ALERT_URLS 1 (json)",
        "DRILLSTER_ALERT_URLS 2 (mailtos)",
    ]
    assert len({channel.key for channel in channels}) == 3
    assert "very-secret" not in repr(channels)
