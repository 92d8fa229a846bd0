"""The clock that the life of a token is measured on.

``time.monotonic`` stands still on Linux and macOS while the machine sleeps: a laptop that wakes after a night would
take an hour-old token for a fresh one. The wall clock jumps when it is set. What is needed goes only forward, and
through sleep.
"""

from __future__ import annotations

import sys
import time


def _sleepless_clock() -> int | None:
    """The id of a clock that counts through sleep, where the platform has one and lets us read it.

    Linux: CLOCK_BOOTTIME (clock_gettime(2)). macOS: CLOCK_MONOTONIC, which unlike ``time.monotonic`` there goes on
    in sleep (clock_gettime(3)). Windows: its monotonic clock counts sleep anyway.
    """
    name = "CLOCK_MONOTONIC" if sys.platform == "darwin" else "CLOCK_BOOTTIME"
    clock: int | None = getattr(time, name, None)
    if clock is not None:
        try:
            time.clock_gettime(clock)
        except OSError:  # a kernel or a sandbox that does not offer it
            return None
    return clock


_CLOCK = _sleepless_clock()


def steady() -> float:
    """Seconds since some moment, never going back, counting on while the machine sleeps."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
