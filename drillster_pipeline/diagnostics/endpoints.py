"""One page of every endpoint: what the service account may read, how the pages load, and what a run will cost.

Groups differ: one has tests, another has none. So up to five are tried, until each endpoint has returned items. The
number of requests and the time are limited, and the rest is skipped where Drillster has stopped answering.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from drillster_pipeline import resources as api
from drillster_pipeline.api.crawler import count_in, followers
from drillster_pipeline.api.paging import PAGE_SIZES, Listing
from drillster_pipeline.errors import (
    ContractError,
    NotFound,
    PermissionDenied,
    PipelineError,
    SettingsError,
    Unavailable,
)
from drillster_pipeline.formatting import count, duration, listed, size
from drillster_pipeline.resources import Endpoint, Unit
from drillster_pipeline.response_shapes import Json, named_total

from .bundle import KeyFilter
from .report import DiagnosticsReport, Estimate, Part, Step

if TYPE_CHECKING:
    from drillster_pipeline.api.client import Client, EndpointClient
    from drillster_pipeline.settings import Settings

MOST_UNITS = 5
"""Groups, members, objectives and tests that are tried at each endpoint."""
MOST_REQUESTS = 120
LONGEST_SECONDS = 180.0
MOST_OUTAGES = 2
"""So many endpoints in a row without a response: the fault is not theirs."""
ORDER = tuple(each for resource in api.RESOURCES.values() for each in (resource, resource.detail) if each)
"""Each after those whose responses lead to it."""
_OF_EACH_GROUP = frozenset({api.GROUP, api.GROUP_MEMBERS, api.OBJECTIVES})
"""These are requested for all five groups: other endpoints, and the estimate, depend on them."""


@dataclass(frozen=True, slots=True)
class ProbedPage:
    """One page that an endpoint returned."""

    unit: Unit
    body: Json = field(repr=False)
    items: list[Any] = field(repr=False)
    """Of a list: its items; of an object: that object alone."""
    number: int
    """Of items in the complete list, as far as Drillster says."""
    seconds: float | None
    """How long the response took; None where it took more than one attempt."""


class Probe:
    """Requests a page of each endpoint in turn; ``pages`` are by path template."""

    def __init__(self, client: Client, endpoint_client: EndpointClient, report: DiagnosticsReport) -> None:
        self.pages: dict[str, list[ProbedPage]] = {endpoint.path: [] for endpoint in ORDER}
        self._endpoint_client = endpoint_client
        self._client = client
        self._report = report
        self._started = time.monotonic()
        self._units = {each.path: [Unit(each, {})] for each in ORDER if not each.unit}
        self._outages = 0

    def run(self) -> None:
        """Request them, and add an item for each endpoint."""
        for endpoint in ORDER:
            name = f"GET {endpoint.path}"
            if reason := self._reason_to_skip(endpoint):
                self._report.skip(Part.ENDPOINTS, name, reason)
                continue
            with self._report.step(Part.ENDPOINTS, name, "one page" if endpoint.is_list else "the object") as step:
                try:
                    refusals = self._try(endpoint)
                    self._outages = 0
                except (Unavailable, SettingsError):
                    self._outages += 1
                    raise
                finally:
                    self._report.requests = self._client.metrics.requests
                self._add_result(step, endpoint, refusals)

    def _reason_to_skip(self, endpoint: Endpoint) -> str:
        if self._outages >= MOST_OUTAGES:
            return "Drillster does not answer as it should; see the endpoints before"
        if self._is_exhausted():
            return "this check has reached its limit of requests or time"
        return "" if self._units.get(endpoint.path) else f"no {endpoint.unit[-1].removesuffix('_id')} was found"

    def _is_exhausted(self) -> bool:
        return self._client.metrics.requests >= MOST_REQUESTS or time.monotonic() - self._started > LONGEST_SECONDS

    def _try(self, endpoint: Endpoint) -> list[PipelineError]:
        """Request the first page of some units; returns the errors of those that may not be read."""
        refusals: list[PipelineError] = []
        pages = self.pages[endpoint.path]
        for unit in self._units[endpoint.path][:MOST_UNITS]:
            is_enough = endpoint not in _OF_EACH_GROUP and any(page.items for page in pages)
            if is_enough or self._is_exhausted():
                break
            try:
                page = self._read(unit)
            except (PermissionDenied, NotFound) as refusal:
                refusals.append(refusal)
                continue
            pages.append(page)
            self._report.pages.setdefault(endpoint.path, []).append(page.body)
            for found in _units_of(page):
                known = self._units.setdefault(found.endpoint.path, [])
                if found not in known:
                    known.append(found)
        return refusals

    def _read(self, unit: Unit) -> ProbedPage:
        before, started = self._client.metrics.requests, time.monotonic()
        if isinstance(unit.endpoint, api.Resource) and unit.endpoint.is_list:
            response, page_size = self._endpoint_client.page(unit, {})
            listing = Listing(unit.endpoint, unit.expected)
            items = listing.add_page(response.body, page_size)
            number = len(items) if listing.total is None else listing.total
        else:
            response = self._endpoint_client.get(unit, {})
            items, number = [response.body], 1
        seconds = time.monotonic() - started
        is_single = self._client.metrics.requests == before + 1
        return ProbedPage(unit, response.body, items, number, seconds if is_single else None)

    def _add_result(self, step: Step, endpoint: Endpoint, refusals: list[PipelineError]) -> None:
        pages = self.pages[endpoint.path]
        found = _described(endpoint, pages) if pages else str(refusals[0])
        if endpoint is api.GROUPS and not pages:
            advice = "Without groups, only accounts, catalogs and the organization are exported."
            step.failed(found, advice, exit_code=refusals[0].exit_code)
        elif not pages:
            step.warning(found, "Until then its tables stay empty; everything else is exported.")
        elif endpoint is api.GROUPS and not pages[0].items:
            step.warning(
                "no group: either there is none, or none is open to the service account.",
                "Give it 'Groups administrator', or VIEW on each group: all else belongs to groups.",
            )
        elif refusals and endpoint is not api.RESULTS:
            step.warning(
                f"{found}; {len(refusals)} of those that were tried refused: {refusals[0]}",
                "Give the service account at least VIEW on them; their rows stay as they are until then.",
            )
        else:
            step.ok(found + (self._groups_by_permission() if endpoint is api.GROUPS else ""))

    def _groups_by_permission(self) -> str:
        """How many groups there are by permission: what the service account does not see is not exported."""
        found = ""
        for permission in ("VIEW", "MANAGE"):
            with suppress(PipelineError):
                response, _ = self._endpoint_client.page(Unit(api.GROUPS, {}), {"permission": permission})
                if (number := named_total(response.body)) is not None:
                    found += f"; {count(number)} with {permission}"
        return found


def _units_of(page: ProbedPage) -> list[Unit]:
    """Units of other endpoints that a page leads to."""
    if page.unit.endpoint is api.GROUPS:
        return followers(page.unit, _chosen_groups(page.items), events=False)
    events = followers(page.unit, page.items, events=True) if page.unit.endpoint is api.OBJECTIVES else []
    return [*followers(page.unit, page.items, events=False), *events]


def _chosen_groups(groups: list[Any]) -> list[Any]:
    """At most five groups: the one that has the most kinds of things, and others from the largest to the smallest."""

    def rank(group: dict[str, Any]) -> tuple[int, int]:
        counts = [count_in(group.get("counts"), name) or 0 for name in ("members", "drillables", "tests")]
        return sum(map(bool, counts)), counts[0]

    named = [group for group in groups if isinstance(group, dict) and api.GROUPS.id_of(group)]
    ranked = sorted(named, key=rank, reverse=True)
    return ranked[:: -(-len(ranked) // MOST_UNITS) or 1]


def _described(endpoint: Endpoint, pages: list[ProbedPage]) -> str:
    times = [page.seconds for page in pages if page.seconds is not None]
    took = duration(statistics.median(times)) if times else "answers after several attempts"
    if not endpoint.is_list:
        return took
    longest = max(pages, key=lambda page: len(page.items))
    number = len(longest.items)
    if longest.number > number:
        return f"{took}; {count(number)} of {count(longest.number)} items"
    return f"{took}; {count(number)} item{'' if number == 1 else 's'}"


def check_rows(report: DiagnosticsReport, probe: Probe, export_date: date) -> None:
    """Read the pages into tables as a load does, and add the rows it rejects and the fields it does not know."""
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.extractor import Extractor
    from drillster_pipeline.tables import DATA_TABLES
    from drillster_pipeline.warehouse.validation import SMALL_TABLE_ROWS, max_rejects

    extractor = Extractor(export_date=export_date, tables=DATA_TABLES)
    pages = [page for found in probe.pages.values() for page in found]
    rows, rejected, reasons = Counter[str](), Counter[str](), Counter[str]()
    with report.step(Part.ENDPOINTS, "rows", "reading the pages as a load does") as step:
        read = [Page(page.unit.params, 1, datetime.now(UTC), page.body) for page in pages]
        resources = (page.unit.endpoint.resource for page in pages)
        for batch in extractor.batches(zip(resources, read, strict=True)):
            rows[batch.table.name] += batch.rows_read
            rejected[batch.table.name] += len(batch.rejects)
            reasons.update(f"{batch.table.name}: {reject.reason}" for reject in batch.rejects)
        found = f"{count(rejected.total())} of {count(rows.total())} rows of these pages would be rejected"
        found += f": {listed([f'{reason} ({count(number)})' for reason, number in sorted(reasons.items())])}."
        report_it = "Please report it, with the bundle of `check --bundle`."
        if any(
            number > max_rejects(rows[table]) or number == rows[table] >= SMALL_TABLE_ROWS
            for table, number in rejected.items()
        ):
            step.failed(found, f"A load would be refused. {report_it}", exit_code=ContractError.exit_code)
        elif reasons:
            step.warning(found, f"A load with more than 1 % of rejects in a table is refused. {report_it}")
        else:
            step.ok(f"each of {count(rows.total())} rows of these pages fits its table")
    with report.step(Part.ENDPOINTS, "unknown fields", "the fields of these pages, and the documentation") as step:
        keys = KeyFilter(page.body for page in pages)
        unknown = sorted({keys.shown_path(path) for paths in extractor.unknown_fields.values() for path in paths})
        if unknown:
            step.warning(
                f"{len(unknown)} that the documentation does not have: {listed(unknown)}.",
                "They do no harm, and are kept in the archive. Please report them, so that they get columns.",
            )
        else:
            step.ok("every field is documented")


BASE_SECONDS, CPU_SECONDS_PER_REQUEST = 4.3, 0.0018
RECEIVED_BYTES, ARCHIVE_BYTES, WAREHOUSE_BYTES = 800, 105, 450
"""For each row of a snapshot table."""


def add_estimate(report: DiagnosticsReport, probe: Probe, settings: Settings) -> None:
    """Add the estimate to the report."""
    with report.step(
        Part.ESTIMATE, "run", "counts and times of these pages, in the formula of docs/scaling.md"
    ) as step:
        found = report.estimate = _estimate(probe, settings)
        if found is None:
            report.skip(Part.ESTIMATE, "run", "there is no list of groups")
            return
        step.ok(
            f"about {count(found.requests)} requests, for {count(found.groups)} groups with "
            f"{count(found.memberships)} memberships and {count(found.objectives)} objectives"
        )
        step.ok(
            f"about {duration(60 * found.minutes)}, at {duration(found.latency_ms / 1000)} a response and "
            f"DRILLSTER_CONCURRENCY={settings.concurrency}"
        )
        step.ok(
            f"about {size(found.received_bytes)} received and {size(found.archive_bytes)} of archive; after the first "
            f"run the warehouse grows by {size(found.warehouse_bytes)} a run"
        )


def _estimate(probe: Probe, settings: Settings) -> Estimate | None:
    """Groups beyond the first page of the list count as the mean of those on it."""
    latencies = [page.seconds for pages in probe.pages.values() for page in pages if page.seconds is not None]
    if not probe.pages[api.GROUPS.path] or not latencies:
        return None
    numbers = {path: [page.number for page in pages] for path, pages in probe.pages.items()}
    groups, accounts, catalogs = (sum(numbers[each.path][:1]) for each in (api.GROUPS, api.ACCOUNTS, api.CATALOGS))
    objectives = groups * _mean(numbers[api.OBJECTIVES.path])
    items = [item for page in probe.pages[api.GROUPS.path] for item in page.items]
    counts = [item["counts"] for item in items if isinstance(item.get("counts"), Mapping)]
    members = [count_in(each, "members") or 0 for each in counts]
    if not counts:  # Drillster left them out
        members = numbers[api.GROUP_MEMBERS.path]
    memberships = groups * _mean(members)
    drillables = _mean([count_in(each, "drillables") or 0 for each in counts])
    tests = groups * _mean([count_in(each, "tests") or 0 for each in counts])
    # Where names are hidden, accounts are read before anything else as well.
    account_pages = math.ceil(accounts / PAGE_SIZES[0]) * (1 if settings.personal_data == "keep" else 2)
    lists = 2 + account_pages + 2 * catalogs + math.ceil(groups / PAGE_SIZES[0])
    requests = lists + 5 * groups + 2 * objectives + tests + memberships
    latency = statistics.median(latencies)
    pace = max(latency / settings.concurrency, CPU_SECONDS_PER_REQUEST, 1 / (settings.requests_per_second or math.inf))
    rows = memberships * (drillables + objectives / max(1, groups))
    return Estimate(
        requests=round(requests),
        groups=groups,
        memberships=round(memberships),
        objectives=round(objectives),
        latency_ms=round(1000 * latency, 1),
        minutes=round((BASE_SECONDS + requests * pace) / 60, 2),
        received_bytes=round(rows * RECEIVED_BYTES),
        archive_bytes=round(rows * ARCHIVE_BYTES),
        warehouse_bytes=round(rows * WAREHOUSE_BYTES),
    )


def _mean(values: list[int]) -> float:
    return statistics.fmean(values) if values else 0.0
