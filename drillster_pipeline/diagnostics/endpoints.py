"""One page of every endpoint: what the service account may read, how long it takes, and how the pages load.

Groups differ: one has tests, another has none. So up to five are asked, until each endpoint has returned items. The
number of requests and the time are limited, and the rest is skipped where Drillster has stopped answering.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from drillster_pipeline import resources as api
from drillster_pipeline.api.crawler import count_in, followers, group_units
from drillster_pipeline.api.paging import Listing
from drillster_pipeline.errors import (
    ContractError,
    NotFound,
    PermissionDenied,
    PipelineError,
    SettingsError,
    Unavailable,
)
from drillster_pipeline.formatting import count, duration, listed
from drillster_pipeline.resources import Endpoint, Unit
from drillster_pipeline.response_shapes import Json, named_total

from .bundle import KeyFilter
from .report import DiagnosticsReport, Part, Step

if TYPE_CHECKING:
    from drillster_pipeline.api.client import Client, EndpointClient

MOST_UNITS = 5
"""Groups, members, objectives and tests that are tried at each endpoint."""
MOST_REQUESTS = 120
LONGEST_SECONDS = 180.0
MOST_OUTAGES = 2
"""So many endpoints in a row without an answer: the fault is not theirs."""
ORDER = tuple(each for resource in api.RESOURCES.values() for each in (resource, resource.detail) if each)
"""Each after those whose answers lead to it."""
_OF_EACH_GROUP = frozenset({api.GROUP, api.GROUP_MEMBERS, api.OBJECTIVES})
"""These are asked for all five groups: other endpoints, and the estimate, depend on them."""


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
    """How long the answer took; None where it took more than one attempt."""


@dataclass(slots=True)
class EndpointResult:
    """The result of one endpoint."""

    endpoint: Endpoint
    skipped: str = ""
    """Why it was not tried."""
    pages: list[ProbedPage] = field(default_factory=list)
    refusals: list[PipelineError] = field(default_factory=list)
    error: PipelineError | None = None

    @property
    def items(self) -> list[Any]:
        """The items of all its pages."""
        return [item for page in self.pages for item in page.items]

    @property
    def number(self) -> int:
        """Of items in its first list."""
        return self.pages[0].number if self.pages else 0

    @property
    def seconds(self) -> list[float]:
        """How long its answers took."""
        return [page.seconds for page in self.pages if page.seconds is not None]


class Probe:
    """Asks the endpoints in turn; ``results`` are by path template."""

    def __init__(self, client: Client, endpoint_client: EndpointClient, report: DiagnosticsReport) -> None:
        self.results: dict[str, EndpointResult] = {}
        self._endpoint_client = endpoint_client
        self._client = client
        self._report = report
        self._started = time.monotonic()
        self._units = {each.path: [Unit(each, {})] for each in ORDER if not each.unit}
        self._outages = 0

    def of(self, endpoint: Endpoint) -> EndpointResult:
        """The result of an endpoint."""
        return self.results[endpoint.path]

    def run(self) -> None:
        """Ask each endpoint, and add an item for it."""
        for endpoint in ORDER:
            name = f"GET {endpoint.path}"
            result = self.results[endpoint.path] = EndpointResult(endpoint, self._reason_to_skip(endpoint))
            if result.skipped:
                self._report.skip(Part.ENDPOINTS, name, result.skipped)
                continue
            with self._report.step(Part.ENDPOINTS, name, "one page" if endpoint.is_list else "the object") as step:
                self._try(result)
                self._report.pages[endpoint.path] = [page.body for page in result.pages]
                self._report.requests = self._client.metrics.requests
                if result.error is not None:
                    raise result.error
                if endpoint is api.GROUPS and result.pages:
                    self._add_groups(step, result)
                else:
                    _add_result(step, result)

    def _reason_to_skip(self, endpoint: Endpoint) -> str:
        if self._outages >= MOST_OUTAGES:
            return "Drillster does not answer as it should; see the endpoints before"
        if self._is_exhausted():
            return "this check has reached its limit of requests or time"
        return "" if self._units.get(endpoint.path) else f"no {endpoint.unit[-1].removesuffix('_id')} was found"

    def _is_exhausted(self) -> bool:
        return self._client.metrics.requests >= MOST_REQUESTS or time.monotonic() - self._started > LONGEST_SECONDS

    def _try(self, result: EndpointResult) -> None:
        for unit in self._units[result.endpoint.path][:MOST_UNITS]:
            if (result.items and unit.endpoint not in _OF_EACH_GROUP) or self._is_exhausted():
                break
            try:
                page = self._read(unit)
            except (PermissionDenied, NotFound) as refusal:
                result.refusals.append(refusal)
                continue
            except PipelineError as error:
                result.error = error
                self._outages += isinstance(error, (Unavailable, SettingsError))
                return
            result.pages.append(page)
            for found in _units_of(page):
                known = self._units.setdefault(found.endpoint.path, [])
                if found not in known:
                    known.append(found)
        self._outages = 0

    def _read(self, unit: Unit) -> ProbedPage:
        before, started = self._client.metrics.requests, time.monotonic()
        if isinstance(unit.endpoint, api.Resource) and unit.endpoint.is_list:
            answer, size = self._endpoint_client.page(unit, {})
            listing = Listing(unit.endpoint, unit.expected)
            items = listing.add_page(answer.body, size)
            number = len(items) if listing.total is None else listing.total
        else:
            answer = self._endpoint_client.get(unit, {})
            items, number = [answer.body], 1
        seconds = time.monotonic() - started
        is_single = self._client.metrics.requests == before + 1
        return ProbedPage(unit, answer.body, items, number, seconds if is_single else None)

    def _add_groups(self, step: Step, result: EndpointResult) -> None:
        """What the service account does not see is not exported: how many groups there are, by permission."""
        if not result.items:
            step.warning(
                "no group: either there is none, or none is open to the service account.",
                "Give it 'Groups administrator', or VIEW on each group: all else belongs to groups.",
            )
            return
        found = _described(result)
        for permission in ("VIEW", "MANAGE"):
            with suppress(PipelineError):
                answer, _ = self._endpoint_client.page(Unit(api.GROUPS, {}), {"permission": permission})
                if (number := named_total(answer.body)) is not None:
                    found += f"; {count(number)} with {permission}"
        step.ok(found)


def _units_of(page: ProbedPage) -> list[Unit]:
    """Units of other endpoints that a page leads to."""
    if page.unit.endpoint is api.GROUPS:
        return [unit for group in _chosen_groups(page.items) for unit in group_units(group, events=False)]
    events = followers(page.unit, page.items, events=True) if page.unit.endpoint is api.OBJECTIVES else []
    return [*followers(page.unit, page.items, events=False), *events]


def _chosen_groups(groups: list[Any]) -> list[Any]:
    """Five groups: the one that has the most kinds of things, and others from the largest to the smallest."""

    def rank(group: dict[str, Any]) -> tuple[int, int]:
        counts = [count_in(group.get("counts"), name) or 0 for name in ("members", "drillables", "tests")]
        return sum(map(bool, counts)), counts[0]

    named = [group for group in groups if isinstance(group, dict) and api.GROUPS.id_of(group)]
    ranked = sorted(named, key=rank, reverse=True)
    if len(ranked) <= MOST_UNITS:
        return ranked
    step = (len(ranked) - 1) / (MOST_UNITS - 1)
    return [ranked[round(place * step)] for place in range(MOST_UNITS)]


def _add_result(step: Step, result: EndpointResult) -> None:
    if result.pages and (not result.refusals or result.endpoint is api.RESULTS):
        step.ok(_described(result))
    elif result.pages:
        step.warning(
            f"{_described(result)}; {len(result.refusals)} of those that were tried refused: {result.refusals[0]}",
            "Give the service account at least VIEW on them; their rows stay as they are until then.",
        )
    elif result.endpoint is api.GROUPS:
        step.failed(
            str(result.refusals[0]),
            "Without groups, only accounts, catalogs and the organization are exported.",
            exit_code=result.refusals[0].exit_code,
        )
    else:
        step.warning(str(result.refusals[0]), "Until then its tables stay empty; everything else is exported.")


def _described(result: EndpointResult) -> str:
    took = duration(statistics.median(result.seconds)) if result.seconds else "answers after several attempts"
    if not result.endpoint.is_list:
        return took
    longest = max(result.pages, key=lambda page: len(page.items))
    number = len(longest.items)
    if longest.number > number:
        return f"{took}; {count(number)} of {count(longest.number)} items"
    return f"{took}; {count(number)} item{'' if number == 1 else 's'}"


def check_pages(report: DiagnosticsReport, probe: Probe, export_date: date) -> None:
    """Read the pages into tables as a load does, and add the rows it rejects and the fields it does not know."""
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.extractor import Extractor
    from drillster_pipeline.tables import DATA_TABLES
    from drillster_pipeline.warehouse.validation import SMALL_TABLE_ROWS, max_rejects

    extractor = Extractor(export_date=export_date, tables=DATA_TABLES)
    pages = [(result.endpoint.resource, page) for result in probe.results.values() for page in result.pages]
    rows: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with report.step(Part.ENDPOINTS, "rows", "reading the pages as a load does") as step:
        read = ((resource, Page(page.unit.params, 1, datetime.now(UTC), page.body)) for resource, page in pages)
        for batch in extractor.batches(read):
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
        keys = KeyFilter(page.body for _, page in pages)
        unknown = sorted({keys.shown_path(path) for paths in extractor.unknown_fields.values() for path in paths})
        if unknown:
            step.warning(
                f"{len(unknown)} that the documentation does not have: {listed(unknown)}.",
                "They do no harm, and are kept in the archive. Please report them, so that they get columns.",
            )
        else:
            step.ok("every field is documented")
