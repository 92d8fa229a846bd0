"""What a night comes to: requests, minutes, tokens, bytes, by what a few pages have shown.

Each list costs one request for each of its pages, and one where it is empty. How many lists there are follows from the
counts that Drillster names; what it does not name is reckoned from the groups that were looked at.
"""

from __future__ import annotations

import math
import statistics
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drillster_pipeline.api import endpoints as api
from drillster_pipeline.api.endpoints import PAGE_SIZES, Endpoint
from drillster_pipeline.api.tokens import EARLY_SECONDS, EARLY_SHARE
from drillster_pipeline.api.units import count_in, id_of

from .amounts import Amount, scaled, total

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

    from .probing import Observation, Probe

CPU_SECONDS_PER_REQUEST = 0.0018
"""Of a whole night, publishing included (docs/scaling.md); one core can't do more than that."""
BASE_SECONDS = 4.3
"""Of the smallest night: starting, and publishing (docs/scaling.md)."""
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
    counted = _Counted(probe)
    by_resource = counted.requests(twice=settings.personal_data != "keep")
    requests = total(by_resource.values())
    latency = statistics.median(latencies)
    seconds = max(latency / settings.concurrency, CPU_SECONDS_PER_REQUEST)
    if settings.requests_per_second:
        seconds = max(seconds, 1 / settings.requests_per_second)
    received, archived = _bytes(probe, by_resource)
    return Night(
        requests=requests,
        by_resource=by_resource,
        groups=counted.groups,
        memberships=counted.memberships,
        objectives=counted.objectives,
        groups_counted=len(counted.listed),
        groups_asked=len(counted.asked),
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


@dataclass(frozen=True, slots=True)
class _Group:
    """What is known of one group; None where it is not."""

    members: int | None
    drillables: int | None
    tests: int | None
    objectives: int | None = None


class _Counted:
    """How many there are of everything, by the pages of a probe."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        listed = [item for item in probe.of(api.GROUPS).items if isinstance(item, dict)]
        self.groups = _all_of(probe.of(api.GROUPS).pages)
        asked = {page.unit.params["group_id"]: page for page in probe.of(api.OBJECTIVES).pages}
        known = {key: _group(item) for item in listed if (key := id_of(item, api.GROUPS))}
        self._complete(known)
        self.listed = [group for group in known.values() if group.members is not None]
        self.asked = [
            _Group(group.members, group.drillables, group.tests, _all_of([page]))
            for key, page in asked.items()
            if (group := known.get(key)) is not None
        ]
        self.memberships = self._of_listed(lambda group: (group.members or 0) * self._answerable)
        self.objectives = self._of_asked(lambda group: group.objectives or 0)
        results = self._of_listed(lambda group: (group.members or 0) * (group.drillables or 0))
        evaluations = self._of_asked(lambda group: (group.members or 0) * (group.objectives or 0))
        self.snapshot_rows = total([results, evaluations])

    def _complete(self, known: dict[str, _Group]) -> None:
        """Where a group came without counts, those of its own lists stand in, if they were asked for."""
        seen: dict[str, dict[Endpoint, int]] = {}
        for endpoint in (api.GROUP_MEMBERS, api.GROUP_DRILLABLES):
            for page in self._probe.of(endpoint).pages:
                seen.setdefault(page.unit.params["group_id"], {})[endpoint] = _all_of([page])
        for key, lists in seen.items():
            if key in known:
                group = known[key]
                known[key] = _Group(
                    lists.get(api.GROUP_MEMBERS) if group.members is None else group.members,
                    lists.get(api.GROUP_DRILLABLES) if group.drillables is None else group.drillables,
                    group.tests,
                )

    @property
    def _answerable(self) -> float:
        """Of what the counts name as members, how many are asked for by id: invitees may have one, too."""
        ids = counts = 0
        for page in self._probe.of(api.GROUP_MEMBERS).pages:
            promised = page.unit.expected
            if promised and not page.more:
                ids += sum(id_of(item, api.GROUP_MEMBERS) is not None for item in page.items)
                counts += promised
        return ids / counts if counts else 1.0

    def _of_listed(self, measure: Any) -> Amount:
        return scaled([measure(group) for group in self.listed], self.groups)

    def _of_asked(self, measure: Any) -> Amount:
        return scaled([measure(group) for group in self.asked], self.groups)

    def pages(self, endpoint: Endpoint, items: int | None) -> int:
        """How many pages a list of so many items has; an empty one has one."""
        return max(1, math.ceil((items or 0) / self._size(endpoint)))

    def _size(self, endpoint: Endpoint) -> int:
        """Items on a full page: what was asked for, unless the server gave fewer although there were more."""
        pages = self._probe.of(endpoint).pages
        sizes = [len(page.items) if page.is_clamped else page.size for page in pages]
        return max(1, min((size for size in sizes if size), default=PAGE_SIZES[0]))

    def _list(self, endpoint: Endpoint) -> Amount:
        found = self._probe.of(endpoint)
        return Amount(self.pages(endpoint, _all_of(found.pages))) if found.pages else Amount(1)

    def requests(self, *, twice: bool) -> dict[str, Amount]:
        """Requests for each resource. ``twice``: accounts are read before anything else where names are hidden."""
        accounts = self._list(api.ACCOUNTS).times(2 if twice else 1)
        found = {"organization": Amount(1), "accounts": accounts, **self._catalogs()}
        if self._probe.of(api.GROUPS).outcome in {"closed", "missing"}:
            return found
        return {**found, "groups": total([self._list(api.GROUPS), Amount(self.groups)]), **self._in_groups()}

    def _catalogs(self) -> dict[str, Amount]:
        probe = self._probe
        catalogs = _all_of(probe.of(api.CATALOGS).pages)
        content = [self.pages(api.CATALOG_CONTENT, _all_of([page])) for page in probe.of(api.CATALOG_CONTENT).pages]
        return {
            "catalogs": total([self._list(api.CATALOGS), Amount(catalogs)]),
            "catalog_content": scaled(content or [1], catalogs),
        }

    def _in_groups(self) -> dict[str, Amount]:
        pages = self.pages

        def evaluations(group: _Group) -> int:
            return (group.objectives or 0) * pages(api.OBJECTIVE_EVALUATIONS, group.members)

        def results(group: _Group) -> float:
            return (group.members or 0) * self._answerable * pages(api.RESULTS, group.drillables)

        return {
            "group_members": self._at_least_one_each(lambda group: pages(api.GROUP_MEMBERS, group.members)),
            "group_staff": Amount(self.groups),
            "group_drillables": self._at_least_one_each(lambda group: pages(api.GROUP_DRILLABLES, group.drillables)),
            "objectives": Amount(self.groups),
            "objective_evaluations": self._of_asked(evaluations),
            "results": self._of_listed(results),
            "test_results": self._of_listed(lambda group: (group.tests or 0) * pages(api.TEST_RESULTS, group.members)),
            "objective_events": self.objectives,
        }

    def _at_least_one_each(self, measure: Any) -> Amount:
        return self._of_listed(measure) if self.listed else Amount(self.groups)


def _all_of(pages: list[Observation]) -> int:
    """How many items lists have in all: their totals, or what is on their first page where they name none."""
    return sum(page.total if page.total is not None else len(page.items) for page in pages)


def _group(item: dict[str, Any]) -> _Group:
    counts = item.get("counts")
    return _Group(*(count_in(counts, name) for name in ("members", "drillables", "tests")))


def _bytes(probe: Probe, by_resource: dict[str, Amount]) -> tuple[Amount, Amount]:
    """Received, and archived: mean size of the answers, and how well those that are here compress."""
    received, archived = [], []
    for resource, requests in by_resource.items():
        contents = [
            page.content for each in probe.probed.values() if each.endpoint.resource == resource for page in each.pages
        ]
        if contents:
            size = sum(map(len, contents))
            packed = len(zlib.compress(b"\n".join(contents), 6)) / size
            received.append(requests.times(size / len(contents)))
            archived.append(requests.times((size / len(contents) + LINE_BYTES) * packed))
    return total(received), total(archived)
