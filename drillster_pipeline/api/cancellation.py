"""Sleeping that can be cut short.

A walk has many threads, and any of them may be waiting for minutes. When one of them fails for good, or someone
presses Ctrl-C, all the others must end at once rather than sleep on.
"""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from drillster_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable


class Cancelled(PipelineError):
    """The work was called off while this thread waited; the reason is with whoever called it off."""


class CancelToken:
    """Sleeps until a time is over or the work is called off, whichever is first.

    ``stop`` is the event that calls the work off; ``sleep`` replaces the real sleeping (tests pass one that only
    moves their clock).
    """

    def __init__(self, *, stop: Event | None = None, sleep: Callable[[float], None] | None = None) -> None:
        self._event = stop or Event()
        self._sleep = sleep

    def sleep(self, seconds: float) -> None:
        """Wait so long. Raises Stopped, at once, when the work is or gets called off."""
        self.check()
        if seconds <= 0:
            return
        if self._sleep is None:
            self._event.wait(seconds)
        else:
            self._sleep(seconds)
        self.check()

    def check(self) -> None:
        """Raise Stopped if the work was called off."""
        if self.stopped:
            raise Cancelled("The work was called off: another part of it failed, or someone stopped it.")

    @property
    def stopped(self) -> bool:
        """Whether the work was called off."""
        return self._event.is_set()

    def stop(self) -> None:
        """Call the work off: every sleeper wakes and raises Stopped."""
        self._event.set()
