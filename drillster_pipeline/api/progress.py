"""How far a walk is, for people who wait for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A moment of a walk."""

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
        left = "" if self.seconds_left is None else f", about {_duration(self.seconds_left)} left"
        return (
            f"{self.groups_done:,} of {self.groups_known:,} groups, "
            f"{self.members_done:,} of {self.members_known:,} members; {self.requests:,} requests "
            f"({self.requests_per_second:,.0f}/s, {self.retries:,} retried) in {_duration(self.seconds)}{left}"
        )


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Meter:
    """Counts units per group and what is known to come; safe for many threads."""

    def __init__(self, started: float) -> None:
        self.started = started
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        self.groups_listed = self.groups_total = 0
        self.members_done = self.members_listed = self.members_total = 0
        self.units_done = 0

    def groups_named(self, total: int | None) -> None:
        """Drillster said how many groups there are."""
        with self._lock:
            self.groups_total = max(self.groups_total, total or 0)

    def group_listed(self, members: int | None) -> None:
        """A group was listed, with its number of members where that is said."""
        with self._lock:
            self.groups_listed += 1
            self.members_total += members or 0

    def opened(self, group: str | None, *, member: bool = False) -> None:
        """A unit of a group was found; ``member`` where it is the results of one."""
        with self._lock:
            if group is not None:
                self._open[group] = self._open.get(group, 0) + 1
            self.members_listed += member

    def finished(self, group: str | None, *, member: bool = False) -> None:
        """One of them is done."""
        with self._lock:
            self.units_done += 1
            self.members_done += member
            if group is not None and group in self._open:
                self._open[group] -= 1
                if not self._open[group]:
                    del self._open[group]

    def progress(self, now: float, *, requests: int, retries: int, waiting: int) -> Progress:
        """The walk at this moment."""
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
