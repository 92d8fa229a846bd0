"""How fast all threads together may send: never above the rate, and slower when Drillster is overloaded.

Drillster publishes no limit (API notes, 2.4), so besides the rate that an operator may set, the client adapts.
Two things slow every thread down: a Retry-After pauses all, and statuses that mean overload lower the number of
requests in flight.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .retry import CancelToken

# Per response the limit shrinks by 3 % if it meant overload, and grows by a fifth of that if not. The two balance
# where one response in six means overload: failures that come by chance, one in ten say, never lower it, while a
# server that is truly too busy lowers it until it refuses less than that.
_SHRINK = 0.97
_GROW = 1.006
_CHECK_SECONDS = 0.5
"""A thread that waits for its turn checks so often whether the work was cancelled."""


class Throttle:
    """Turns to send: ``enter`` before a request, ``leave`` after its response.

    ``requests_per_second`` None: no rate. ``clock`` in seconds, never going back.
    """

    def __init__(
        self, concurrency: int, requests_per_second: float | None, cancel: CancelToken, clock: Callable[[], float]
    ) -> None:
        self._most = float(concurrency)
        self._interval = 1.0 / requests_per_second if requests_per_second else 0.0
        self._cancel = cancel
        self._clock = clock
        self._turn = threading.Condition()
        self.limit = float(concurrency)
        """How many requests may be in flight now."""
        self._in_flight = 0
        self._next_send = 0.0
        self._paused_until = 0.0

    def enter(self) -> float:
        """Wait for a turn to send. Returns the seconds that took. Raises Cancelled."""
        with self._turn:
            if self._in_flight < self.limit and not self._interval and self._clock() >= self._paused_until:
                self._in_flight += 1
                return 0.0
        began = self._clock()
        self._await_place()
        try:
            self._await_time()
        except BaseException:
            self.leave()
            raise
        return self._clock() - began

    def leave(self, *, overload: bool | None = None) -> None:
        """Give the turn back. ``overload``: whether the response meant that; None when there was no response."""
        with self._turn:
            self._in_flight -= 1
            if overload is not None:
                factor = _SHRINK if overload else _GROW
                self.limit = min(self._most, max(1.0, self.limit * factor))
            self._turn.notify(2)  # the limit may have grown by a place as well

    def pause(self, seconds: float) -> None:
        """Let no thread send for so long (Retry-After)."""
        with self._turn:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _await_place(self) -> None:
        with self._turn:
            while self._in_flight >= self.limit:
                self._cancel.check()
                self._turn.wait(_CHECK_SECONDS)
            self._in_flight += 1

    def _await_time(self) -> None:
        while True:
            with self._turn:
                now = self._clock()
                # The place in the row counts from the end of the pause, so that no burst follows it.
                send_at = max(now, self._next_send, self._paused_until)
                self._next_send = send_at + self._interval
            self._cancel.sleep(send_at - now)
            with self._turn:
                if self._clock() >= self._paused_until:
                    return
