"""What a walk met, counted per resource: what the manifest says and the publish relies on."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from drillster_pipeline.archive import UnitFooter
from drillster_pipeline.resources import CAPTURED, RESOURCES

from .completeness import promised


@dataclass(slots=True)
class ResourceSummary:
    """One resource."""

    units: int = 0
    pages: int = 0
    items: int = 0
    named_total: int = 0
    """Sum of the totals that Drillster named, over the units where it named one."""
    totals_named: int = 0
    """How many units named one."""
    lost: list[tuple[Mapping[str, str], int]] = field(default_factory=list)
    """Units that could not be read, with the HTTP status."""
    out_of_reach: dict[str, int] = field(default_factory=dict)
    """Groups of which it is not known what to ask for, with the status that hid it."""
    absent: int = 0
    """Members without results (404): left since, or invited and never started. Not a loss."""
    short: list[dict[str, Any]] = field(default_factory=list)
    """Units that gave fewer items than Drillster counts."""

    @property
    def statuses(self) -> set[int]:
        """With which statuses units were refused."""
        return {status for _, status in self.lost} | ({404} if self.absent else set())


class CaptureSummary:
    """All resources of a walk; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resources: dict[str, ResourceSummary] = {}
        self._root_lost: dict[str, int] = {}
        """Status of resources whose list itself could not be read."""
        self._listed: set[str] = set()
        self._missing: set[str] = set()
        """Groups that answer 404 when asked for by id."""
        self._refused: set[str] = set()
        """Groups of which something answers 403."""
        self._answering: set[str] = set()
        """Groups of which anything could be read: whatever else is refused, they are neither gone nor closed."""

    def opens(self, group: str) -> bool:
        """Note that a group was listed; False where it was known before."""
        with self._lock:
            known = group in self._listed
            self._listed.add(group)
            return not known

    def unlisted(self, groups: Collection[str]) -> list[str]:
        """Those of the groups that were not listed, in order."""
        with self._lock:
            return sorted(set(groups) - self._listed)

    def count(self, name: str, unit: Mapping[str, str], pages: int, end: UnitFooter) -> None:
        """A unit is done with, just now or in an earlier process."""
        with self._lock:
            if end.status == 200:
                self._read(name, unit, pages, end)
            else:
                self._lost(name, unit, end.status)

    def _read(self, name: str, unit: Mapping[str, str], pages: int, end: UnitFooter) -> None:
        tally = self._of(name)
        tally.units += 1
        tally.pages += pages
        tally.items += end.items
        if end.total is not None:
            tally.named_total += end.total
            tally.totals_named += 1
        if (expected := promised(end)) is not None:
            tally.short.append({"unit": dict(unit), "items": end.items, "expected": expected})
        if "group_id" in unit:
            self._answering.add(unit["group_id"])

    def _lost(self, name: str, unit: Mapping[str, str], status: int) -> None:
        tally = self._of(name)
        if name == "results" and status == 404:
            tally.absent += 1
            return
        if not unit:
            self._root_lost[name] = status
        tally.lost.append((dict(unit), status))
        group = unit.get("group_id")
        if group is None:
            return
        for following in RESOURCES.values():
            # What is asked for with the group's id alone is asked for all the same.
            if name in following.parents and len(following.unit) > 1:
                self._of(following.resource).out_of_reach.setdefault(group, status)
        if status == 403:
            self._refused.add(group)
        elif status == 404 and name == "groups":
            self._missing.add(group)

    def _of(self, name: str) -> ResourceSummary:
        return self._resources.setdefault(name, ResourceSummary())

    @property
    def listed_groups(self) -> list[str]:
        """Groups that were listed, or read though they were not."""
        with self._lock:
            return sorted(self._listed)

    @property
    def closed_groups(self) -> list[str]:
        """Groups that are closed to us: something answers 403, and nothing could be read."""
        with self._lock:
            return sorted(self._refused - self._answering)

    @property
    def gone_groups(self) -> list[str]:
        """Groups that are gone: 404 by their id, and nothing could be read."""
        with self._lock:
            return sorted(self._missing - self._answering - self._refused)

    def manifest(self, names: tuple[str, ...] = CAPTURED["snapshot"]) -> dict[str, dict[str, Any]]:
        """The manifest's entries, but for the parts."""
        with self._lock:
            return {name: self._entry(name) for name in names}

    def _entry(self, name: str) -> dict[str, Any]:
        tally = self._of(name)
        status, why = self._status(name)
        lost = [{"unit": unit, "status": code} for unit, code in tally.lost]
        lost += [{"unit": {"group_id": group}, "status": code} for group, code in sorted(tally.out_of_reach.items())]
        return {
            "status": status,
            **({"why": why} if why else {}),
            "units": tally.units,
            "pages": tally.pages,
            "items": tally.items,
            "named_total": tally.named_total if tally.totals_named else None,
            "absent": tally.absent,
            "lost": lost,
            "short": tally.short,
        }

    def _status(self, name: str) -> tuple[str, str | None]:
        """``captured`` or ``unavailable``, and why."""
        if name in self._root_lost:
            return "unavailable", _why({self._root_lost[name]})
        tally = self._of(name)
        if tally.units == 0 and tally.statuses:
            return "unavailable", _why(tally.statuses)
        for parent in RESOURCES[name].parents[:1]:
            if self._status(parent)[0] == "unavailable":
                return "unavailable", f"it is reached by way of {parent}, which could not be read"
        return "captured", None


def _why(statuses: set[int]) -> str:
    if statuses == {403}:
        return "the service account has no permission for it"
    if statuses == {404}:
        return "the endpoint answers 404 for everything that was asked"
    return f"nothing of it could be read ({', '.join(map(str, sorted(statuses)))})"
