"""What a crawl read, counted per resource: what the manifest says and publishing relies on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drillster_pipeline.archive.records import UnitFooter
from drillster_pipeline.resources import RESOURCES

from .paging import count_if_short


@dataclass(slots=True)
class _ResourceSummary:
    """One resource."""

    counts: Counter[str] = field(default_factory=Counter)
    """``units``, ``pages``, ``items``, and ``absent``: members without results, which is no loss."""
    named_total: int | None = None
    """Sum of the totals that Drillster named, over the units where it named one."""
    lost: list[tuple[Mapping[str, str], int]] = field(default_factory=list)
    """Units that could not be read, with the HTTP status."""
    out_of_reach: dict[str, int] = field(default_factory=dict)
    """Groups of which it is not known what to ask for, with the status that hid it."""
    short: list[dict[str, Any]] = field(default_factory=list)
    """Units that gave fewer items than Drillster counts."""


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What a crawl gives to the manifest."""

    resources: dict[str, dict[str, Any]]
    groups: dict[str, list[str]]
    captured_from: datetime
    captured_until: datetime


class CaptureSummary:
    """All resources of a crawl; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments: tuple[datetime, datetime] | None = None
        """Of the earliest and the latest response, also of those that an earlier process got."""
        self._resources = {name: _ResourceSummary() for name in RESOURCES}
        self._listed: set[str] = set()
        self._missing: set[str] = set()
        """Groups that answer 404 when asked for by id."""
        self._refused: set[str] = set()
        """Groups of which something answers 403."""
        self._readable: set[str] = set()
        """Groups of which anything could be read: whatever else is refused, they are neither gone nor closed."""

    def open_group(self, group: str) -> bool:
        """Note that a group was listed; False where it was known before."""
        with self._lock:
            is_new = group not in self._listed
            self._listed.add(group)
            return is_new

    def unlisted(self, groups: Collection[str]) -> list[str]:
        """Those of the groups that were not listed, in order."""
        with self._lock:
            return sorted(set(groups) - self._listed)

    def add(self, name: str, unit: Mapping[str, str], pages: int, footer: UnitFooter) -> None:
        """Count a unit that is done, just now or in an earlier process."""
        with self._lock:
            if footer.status == 200:
                self._add_read(name, unit, pages, footer)
            else:
                self._add_lost(name, unit, footer.status)

    def _add_read(self, name: str, unit: Mapping[str, str], pages: int, footer: UnitFooter) -> None:
        resource = self._resources[name]
        resource.counts.update(units=1, pages=pages, items=footer.items)
        if footer.total is not None:
            resource.named_total = (resource.named_total or 0) + footer.total
        if (expected := count_if_short(footer)) is not None:
            resource.short.append({"unit": dict(unit), "items": footer.items, "expected": expected})
        if "group_id" in unit:
            self._readable.add(unit["group_id"])

    def _add_lost(self, name: str, unit: Mapping[str, str], status: int) -> None:
        if name == "results" and status == 404:
            self._resources[name].counts["absent"] += 1  # left since, or invited and never started
            return
        self._resources[name].lost.append((dict(unit), status))
        group = unit.get("group_id")
        if group is None:
            return
        for following in RESOURCES.values():
            # What is asked for with the group's id alone is asked for all the same.
            if name in following.parents and len(following.unit) > 1:
                self._resources[following.resource].out_of_reach.setdefault(group, status)
        if status == 403:
            self._refused.add(group)
        elif status == 404 and name == "groups":
            self._missing.add(group)

    def add_moment(self, moment: datetime) -> None:
        """Note when a response came."""
        with self._lock:
            first, last = self._moments or (moment, moment)
            self._moments = min(first, moment), max(last, moment)

    def result(self, names: Collection[str], now: Callable[[], datetime]) -> CaptureResult:
        """What the manifest says of resources, but for the parts.

        Its groups are ``listed`` (or read though they were not), ``closed`` (something answers 403, and nothing could
        be read) and ``gone`` (404 by their id, and nothing could be read).
        """
        with self._lock:
            groups = {
                "listed": sorted(self._listed),
                "closed": sorted(self._refused - self._readable),
                "gone": sorted(self._missing - self._readable - self._refused),
            }
            first, last = self._moments or (now(), now())
            return CaptureResult({name: self._entry(name) for name in names}, groups, first, last)

    def _entry(self, name: str) -> dict[str, Any]:
        resource = self._resources[name]
        why = self._why_unavailable(name)
        lost = [*resource.lost, *(({"group_id": group}, code) for group, code in sorted(resource.out_of_reach.items()))]
        return {
            "status": "unavailable" if why else "captured",
            **({"why": why} if why else {}),
            **{count: resource.counts[count] for count in ("units", "pages", "items")},
            "named_total": resource.named_total,
            "absent": resource.counts["absent"],
            "lost": [{"unit": unit, "status": status} for unit, status in lost],
            "short": resource.short,
        }

    def _why_unavailable(self, name: str) -> str | None:
        resource = self._resources[name]
        root = {status for unit, status in resource.lost if not unit}
        statuses = {status for _, status in resource.lost} | ({404} if resource.counts["absent"] else set())
        if root or (not resource.counts["units"] and statuses):
            return _reason(root or statuses)
        for parent in RESOURCES[name].parents[:1]:
            if self._why_unavailable(parent):
                return f"it is reached by way of {parent}, which could not be read"
        return None


def _reason(statuses: set[int]) -> str:
    if statuses == {403}:
        return "the service account has no permission for it"
    if statuses == {404}:
        return "the endpoint answers 404 for everything that was asked"
    return f"nothing of it could be read ({', '.join(map(str, sorted(statuses)))})"
