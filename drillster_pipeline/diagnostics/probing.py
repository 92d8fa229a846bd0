"""One page of every endpoint, asked as a night asks: what is needed for the next is taken from the pages before.

Groups differ: one has tests, another has none. So a handful of them is tried, until each endpoint has given something
to look at. It is bounded in requests and in time, and ends early where Drillster has stopped answering.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drillster_pipeline import resources as api
from drillster_pipeline.api.crawler import count_in, followers, group_units
from drillster_pipeline.api.paging import Listing
from drillster_pipeline.errors import NotFound, PermissionDenied, PipelineError, SettingsError, Unavailable
from drillster_pipeline.resources import Endpoint, Unit

from .pages import Observation, Probed

if TYPE_CHECKING:
    from drillster_pipeline.api.client import Client, EndpointClient

HANDFUL = 5
"""Groups, members, objectives and tests that are tried at each endpoint."""
MOST_REQUESTS = 120
LONGEST_SECONDS = 180.0
MOST_TROUBLE = 2
"""So many endpoints in a row without an answer: it is not the endpoints."""

ORDER = (
    api.ORGANIZATION,
    api.ACCOUNTS,
    api.CATALOGS,
    api.CATALOG,
    api.CATALOG_CONTENT,
    api.GROUPS,
    api.GROUP,
    api.GROUP_MEMBERS,
    api.GROUP_STAFF,
    api.GROUP_DRILLABLES,
    api.OBJECTIVES,
    api.OBJECTIVE_EVALUATIONS,
    api.OBJECTIVE_EVENTS,
    api.RESULTS,
    api.TEST_RESULTS,
)
"""Each after those whose answers name what it is asked for."""


class Probe:
    """Goes through the endpoints; ``probed`` has what came of them, also when it is broken off."""

    def __init__(
        self,
        client: Client,
        asker: EndpointClient,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.probed: dict[str, Probed] = {}
        """By path template."""
        self._client = client
        self._asker = asker
        self._clock = clock
        self._began = clock()
        self._candidates: dict[str, list[Unit]] = {
            root.path: [Unit(root, {})] for root in (api.ORGANIZATION, api.ACCOUNTS, api.CATALOGS, api.GROUPS)
        }
        self._in_trouble = 0

    def run(self, on_step: Callable[[str], None] = lambda _: None) -> None:
        """Each endpoint in turn; ``on_step`` hears which comes."""
        for endpoint in ORDER:
            path = endpoint.path
            on_step(f"GET {path}")
            probed = self.probed[path] = Probed(endpoint)
            probed.untried = self._reason_not_to_try(endpoint)
            if not probed.untried:
                self._try(probed)

    def of(self, endpoint: Endpoint) -> Probed:
        """What came of an endpoint."""
        return self.probed.get(endpoint.path) or Probed(endpoint)

    def _reason_not_to_try(self, endpoint: Endpoint) -> str:
        if self._in_trouble >= MOST_TROUBLE:
            return "Drillster does not answer as it should; see the endpoints before"
        if self._client.metrics.requests >= MOST_REQUESTS or self._clock() - self._began > LONGEST_SECONDS:
            return "this check has taken its share of requests and time"
        if not self._candidates.get(endpoint.path):
            return f"no {endpoint.unit[-1].removesuffix('_id')} was found to ask for"
        return ""

    def _try(self, probed: Probed) -> None:
        for unit in self._candidates[probed.path][:HANDFUL]:
            if self._is_enough(probed) or self._client.metrics.requests >= MOST_REQUESTS:
                break
            try:
                page = self._look(unit)
            except (PermissionDenied, NotFound) as refusal:
                probed.refusals.append(refusal)
                continue
            except PipelineError as error:
                probed.trouble = error
                self._in_trouble += isinstance(error, (Unavailable, SettingsError))
                return
            probed.pages.append(page)
            self._learn(page)
        self._in_trouble = 0
        place = self._asker.working_path(probed.endpoint)
        probed.version = place.version if place is not None else ""

    def _is_enough(self, probed: Probed) -> bool:
        endpoint = probed.endpoint
        if endpoint is api.OBJECTIVES:
            return False  # how many a group has is known from nowhere else
        if endpoint is api.GROUP:
            return bool(self._candidates.get(api.TEST_RESULTS.path))
        if endpoint is api.GROUP_MEMBERS:
            return bool(self._candidates.get(api.RESULTS.path)) and self._groups_have_counts
        return bool(probed.items)

    @property
    def _groups_have_counts(self) -> bool:
        return any(count_in(item.get("counts"), "members") is not None for item in _objects(self.of(api.GROUPS).items))

    def _look(self, unit: Unit) -> Observation:
        before = self._client.metrics.requests
        started = self._clock()
        if not unit.endpoint.is_list:
            answer = self._asker.get(unit, {})
            items, size, total, more = [answer.body], None, None, False
        else:
            answer, size = self._asker.page(unit, {})
            listing = Listing(api.RESOURCES[unit.resource], unit.expected)
            items = listing.add_page(answer.body, size)
            total, more = listing.total, listing.query is not None
        seconds = self._clock() - started
        alone = self._client.metrics.requests == before + 1
        return Observation(unit, answer.body, items, size, total, more, seconds if alone else None, answer.content)

    def _learn(self, page: Observation) -> None:
        """What to ask the next endpoints for."""
        if page.unit.endpoint is api.GROUPS:
            chosen = chosen_groups(page.items)
            units = [unit for group in chosen for unit in group_units(group, events=False)]
        else:
            units = [*followers(page.unit, page.items, events=False)]
            if page.unit.endpoint is api.OBJECTIVES:
                units += followers(page.unit, page.items, events=True)
        for unit in units:
            known = self._candidates.setdefault(unit.endpoint.path, [])
            if unit not in known:
                known.append(unit)


def chosen_groups(groups: list[Any]) -> list[Any]:
    """A handful: the one that promises most, and others from the largest to the smallest."""
    named = [group for group in _objects(groups) if api.GROUPS.id_of(group)]
    ranked = sorted(named, key=_promise, reverse=True)
    if len(ranked) <= HANDFUL:
        return ranked
    step = (len(ranked) - 1) / (HANDFUL - 1)
    return [ranked[round(place * step)] for place in range(HANDFUL)]


def _promise(group: dict[str, Any]) -> tuple[int, int]:
    """How many kinds of things a group has, and how many members."""
    counts = [count_in(group.get("counts"), name) or 0 for name in ("members", "drillables", "tests")]
    return sum(map(bool, counts)), counts[0]


def _objects(items: list[Any]) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)]
