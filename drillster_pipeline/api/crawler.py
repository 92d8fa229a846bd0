"""The crawl: every unit is read to its end, by many threads, into the archive.

One crawl captures everything of one kind: what is true now, or what happened in a window. A unit (an endpoint with its
path parameters) is finished when its last response is in the archive; an interrupted crawl that is resumed reads the
finished units from there and requests only the rest.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from drillster_pipeline import resources as api
from drillster_pipeline.archive.captures import CaptureWriter, utc_moment
from drillster_pipeline.archive.records import UnitFooter, body_bytes, unit_key
from drillster_pipeline.dates import wall_clock
from drillster_pipeline.errors import ApiError, ApiUnavailable, NotFound, PermissionDenied, RequestRefused
from drillster_pipeline.resources import CAPTURED, RESOURCES, Endpoint, Resource, Unit, unit_of
from drillster_pipeline.response_shapes import Json

from .auth import ENDPOINT as TOKEN_ENDPOINT
from .capture_summary import CaptureResult, CaptureSummary
from .client import Client, EndpointClient, JsonResponse
from .metrics import Progress
from .paging import Listing
from .shards import Share, everything
from .worker_pool import WorkerPool

if TYPE_CHECKING:
    from drillster_pipeline.dates import Window
    from drillster_pipeline.privacy.pseudonymize import Privacy

TICK_SECONDS = 0.25
MOST_GIVEN_UP = 10
"""So many units may be given up while all else answers; more of them are no exception any more."""
WITHOUT_ANSWER = 503
"""The status that is kept for a unit that gave no usable response."""

_LEADING_TO_EVENTS = ("groups", "objectives", *CAPTURED["events"])
"""What a capture of events reads where no snapshot of the date names the objectives."""
_PARENTS = frozenset(parent for resource in RESOURCES.values() for parent in resource.parents)
"""Resources from whose responses other units follow."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Reading:
    """A unit on its way into the archive."""

    unit: Unit
    listing: Listing | None = None
    """How far it was read, if it is a list."""
    error: ApiError | None = None
    """Why it was given up; None again once it is read."""
    given_up: int = 0
    """How often."""

    @property
    def is_result(self) -> bool:
        """Whether it is the results of a member: the many short units that fill every gap."""
        return self.unit.endpoint is api.RESULTS


