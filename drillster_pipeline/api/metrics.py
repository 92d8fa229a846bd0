"""What a crawl did so far, in numbers: for the manifest of a capture and for its progress display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
        """Size of all answers, decompressed."""
        self.seconds_throttled = 0.0
        """Time that threads waited for their turn: rate, pauses, requests in flight. Summed over threads."""
        self.seconds_backing_off = 0.0
        """Time that threads waited before another attempt. Summed over threads."""

    @property
    def grants(self) -> int:
        """Tokens that were issued, by the source that this client uses."""
        return self._count_grants()

    def add(self, **counts: float) -> None:
        """Add to the counters."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def snapshot(self) -> dict[str, int | float]:
        """All counters by name; ``renewals`` are tokens issued in place of another since the client was made."""
        with self._lock:
            counters = {name: round(value, 3) for name, value in vars(self).items() if not name.startswith("_")}
        return {**counters, "grants": self.grants, "renewals": max(0, self.grants - max(1, self._grants_before))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a crawl is."""

    groups_done: int
    groups_known: int
    members_done: int
    members_known: int
    requests: int
    retries: int
    requests_per_second: float
    seconds: float
    seconds_left: float | None
    """None while too little is known."""

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
        return (
            f"{self.groups_done:,} of {self.groups_known:,} groups, "
            f"{self.members_done:,} of {self.members_known:,} members; {self.requests:,} requests "
            f"({self.requests_per_second:,.0f}/s, {self.retries:,} retried) in {duration(self.seconds)}{left}"
        )


class Meter:
    """Counts units per group and what is known to come; safe for many threads."""

    def __init__(self, started: float) -> None:
        self.started = started
        self._lock = Lock()
        self._open: dict[str, int] = {}
        self.groups_listed = self.groups_total = 0
        self.members_done = self.members_listed = self.members_total = 0
        self.units_done = 0

    def groups_named(self, total: int | None) -> None:
        """Note how many groups Drillster counts."""
        with self._lock:
            self.groups_total = max(self.groups_total, total or 0)

    def group_listed(self, members: int | None) -> None:
        """Note a listed group, with its number of members where that is known."""
        with self._lock:
            self.groups_listed += 1
            self.members_total += members or 0

    def opened(self, group: str | None, *, member: bool = False) -> None:
        """Note a unit that was found; ``member`` where it is the results of one."""
        with self._lock:
            if group is not None:
                self._open[group] = self._open.get(group, 0) + 1
            self.members_listed += member

    def finished(self, group: str | None, *, member: bool = False) -> None:
        """Note a unit that is done."""
        with self._lock:
            self.units_done += 1
            self.members_done += member
            if group is not None and group in self._open:
                self._open[group] -= 1
                if not self._open[group]:
                    del self._open[group]

    def progress(self, now: float, *, requests: int, retries: int, waiting: int) -> Progress:
        """How far the crawl is at this moment."""
        with self._lock:
            seconds = max(now - self.started, 1e-9)
            members_known = max(self.members_listed, self.members_total)
            groups_known = max(self.groups_listed, self.groups_total)
            to_come = waiting + (members_known - self.members_listed) + 5 * (groups_known - self.groups_listed)
            left = seconds * to_come / self.units_done if self.units_done >= 20 else None
            return Progress(
                groups_done=max(0, self.groups_listed - len(self._open)),
                groups_known=groups_known,
                members_done=self.members_done,
                members_known=members_known,
                requests=requests,
                retries=retries,
                requests_per_second=requests / seconds,
                seconds=seconds,
                seconds_left=left,
            )
