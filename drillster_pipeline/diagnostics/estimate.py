"""What a night comes to: requests, minutes, tokens, bytes, by what a few pages have shown.

Each list costs one request for each of its pages, and one where it is empty. How many lists there are follows from the
counts that Drillster names; what it does not name is reckoned from the groups that were looked at.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drillster_pipeline import resources as api
from drillster_pipeline.api.tokens import EARLY_SECONDS, EARLY_SHARE

from .amounts import Amount, total
from .counting import Counted

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

    from .probing import Probe

CPU_SECONDS_PER_REQUEST = 0.0018
"""Of a whole night, publishing included (docs/scaling.md); one core can't do more than that."""
BASE_SECONDS = 4.3
"""Of the smallest night: starting, and publishing (docs/scaling.md)."""
ENVELOPE_BYTES = 150
"""Of an answer without its items: pagination, the group, the member."""
EVENTS_SHARE = 2 / 31
"""A night asks for the events of two days, an examination for those of a month."""
LINE_BYTES = 150
"""What the archive adds to each answer: which unit, which page, when."""
BYTES_PER_SNAPSHOT_ROW = 450
"""By which a warehouse grows for each row of a snapshot table, indexes included (docs/scaling.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """The estimate. ``sampled`` says what it was made of."""

    requests: Amount
    by_resource: dict[str, Amount]
    groups: int
    memberships: Amount
    objectives: Amount
    groups_counted: int
    """Groups whose counts were seen."""
    groups_asked: int
    """Groups that were asked for their objectives."""
    latency: float
    """Median, in seconds; of one request at a time."""
    slow: float
    """Nine of ten answers came within so many seconds."""
    minutes: Amount
    tokens: int
    received_bytes: Amount
    archive_bytes: Amount
    warehouse_bytes: Amount

    def as_json(self) -> dict[str, Any]:
        """See docs/check.md."""
        return {
            "requests": _range(self.requests),
            "requests_by_resource": {name: _range(amount) for name, amount in self.by_resource.items()},
            "groups": self.groups,
            "memberships": _range(self.memberships),
            "objectives": _range(self.objectives),
            "groups_counted": self.groups_counted,
            "groups_asked": self.groups_asked,
            "latency_ms": {"median": round(1000 * self.latency, 1), "p90": round(1000 * self.slow, 1)},
            "minutes": _range(self.minutes, 2),
            "tokens": self.tokens,
            "received_bytes": _range(self.received_bytes),
            "archive_bytes": _range(self.archive_bytes),
            "warehouse_bytes": _range(self.warehouse_bytes),
        }


def _range(amount: Amount, digits: int | None = None) -> dict[str, float]:
    return {name: round(getattr(amount, name), digits) for name in ("likely", "low", "high")}


def estimate(probe: Probe, settings: Settings, *, lifetime: float | None) -> Night | None:
    """The estimate, of what a probe has met; None where no list of groups was. ``lifetime`` of a token, in seconds."""
    groups = probe.of(api.GROUPS)
    latencies = sorted(second for each in probe.probed.values() for second in each.seconds)
    if not groups.pages or not latencies:
        return None
    counted = Counted(probe)
    by_resource = counted.requests(twice=settings.personal_data != "keep")
    requests = total(by_resource.values())
    latency = statistics.median(latencies)
    seconds = max(latency / settings.concurrency, CPU_SECONDS_PER_REQUEST)
    if settings.requests_per_second:
        seconds = max(seconds, 1 / settings.requests_per_second)
    received, archived = _bytes(probe, by_resource, counted.items)
    return Night(
        requests=requests,
        by_resource=by_resource,
        groups=counted.groups,
        memberships=counted.memberships,
        objectives=counted.objectives,
        groups_counted=len(counted.listed),
        groups_asked=counted.asked,
        latency=latency,
        slow=latencies[min(len(latencies) - 1, math.ceil(0.9 * len(latencies)) - 1)],
        minutes=total([Amount(BASE_SECONDS / 60), requests.times(seconds / 60)]),
        tokens=_tokens(requests.likely * seconds, lifetime),
        received_bytes=received,
        archive_bytes=archived,
        warehouse_bytes=counted.snapshot_rows.times(BYTES_PER_SNAPSHOT_ROW),
    )


def _tokens(seconds: float, lifetime: float | None) -> int:
    if not lifetime:
        return 1
    return 1 + math.floor(seconds / (lifetime - min(EARLY_SECONDS, lifetime * EARLY_SHARE)))


def _bytes(probe: Probe, by_resource: dict[str, Amount], items: Mapping[str, Amount]) -> tuple[Amount, Amount]:
    """Received, and archived: by the size of an item where items can be counted, else by that of an answer.

    A page that was seen is likely to be of the largest group, so that its whole size says little of the others.
    """
    received, archived = [], []
    for resource, requests in by_resource.items():
        pages = [page for each in probe.probed.values() if each.endpoint.resource == resource for page in each.pages]
        if not pages:
            continue
        contents = [page.content for page in pages]
        size = sum(map(len, contents))
        seen = sum(len(page.items) for page in pages)
        if resource == api.OBJECTIVE_EVENTS.resource:
            amount = requests.times(ENVELOPE_BYTES + size / len(pages) * EVENTS_SHARE)
        elif resource in items and seen:
            inside = max(0, size - ENVELOPE_BYTES * len(pages)) / seen
            amount = total([items[resource].times(inside), requests.times(ENVELOPE_BYTES)])
        else:
            amount = requests.times(size / len(pages))
        packed = len(zlib.compress(b"\n".join(contents), 6)) / size
        received.append(amount)
        archived.append(total([amount, requests.times(LINE_BYTES)]).times(packed))
    return total(received), total(archived)
