"""What a walk met, counted per resource: what the manifest says and the publish relies on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .endpoints import SNAPSHOT_RESOURCES

_PARENT = {
    "catalog_content": "catalogs",
    "group_members": "groups",
    "group_staff": "groups",
    "group_drillables": "groups",
    "objectives": "groups",
    "objective_evaluations": "objectives",
    "results": "group_members",
    "test_results": "groups",
    "objective_events": "objectives",
}
"""Where a resource's units come from: if that can't be read, neither can this."""


@dataclass(slots=True)
class ResourceTally:
    """One resource."""

    units: int = 0
    pages: int = 0
    items: int = 0
    named_total: int = 0
    """Sum of the totals that Drillster named, over the units where it named one."""
    totals_named: int = 0
    """How many units named one."""
    lost: list[tuple[Mapping[str, str], int]] = field(default_factory=list)
    """Units that answered 403 or 404, with the status."""
    absent: int = 0
    """Members without results (404): left since, or invited and never started. Not a loss."""
    short: list[dict[str, Any]] = field(default_factory=list)
    """Units that gave fewer items than Drillster counts."""


class Tally:
    """All resources of a walk; safe for many threads."""

    def __init__(self) -> None:
        self.resources: dict[str, ResourceTally] = {}
        self.root_lost: dict[str, int] = {}
        """Status of resources whose list itself could not be read."""
        self.listed_groups: set[str] = set()
        self.gone_groups: set[str] = set()
        self.closed_groups: set[str] = set()
        self.answering_groups: set[str] = set()
        """Groups of which anything could be read: whatever else answers 404, they are not gone."""
        self._lock = threading.Lock()

    def resource(self, name: str) -> ResourceTally:
        """The tally of a resource, begun if need be. The caller holds no lock; fields change under ours only."""
        return self.resources.setdefault(name, ResourceTally())

    def read(self, name: str, unit: Mapping[str, str], *, pages: int, items: int, total: int | None) -> None:
        """A unit was read to its end."""
        with self._lock:
            if "group_id" in unit:
                self.answering_groups.add(unit["group_id"])
            tally = self.resource(name)
            tally.units += 1
            tally.pages += pages
            tally.items += items
            if total is not None:
                tally.named_total += total
                tally.totals_named += 1

    def short(self, name: str, unit: Mapping[str, str], items: int, expected: int) -> None:
        """A unit gave fewer items than Drillster counts, twice."""
        with self._lock:
            self.resource(name).short.append({"unit": dict(unit), "items": items, "expected": expected})

    def lost(self, name: str, unit: Mapping[str, str], status: int) -> None:
        """A unit answered 403 or 404."""
        with self._lock:
            tally = self.resource(name)
            if name == "results" and status == 404:
                tally.absent += 1
                return
            if not unit:
                self.root_lost[name] = status
            tally.lost.append((dict(unit), status))
            group = unit.get("group_id")
            if group is None:
                return
            if status == 403:
                self.closed_groups.add(group)
            elif name == "groups":
                self.gone_groups.add(group)

    def status_of(self, name: str) -> tuple[str, str | None]:
        """``captured`` or ``unavailable``, and why."""
        if name in self.root_lost:
            return "unavailable", _why(self.root_lost[name])
        tally = self.resource(name)
        statuses = sorted({status for _, status in tally.lost} | ({404} if tally.absent else set()))
        if tally.units == 0 and statuses:
            return "unavailable", _why(statuses[-1]) if len(statuses) == 1 else "403 or 404 everywhere"
        parent = _PARENT.get(name)
        if parent and self.status_of(parent)[0] == "unavailable":
            return "unavailable", f"it is reached by way of {parent}, which could not be read"
        return "captured", None

    def manifest(self, names: tuple[str, ...] = SNAPSHOT_RESOURCES) -> dict[str, dict[str, Any]]:
        """The manifest's entries, but for the parts."""
        entries = {}
        for name in names:
            tally = self.resource(name)
            status, why = self.status_of(name)
            entries[name] = {
                "status": status,
                **({"why": why} if why else {}),
                "units": tally.units,
                "pages": tally.pages,
                "items": tally.items,
                "named_total": tally.named_total if tally.totals_named else None,
                "absent": tally.absent,
                "lost": [{"unit": unit, "status": code} for unit, code in tally.lost],
                "short": tally.short,
            }
        return entries


def _why(status: int) -> str:
    if status == 403:
        return "the service account has no permission for it (403)"
    return "the endpoint answers 404 for everything that was asked"
