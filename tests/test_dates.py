from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drillster_pipeline.dates import day_window, events_window, midnight, newest_complete

ZONES = sorted(name for name in available_timezones() if not name.startswith(("posix/", "right/")))
zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(1975, 1, 2), date(2037, 12, 30))
moments = st.integers(0, 68 * 365 * 24 * 3600).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
"""From 1970 to 2037."""

AMSTERDAM, SANTIAGO, ST_JOHNS = ZoneInfo("Europe/Amsterdam"), ZoneInfo("America/Santiago"), ZoneInfo("America/St_Johns")
SKIP_MIDNIGHT = [
    ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00:00"),
    ("America/Santiago", date(2025, 9, 7), "2025-09-07T04:00:00"),
    ("Asia/Beirut", date(2022, 3, 27), "2022-03-26T22:00:00"),
    ("Africa/Cairo", date(2024, 4, 26), "2024-04-25T22:00:00"),
    ("America/Havana", date(2026, 3, 8), "2026-03-08T05:00:00"),
]
"""Zones whose clocks go from 00:00 to 01:00, with the night and the moment."""


def hours(window: object) -> float:
    return (window.end - window.start) / timedelta(hours=1)


def test_an_ordinary_day_has_24_hours_from_local_midnight() -> None:
    window = day_window(date(2026, 1, 15), AMSTERDAM)
    assert window.start == datetime(2026, 1, 14, 23, tzinfo=UTC)
    assert hours(window) == 24


@pytest.mark.parametrize(("day", "length"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_the_days_of_the_clock_change_have_23_and_25_hours(day: date, length: int) -> None:
    assert hours(day_window(day, AMSTERDAM)) == length


@pytest.mark.parametrize(("zone", "day", "moment"), SKIP_MIDNIGHT, ids=str)
def test_a_day_whose_midnight_is_skipped_begins_with_the_skip(zone: str, day: date, moment: str) -> None:
    assert midnight(day, ZoneInfo(zone)) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


def test_a_skip_that_starts_before_midnight_begins_the_day_as_well() -> None:
    # Toronto went from 23:30 to 00:30 on the night of 30 March 1919.
    toronto = ZoneInfo("America/Toronto")
    start = midnight(date(1919, 3, 31), toronto)
    assert start.astimezone(toronto).time().isoformat() == "00:30:00"
    assert (start - timedelta(seconds=1)).astimezone(toronto).time().isoformat() == "23:29:59"


def test_a_day_that_was_skipped_whole_is_empty() -> None:
    # Samoa moved across the date line: 30 December 2011 did not exist there.
    apia = ZoneInfo("Pacific/Apia")
    window = day_window(date(2011, 12, 30), apia)
    assert window.start == window.end == day_window(date(2011, 12, 29), apia).end


@given(days, zones)
@example(date(2026, 3, 29), AMSTERDAM)
@example(date(2011, 12, 30), ZoneInfo("Pacific/Apia"))
@example(date(2011, 11, 6), ST_JOHNS)
@example(date(1995, 1, 1), ZoneInfo("Pacific/Kiritimati"))
def test_the_windows_of_two_days_abut_and_never_run_backwards(day: date, zone: ZoneInfo) -> None:
    today, tomorrow = day_window(day, zone), day_window(day + timedelta(days=1), zone)
    assert today.start <= today.end == tomorrow.start <= tomorrow.end
    assert hours(today) <= 26


@given(moments, zones)
@example(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), AMSTERDAM)
@example(datetime(2025, 9, 7, 3, 59, 59, tzinfo=UTC), SANTIAGO)
@example(datetime(2025, 9, 7, 4, 0, tzinfo=UTC), SANTIAGO)
def test_every_moment_lies_in_the_window_of_its_local_date(moment: datetime, zone: ZoneInfo) -> None:
    day = moment.astimezone(zone).date()
    before, after = (moment + timedelta(days=step) for step in (-1, 1))
    offsets = {each.astimezone(zone).utcoffset() for each in (before, after)}
    window = day_window(day, zone)
    if not window.start <= moment < window.end:
        # Only where the clocks are set back over midnight can a date come back after the next one has begun.
        assert len(offsets) == 2
        assert moment >= window.end
        assert moment - window.end < timedelta(hours=25)
        assert midnight(day + timedelta(days=1), zone).astimezone(zone).date() == day + timedelta(days=1)


@given(moments, zones)
@example(datetime(2011, 11, 6, 2, 45, tzinfo=UTC), ST_JOHNS)
@example(datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC), ZoneInfo("Pacific/Apia"))
@example(datetime(2011, 12, 30, 10, 0, tzinfo=UTC), ZoneInfo("Pacific/Apia"))
def test_the_newest_complete_date_has_ended_and_the_next_has_not(moment: datetime, zone: ZoneInfo) -> None:
    day = newest_complete(moment, zone)
    assert day_window(day, zone).end <= moment < day_window(day + timedelta(days=1), zone).end


@given(moments, st.timedeltas(timedelta(0), timedelta(days=3)), zones)
@example(datetime(2011, 11, 6, 2, 30, 30, tzinfo=UTC), timedelta(minutes=1), ST_JOHNS)
def test_the_newest_complete_date_never_goes_back(moment: datetime, passed: timedelta, zone: ZoneInfo) -> None:
    assert newest_complete(moment + passed, zone) >= newest_complete(moment, zone)


@given(days, zones)
def test_the_window_of_the_events_is_that_of_the_day_and_the_day_before(day: date, zone: ZoneInfo) -> None:
    window = events_window(day, zone)
    assert window.start == day_window(day - timedelta(days=1), zone).start
    assert window.end == day_window(day, zone).end
    # They are asked for in whole seconds.
    assert window.start.microsecond == window.end.microsecond == 0
