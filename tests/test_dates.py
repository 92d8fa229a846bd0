"""Export dates and their windows, in every time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import example, given
from hypothesis import strategies as st

from drillster_pipeline.dates import day_window, events_window, midnight, newest_complete

ZONES = sorted(name for name in available_timezones() if not name.startswith(("posix/", "right/")))
zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(1975, 1, 2), date(2037, 12, 30))
moments = st.integers(0, 68 * 365 * 24 * 3600).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
"""From 1970 to 2037."""

NAMES = ("Europe/Amsterdam", "America/Santiago", "America/St_Johns", "Pacific/Apia")
AMSTERDAM, SANTIAGO, ST_JOHNS, APIA = map(ZoneInfo, NAMES)
BEGIN = {
    ("Europe/Amsterdam", "2026-01-15"): "2026-01-14T23:00",
    ("America/Santiago", "2025-09-07"): "2025-09-07T04:00",  # the clocks go from 00:00 to 01:00
    ("Asia/Beirut", "2022-03-27"): "2022-03-26T22:00",
    ("America/Toronto", "1919-03-31"): "1919-03-31T04:30",  # from 23:30 to 00:30
}


def hours(window: object) -> float:
    return (window.end - window.start) / timedelta(hours=1)


def test_a_day_begins_at_local_midnight_or_with_the_skip_of_it() -> None:
    for (zone, day), moment in BEGIN.items():
        assert midnight(date.fromisoformat(day), ZoneInfo(zone)).isoformat() == f"{moment}:00+00:00"


@given(days, zones)
@example(date(2026, 3, 29), AMSTERDAM)
@example(date(2011, 12, 30), APIA)
@example(date(2010, 11, 7), ST_JOHNS)
@example(date(1995, 1, 1), ZoneInfo("Pacific/Kiritimati"))
def test_the_windows_of_two_days_abut_and_never_run_backwards(day: date, zone: ZoneInfo) -> None:
    today, tomorrow = day_window(day, zone), day_window(day + timedelta(days=1), zone)
    assert today.start <= today.end == tomorrow.start <= tomorrow.end
    assert hours(today) <= 26


@given(moments, zones)
@example(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), AMSTERDAM)
@example(datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC), APIA)
@example(datetime(2011, 12, 30, 10, 0, tzinfo=UTC), APIA)  # the 31st: the 30th was skipped
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
@example(datetime(2010, 11, 7, 2, 45, tzinfo=UTC), ST_JOHNS)
@example(datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC), APIA)
@example(datetime(2011, 12, 30, 10, 0, tzinfo=UTC), APIA)
def test_the_newest_complete_date_has_ended_and_the_next_has_not(moment: datetime, zone: ZoneInfo) -> None:
    day = newest_complete(moment, zone)
    assert day_window(day, zone).end <= moment < day_window(day + timedelta(days=1), zone).end


@given(days, zones)
def test_the_window_of_the_events_is_that_of_the_day_and_the_day_before(day: date, zone: ZoneInfo) -> None:
    window = events_window(day, zone)
    assert window.start == day_window(day - timedelta(days=1), zone).start
    assert window.end == day_window(day, zone).end
    # They are requested in full seconds.
    assert window.start.microsecond == window.end.microsecond == 0
