"""What a crawl did so far, in numbers: for the manifest of a capture and for its progress display."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from drillster_pipeline.formatting import duration


class Metrics:
    """Counters of a client that all threads add to. Each is a plain attribute; ``snapshot`` gives all of one moment."""

    def __init__(self, count_grants: Callable[[], int]) -> None:
        self._count_grants = count_grants
        self._grants_before = count_grants()
        self._lock = Lock()
        self.requests = 0
        """Requests sent to the API, retries and replays included; token requests are not."""
        self.retries = 0
        """Attempts that had to be made again: refused for the moment, broken, or without usable content."""
        self.replays = 0
        """Requests that were sent again with another token after a 401."""
        self.received_bytes = 0
        """Size of all responses, decompressed."""
        self.seconds_throttled = 0.0
        """Time that threads waited for their turn: rate, pauses, requests in flight. Summed over threads."""
        self.seconds_backing_off = 0.0
        """Time that threads waited before another attempt. Summed over threads."""

    def add(self, **counts: float) -> None:
        """Add to the counters."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def snapshot(self) -> dict[str, int | float]:
        """All counters by name.

        ``grants`` are tokens issued since the client was made, ``renewals`` those of them in place of another.
        """
        with self._lock:
            counters = {name: round(value, 3) for name, value in vars(self).items() if not name.startswith("_")}
        grants, before = self._count_grants(), self._grants_before
        return {**counters, "grants": grants - before, "renewals": max(0, grants - max(1, before))}


class Progress:
    """How far a crawl is, in words: units per group and what is known to come. Safe for many threads.

    ``waiting`` counts units that wait or are being read, ``clock`` seconds.
    """

    def __init__(
        self, metrics: Metrics, waiting: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.metrics = metrics
        self._waiting, self._clock = waiting, clock
        self._started = clock()
        self._lock = Lock()
        self._open: dict[str, int] = {}
        self._groups_listed = self._groups_total = 0
        self._members_done = self._members_listed = self._members_total = 0
        self._units_done = 0

    def groups_named(self, total: int | None) -> None:
        """Note how many groups Drillster counts."""
        with self._lock:
            self._groups_total = max(self._groups_total, total or 0)

    def group_listed(self, members: int | None) -> None:
        """Note a listed group, with its number of members where that is known."""
        with self._lock:
            self._groups_listed += 1
            self._members_total += members or 0

    def opened(self, group: str | None, *, member: bool = False) -> None:
        """Note a unit that was found; ``member`` where it is the results of one."""
        with self._lock:
            if group is not None:
                self._open[group] = self._open.get(group, 0) + 1
            self._members_listed += member

    def finished(self, group: str | None, *, member: bool = False) -> None:
        """Note a unit that is done."""
        with self._lock:
            self._units_done += 1
            self._members_done += member
            if group is not None and group in self._open:
                self._open[group] -= 1
                if not self._open[group]:
                    del self._open[group]

    def __str__(self) -> str:
        requests, retries, waiting = self.metrics.requests, self.metrics.retries, self._waiting()
        with self._lock:
            seconds = max(self._clock() - self._started, 1e-9)
            members = max(self._members_listed, self._members_total)
            groups = max(self._groups_listed, self._groups_total)
            to_come = waiting + (members - self._members_listed) + 5 * (groups - self._groups_listed)
            is_known = self._units_done >= 20
            left = f", about {duration(seconds * to_come / self._units_done)} left" if is_known else ""
            return (
                f"{max(0, self._groups_listed - len(self._open)):,} of {groups:,} groups, "
                f"{self._members_done:,} of {members:,} members; {requests:,} requests "
                f"({requests / seconds:,.0f}/s, {retries:,} retried) in {duration(seconds)}{left}"
            )
