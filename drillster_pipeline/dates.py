"""Export dates: which day a capture describes, and which moments that day spans; and a clock to measure time by.

An export date is a calendar day in ``DRILLSTER_TIMEZONE``. With daylight saving a day may have 23 or 25 hours,
so its bounds are computed from the wall clock of the zone and never by adding 24 hours.
"""

from __future__ import annotations

import sys
import time as clocks
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

STALE_AFTER = timedelta(hours=6)
"""How long after the hour of the schedule the newest date may still be missing before alerts and the UI report it."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, ``start`` included and ``end`` not, both in UTC."""

    start: datetime
    end: datetime


def wall_clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


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
    """A complete export date."""
    return Window(midnight(day, timezone), midnight(day + timedelta(days=1), timezone))


def events_window(day: date, timezone: ZoneInfo) -> Window:
    """What the events of an export date are requested for: from one day before it, so that overlap heals misses."""
    return Window(midnight(day - timedelta(days=1), timezone), midnight(day + timedelta(days=1), timezone))


def newest_complete(now: datetime, timezone: ZoneInfo) -> date:
    """The newest export date that has ended at ``now``: the only one that Drillster's responses still describe."""
    day = now.astimezone(timezone).date() - timedelta(days=1)
    # Clocks that show midnight twice show the old date again after the new one has begun.
    return day + timedelta(days=1) if midnight(day + timedelta(days=2), timezone) <= now else day


def _sleepless_clock() -> int | None:
    """The id of a clock that counts through sleep, where the platform has one and lets us read it.

    Linux: CLOCK_BOOTTIME (clock_gettime(2)). macOS: CLOCK_MONOTONIC, which unlike ``time.monotonic`` there goes on
    in sleep (clock_gettime(3)). Windows: its monotonic clock counts sleep anyway.
    """
    clock: int | None = getattr(clocks, "CLOCK_MONOTONIC" if sys.platform == "darwin" else "CLOCK_BOOTTIME", None)
    if clock is not None:
        try:
            clocks.clock_gettime(clock)
        except OSError:  # a kernel or a sandbox that does not offer it
            return None
    return clock


_CLOCK = _sleepless_clock()


def steady() -> float:
    """Seconds since some moment, never going back, counting on while the machine sleeps.

    ``time.monotonic`` stands still on Linux and macOS while the machine sleeps: a laptop that wakes the next morning
    would take an old token for a fresh one. The wall clock jumps when it is set.
    """
    return clocks.monotonic() if _CLOCK is None else clocks.clock_gettime(_CLOCK)
