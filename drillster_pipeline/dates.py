"""Export dates: which day a capture describes, and which moments that day spans.

An export date is a calendar day in ``DRILLSTER_TIMEZONE``. On nights of daylight saving a day has 23 or 25 hours,
so its bounds are computed from the wall clock of the zone and never by adding 24 hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, ``start`` included and ``end`` not, both in UTC."""

    start: datetime
    end: datetime


def midnight(day: date, timezone: ZoneInfo) -> datetime:
    """The moment at which ``day`` begins in ``timezone``, in UTC.

    Where the clocks skip midnight, that is the moment of the skip; where they show it twice, the first time.
    """
    wall = datetime.combine(day, time(0), tzinfo=timezone)
    start = wall.astimezone(UTC)
    if start.astimezone(timezone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return start
    # Skipped: the skip lies between this wall time with the offset after it, and with the offset before it.
    early, late = int(wall.replace(fold=1).timestamp()), int(start.timestamp())
    after = start.astimezone(timezone).utcoffset()
    while late - early > 1:
        middle = (early + late) // 2
        if datetime.fromtimestamp(middle, timezone).utcoffset() == after:
            late = middle
        else:
            early = middle
    return datetime.fromtimestamp(late, UTC)


def day_window(day: date, timezone: ZoneInfo) -> Window:
    """The whole of an export date."""
    return Window(midnight(day, timezone), midnight(day + timedelta(days=1), timezone))


def events_window(day: date, timezone: ZoneInfo) -> Window:
    """What the events of an export date are asked for: from one day before it starts, so that overlap heals misses."""
    return Window(midnight(day - timedelta(days=1), timezone), midnight(day + timedelta(days=1), timezone))


def newest_complete(now: datetime, timezone: ZoneInfo) -> date:
    """The newest export date that has ended at ``now``: the only one that Drillster's answers still describe."""
    day = now.astimezone(timezone).date() - timedelta(days=1)
    # Clocks that show midnight twice show the old date again after the new one has begun.
    return day + timedelta(days=1) if midnight(day + timedelta(days=2), timezone) <= now else day
