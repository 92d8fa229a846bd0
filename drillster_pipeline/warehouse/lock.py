"""One writer at a time, by the dialect's lock, which a dead process cannot leave behind.

A database without such a lock has none: there, loads must not overlap (Dagster's pool ``drillster`` sees to it).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from drillster_pipeline.errors import Busy

from .dialects import dialect_of
from .engine import database_errors

POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class LockWait:
    """How long to wait for the lock, and by which clock."""

    seconds: float
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(self, attempt: Callable[[], bool]) -> bool:
        """Try until it works or the time is up; whether it worked."""
        deadline = self.monotonic() + self.seconds
        while not attempt():
            left = deadline - self.monotonic()
            if left <= 0:
                return False
            self.sleep(min(POLL_SECONDS, left))
        return True


@contextmanager
def writer_lock(connection: sa.Connection, schema: str | None, *, wait: LockWait, purpose: str) -> Iterator[None]:
    """Hold the one lock that writers of this warehouse share. Raises Busy when the wait is over."""
    with database_errors("taking the writer lock"):
        lock = dialect_of(connection).writer_lock(connection, schema)
    if lock is None:
        yield
        return

    def attempt() -> bool:
        with database_errors("taking the writer lock"):
            return lock.acquire(purpose)

    try:
        if not wait.until(attempt):
            with database_errors("reading who holds the writer lock"):
                holder = lock.holder() or "another session"
            raise Busy(
                f"The warehouse{lock.where} is being written by {holder}, for longer than {wait.seconds:g} s. "
                f"Wait until that run is done, or stop it; {lock.ends_with}"
            )
        yield
    finally:
        lock.release()


def current_writer(connection: sa.Connection, schema: str | None) -> str | None:
    """Who holds the lock now, in the words of :class:`Busy`; None where nobody does. Leaves nothing."""
    lock = dialect_of(connection).writer_lock(connection, schema)
    holder = None if lock is None else lock.holder()
    return f"The warehouse{lock.where} is being written by {holder}" if lock and holder else None