class Crawler:
    """One crawl of one process, over a snapshot, or with a ``window`` over the events in it.

    ``earlier_groups`` are those of the captures before. One that is no longer listed is requested by its id, since a
    group that was taken from the service account (403) must not look like a group that was deleted (404).
    """

    def __init__(
        self,
        client: Client,
        writer: CaptureWriter,
        *,
        privacy: Privacy,
        organization_id: str = "self",
        window: Window | None = None,
        earlier_groups: Collection[str] = (),
        share: Share = everything,
        concurrency: int = 8,
        now: Callable[[], datetime] = wall_clock,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._summary = CaptureSummary()
        self._client = client
        self._writer = writer
        self._privacy = privacy
        self._events = window is not None
        self._earlier_groups = frozenset(earlier_groups)
        self._share = share
        self.group_sizes: dict[str, int] = {}
        """Groups by their ids as the archive has them, with the number of their members; 0 where that is not known."""
        self._now = now
        self._on_progress = on_progress
        self._endpoints = EndpointClient(client, organization_id=organization_id, window=window)
        self._pool: WorkerPool[_Reading] = WorkerPool(
            self._read, size=concurrency, interrupt=client.interrupt, rank=self._rank
        )
        self._progress = Progress(client.metrics, lambda: self._pool.waiting)
        self._turns: dict[str | None, int] = {None: -1}
        """Groups in the order in which they are read; before any of them, what belongs to none."""
        self._lock = threading.Lock()
        self._tests: set[tuple[str, str]] = set()
        self._given_up: list[_Reading] = []
        self._read_by_id: list[tuple[Unit, Json]] = []
        """Groups that an earlier process has read: the list as it is now may not have them."""

    def snapshot(self) -> CaptureResult:
        """Read everything that Drillster says of the present.

        Raises PermissionDenied where nothing at all may be read; ApiUnavailable, AnswerError and Unauthorized as they
        come; Unavailable and Busy of the archive.
        """
        roots = [root for name in CAPTURED["snapshot"] if not (root := RESOURCES[name]).unit]
        # The long lists first, one page of which leads to the next.
        roots.sort(key=lambda root: root not in {api.ACCOUNTS, api.GROUPS})
        result = self.run([Unit(root, {}) for root in roots], CAPTURED["snapshot"])
        if self._share is everything and all(entry["status"] == "unavailable" for entry in result.resources.values()):
            raise PermissionDenied(
                "The service account may read neither the organization nor its accounts nor any group: give it the "
                "right to view them (console, Accounts, the service account, Permissions and Groups)",
                endpoint="groups",
                status=403,
            )
        return result

    def events(self, objectives: Iterable[tuple[str, str]] | None = None) -> CaptureResult:
        """Read the objective events of the window.

        ``objectives`` are pairs of group and objective id, known from a snapshot of the same date; where they are not
        given, the groups and their objectives are listed first. Raises what :meth:`snapshot` raises.
        """
        if objectives is None:
            return self.run([Unit(api.GROUPS, {})], _LEADING_TO_EVENTS)
        pairs = sorted(set(objectives))
        roots = [Unit(api.OBJECTIVE_EVENTS, {"group_id": group, "objective_id": key}) for group, key in pairs]
        return self.run(roots, CAPTURED["events"])

    def run(self, roots: list[Unit], resources: tuple[str, ...]) -> CaptureResult:
        """Read the roots and all that follows from them. Raises the first error that is none of a single unit."""
        self._learn_names()
        self._recover(resources)
        self._add(roots)
        while True:
            self._pool.run(on_tick=lambda: self._on_progress(self._progress), tick_seconds=TICK_SECONDS)
            # An outage that is over costs nothing: only a unit that is given up twice is lost.
            again = [reading for reading in self._given_up if reading.error and reading.given_up == 1]
            if not again:
                break
            logger.info("All else is read: units that gave no usable response are asked for again (%d).", len(again))
            self._pool.add(again)
        for reading in self._given_up:
            if reading.error:
                logger.warning("A unit of %s is left out of this capture: %s", reading.unit.resource, reading.error)
                self._lose(reading.unit, reading.error.status or WITHOUT_ANSWER)
        self._on_progress(self._progress)
        return self._summary.result(resources, self._now)

    def _learn_names(self) -> None:
        """Read all names before anything is written, where names must not be: any response may have them.

        That reads the list of accounts once more, as nothing else has names before they are written: least of all an
        interrupted capture that is resumed.
        """
        if self._privacy.mode == "keep" or self._privacy.knows_everyone:
            return
        listing = Listing(api.ACCOUNTS)
        unit = Unit(api.ACCOUNTS, {})
        try:
            while (query := listing.query) is not None:
                response, size = self._endpoints.page(unit, query)
                listing.add_page(response.body, size)
                self._privacy.learn(unit.resource, response.body)
            self._privacy.knows_everyone = True
        except (PermissionDenied, NotFound, RequestRefused) as refusal:
            logger.warning(
                "The accounts can't be read, so that their names are hidden only where a response itself has them: %s",
                refusal,
            )

    def _archived_as(self, unit: Unit) -> Mapping[str, str]:
        """The parameters of a unit as the archive has them."""
        return self._privacy.unit(unit.params)

    # Units

    def _add(self, units: Iterable[Unit]) -> None:
        """Queue units of our share, but for those that are finished, and tests that are queued already."""
        fresh = []
        for reading in map(_Reading, units):
            unit = reading.unit
            if unit.endpoint is api.TEST_RESULTS:
                test = unit.params["group_id"], unit.params["test_id"]
                with self._lock:
                    is_known = test in self._tests
                    self._tests.add(test)
                if is_known:
                    continue
            archived_as = self._archived_as(unit)
            if not self._share(unit.endpoint, archived_as):
                continue
            self._progress.opened(unit.group, member=reading.is_result)
            if self._writer.finished(unit.resource, archived_as):
                self._progress.finished(unit.group, member=reading.is_result)
            else:
                fresh.append(reading)
        self._pool.add(fresh)

    def _rank(self, reading: _Reading) -> tuple[int, bool]:
        """Group by group, so that few units wait at any time; and of a group, what may have many pages first.

        Pages are asked for one after the other: begun late, a long list would be all that is left to do at the end.
        """
        return self._turns.setdefault(reading.unit.group, len(self._turns)), reading.is_result

    def _read(self, reading: _Reading) -> None:
        """Read one unit to its end, into the archive, or give it up for now."""
        unit, reading.error = reading.unit, None
        try:
            if unit.endpoint.is_list:
                self._read_list(reading)
            else:
                self._read_object(unit)
        except (PermissionDenied, NotFound) as refusal:
            self._lose(unit, 404 if isinstance(refusal, NotFound) else 403)
        except (ApiUnavailable, RequestRefused) as error:
            self._give_up(reading, error)
        if not reading.error or reading.given_up > 1:
            self._progress.finished(unit.group, member=reading.is_result)

    def _read_object(self, unit: Unit) -> None:
        response = self._endpoints.get(unit, {})
        self._keep(unit, 1, response, UnitFooter(1, None))
        self._follow(unit, [response.body])
        if unit.endpoint is api.GROUP:
            self._open_by_id(unit, response.body)  # perhaps it was not listed, but we may see it all the same

    def _read_list(self, reading: _Reading) -> None:
        """Read a list on to its end, and once more where Drillster's own count says that something was missed."""
        unit = reading.unit
        listing = reading.listing = reading.listing or Listing(RESOURCES[unit.resource], unit.expected)
        while (query := listing.query) is not None:
            is_second = listing.passes > 1
            try:
                response, size = self._endpoints.page(unit, query, size=listing.size)
            except RequestRefused as refusal:
                # The item that the cursor names may have gone since: then the list changed while it was read.
                if refusal.error_id != "invalid_result_from" or "resultFrom" not in query or is_second:
                    raise
                listing.restart()
                continue
            fresh = listing.add_page(response.body, size)
            if listing.query is None and listing.needs_second_pass and not is_second:
                listing.restart()
            self._keep(unit, listing.pages, response, None if listing.query is not None else listing.footer)
            if unit.endpoint is api.GROUPS:
                self._progress.groups_named(listing.total)
            self._follow(unit, fresh)
        if unit.endpoint is api.GROUPS:
            self._add_unlisted()

    def _lose(self, unit: Unit, status: int) -> None:
        """Record that a unit can't be read; pages that it gave before do not count."""
        self._write(unit, 0, b"null", UnitFooter(0, None, status=status))

    def _give_up(self, reading: _Reading, error: ApiError) -> None:
        """Go on without a unit, if Drillster answers otherwise: one that it can't give must not cost every run.

        It is asked for again when all else was read, and noted in the archive as lost only after that, so that an
        interrupted capture asks for it again. Raises the error where it is no exception, and at once where there was
        no token, which is no fault of the unit. See docs/decisions/0009-a-unit-that-never-answers.md.
        """
        with self._lock:
            reading.error = error
            reading.given_up += 1
            if reading.given_up == 1:
                self._given_up.append(reading)
            too_many = sum(one.error is not None for one in self._given_up) > MOST_GIVEN_UP
        if too_many or error.endpoint == TOKEN_ENDPOINT or (reading.given_up > 1 and not reading.unit.params):
            raise error
        try:
            self._endpoints.get(Unit(api.ORGANIZATION, {}), {})
        except (PermissionDenied, NotFound, RequestRefused):
            return  # a response, too

    # Responses

    def _keep(self, unit: Unit, page: int, response: JsonResponse, footer: UnitFooter | None) -> None:
        """Put a response into the archive: as it came, but for what privacy changes; as one line."""
        body = self._privacy.apply(unit.resource, response.body)
        content = response.content
        is_line = b"\n" not in content and b"\r" not in content and json.detect_encoding(content) == "utf-8"
        if body is not response.body or not is_line:
            content = body_bytes(body)
        self._write(unit, page, content, footer)

    def _write(self, unit: Unit, page: int, content: bytes, footer: UnitFooter | None) -> None:
        moment, resource, params = self._now(), unit.resource, self._archived_as(unit)
        self._summary.add_moment(moment)
        attempt = self._writer.attempt(resource, params)
        self._writer.append(resource, params, page, moment, content, attempt=attempt, footer=footer)
        if footer is not None:
            self._summary.add(resource, params, page, footer)

    def _follow(self, unit: Unit, found: list[Json]) -> None:
        """Queue everything that follows from things in a response."""
        if unit.endpoint is api.GROUPS:
            self._open(found)
        else:
            self._add(followers(unit, found, events=self._events))

    def _open(self, groups: list[Json]) -> None:
        """Queue all that is to be read of groups, each once: those with most members first, as they take longest."""
        root = Unit(api.GROUPS, {})
        found = [units for group in groups if (units := followers(root, [group], events=self._events))]
        for units in sorted(found, key=lambda units: _members(units) or 0, reverse=True):
            archived_as = self._archived_as(units[0])
            if self._summary.open_group(archived_as["group_id"]):
                # By an id that is masked nothing can be requested: such a group stays in one shard.
                is_askable = archived_as is units[0].params
                self.group_sizes[archived_as["group_id"]] = (is_askable and _members(units)) or 0
                if self._share(units[0].endpoint, archived_as):
                    self._progress.group_listed(_members(units))
                self._add(units)

    def _open_by_id(self, unit: Unit, body: Json) -> None:
        self._open([{**(body if isinstance(body, Mapping) else {}), "id": unit.params["group_id"]}])

    def _add_unlisted(self) -> None:
        """Queue, by id, the groups of earlier captures that the list no longer has."""
        for unit, body in self._read_by_id:
            self._open_by_id(unit, body)
        self._add(Unit(api.GROUP, {"group_id": group}) for group in self._summary.unlisted(self._earlier_groups))

    # Resuming where an interrupted crawl stopped

    def _recover(self, resources: tuple[str, ...]) -> None:
        """Count the units that are in the archive already, and queue what follows from them."""
        is_listed = False
        for resource in resources:
            seen: dict[str, set[str]] = {}
            for record in self._writer.recovered(resource, bodies=resource in _PARENTS):
                unit = unit_of(resource, record.unit)
                self._summary.add_moment(utc_moment(record.captured_at))
                if record.footer is not None:
                    self._summary.add(resource, record.unit, record.page, record.footer)
                if record.body is None:
                    continue
                if unit.endpoint is api.GROUP:
                    self._read_by_id.append((unit, record.body))
                is_listed = is_listed or unit.endpoint is api.GROUPS
                if not unit.endpoint.is_list:
                    self._follow(unit, [record.body])
                    continue
                known = seen.setdefault(unit_key(record.unit), set())
                self._follow(unit, _new_items(RESOURCES[resource], record.body, known))
                if record.footer is not None:
                    del seen[unit_key(record.unit)]
        if is_listed:
            self._add_unlisted()


def _new_items(resource: Resource, body: Json, known: set[str]) -> list[Json]:
    """The items of an archived page that are not known, and are now: a list may be read twice, or its pages overlap."""
    found: dict[str, Json] = {}
    for item in resource.items(body):
        found.setdefault(resource.identity(item), item)
    new = [item for key, item in found.items() if key not in known]
    known.update(found)
    return new


@cache
def _following(resource: str, *, events: bool) -> tuple[Endpoint, ...]:
    """What is requested for each item of a list: the item by itself, and the resources whose unit ends with its id.

    Objectives come first, as evaluations and tests follow from them, and the members of a group last: their results
    are the many short units that fill every gap.
    """
    parent = RESOURCES[resource]
    requested = _LEADING_TO_EVENTS if events else CAPTURED["snapshot"]
    declared = [RESOURCES[name] for name in reversed(requested)]
    units = [each for each in declared if each.parents[:1] == (resource,) and each.unit[:-1] == parent.unit]
    details = [parent.detail] if parent.detail is not None and not events else []
    return tuple(sorted([*details, *units], key=lambda endpoint: endpoint is not api.OBJECTIVES))


def followers(unit: Unit, found: list[Json], *, events: bool) -> list[Unit]:
    """The units that follow from things in a response; nothing from an item without an id.

    A test may follow from a group and from an objective, so it may be given more than once.
    """
    endpoint, group = unit.endpoint, unit.group or ""
    if endpoint is api.GROUP:
        return [test for thing in found for test in _tests(group, thing, "tests")]
    if not endpoint.is_list or not (following := _following(unit.resource, events=events)):
        return []
    id_of = RESOURCES[unit.resource].id_of
    units = [
        Unit(each, {**unit.params, each.unit[-1]: key}, _count_of(item, each.counted_as))
        for item in found
        if (key := id_of(item))
        for each in following
    ]
    if endpoint is not api.OBJECTIVES or events:
        return units
    tests = [item for item in found if isinstance(item, Mapping) and item.get("type") == "TEST"]
    return [*units, *(unit for item in tests for unit in _tests(group, item, "playables"))]


def _members(units: list[Unit]) -> int | None:
    return next((unit.expected for unit in units if unit.endpoint is api.GROUP_MEMBERS), None)


def _count_of(item: Json, name: str | None) -> int | None:
    return count_in(item.get("counts"), name) if name and isinstance(item, Mapping) else None


def count_in(counts: Any, name: str) -> int | None:
    """A count of a group (object GroupCounts), if there is one."""
    value = counts.get(name) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _tests(group: str, thing: Json, name: str) -> list[Unit]:
    tests = thing.get(name) if isinstance(thing, Mapping) else None
    keys = map(api.TEST_RESULTS.id_of, tests if isinstance(tests, list) else ())
    return [Unit(api.TEST_RESULTS, {"group_id": group, "test_id": key}) for key in keys if key]
