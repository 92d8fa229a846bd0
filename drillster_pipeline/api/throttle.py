"""How fast all threads together may send: never above the rate, and slower when Drillster has enough.

Drillster publishes no limit (API notes, 2.4), so besides the rate that an operator may set, the client feels its way.
Two things slow every thread down, not only the one that met them: a Retry-After pauses all, and statuses that mean
overload narrow the number of requests in flight.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cancellation import CancelToken

# Per answer the limit shrinks by 3 % if it meant overload, and grows by a fifth of that if not. The two balance
# where one answer in six means overload: failures that come by chance, one in ten say, never narrow it, while a
# server that is truly too busy pushes it down until it refuses less than that.
_SHRINK = 0.97
_GROW = 1.006
_LOOK_AGAIN = 0.5
"""Seconds after which a thread that waits for its turn looks whether the work was called off."""


class Throttle:
    """Turns to send, handed to threads: ``enter`` before a request, ``leave`` after its answer.

    ``requests_per_second`` None: no rate. ``clock`` in seconds, never going back.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        requests_per_second: float | None,
        cancel: CancelToken,
        clock: Callable[[], float],
    ) -> None:
        self._most = float(concurrency)
        self._interval = 1.0 / requests_per_second if requests_per_second else 0.0
        self._cancel = cancel
        self._clock = clock
        self._turn = threading.Condition()
        self._limit = float(concurrency)
        self._in_flight = 0
        self._next_send = 0.0
        self._held_until = 0.0

    def enter(self) -> float:
        """Wait for a turn to send; gives the seconds that took. Raises Stopped when the work is called off."""
        with self._turn:
            free = self._in_flight < self._limit and not self._held(self._clock()) and not self._interval
            if free:
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
        """Give the turn back. ``overload``: whether the answer meant that; None when there was no answer."""
        with self._turn:
            self._in_flight -= 1
            if overload is not None:
                factor = _SHRINK if overload else _GROW
                self._limit = min(self._most, max(1.0, self._limit * factor))
            self._turn.notify(2)  # the limit may have grown by a place as well

    def hold(self, seconds: float) -> None:
        """Let nobody send for so long (Retry-After)."""
        with self._turn:
            self._held_until = max(self._held_until, self._clock() + seconds)

    @property
    def limit(self) -> float:
        """How many requests may be in flight now."""
        return self._limit

    def _held(self, now: float) -> bool:
        return now < self._held_until

    def _await_place(self) -> None:
        with self._turn:
            while self._in_flight >= self._limit:
                self._cancel.check()
                self._turn.wait(_LOOK_AGAIN)
            self._in_flight += 1

    def _await_time(self) -> None:
        while True:
            with self._turn:
                now = self._clock()
                # The place in the row counts from the end of the hold, so that nobody bursts when it ends.
                send_at = max(now, self._next_send, self._held_until)
                self._next_send = send_at + self._interval
            self._cancel.sleep(send_at - now)
            with self._turn:
                if not self._held(self._clock()):
                    return
