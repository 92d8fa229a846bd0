"""The walk over the endpoints, in parallel, into the archive.

One walk captures everything of one kind: ``capture_snapshot`` what is true now, ``capture_events`` what happened in
a window. A unit (an endpoint with its path parameters) is finished when its last answer lies in the archive; an
interrupted walk that is begun again reads the finished units from there and asks only for the rest.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drillster_pipeline.answers import items as items_of
from drillster_pipeline.archive import CaptureWriter, End, unit_key, utc_moment
from drillster_pipeline.dates import Window
from drillster_pipeline.errors import NotFound, PermissionDenied, RequestRefused
from drillster_pipeline.privacy import Privacy

from . import endpoints as api
from .client import Answer, Client
from .endpoints import PAGE_SIZES, SNAPSHOT_RESOURCES, Endpoint
from .paging import Listing, allowed_difference
from .pool import Pool
from .progress import Meter, Progress
from .tally import Tally

TICK_SECONDS = 0.25
EVENTS_RESOURCES = ("groups", "objectives", "objective_events")


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing to read."""

    endpoint: Endpoint
    params: Mapping[str, str]
    expected: int | None = None
    """How many items Drillster's counts of the group promise, where they do."""

    @property
    def group(self) -> str | None:
        """The group it belongs to."""
        return self.params.get("group_id")


Clock = Callable[[], datetime]
"""Gives the current moment, aware."""


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What a walk gives to the manifest."""

    resources: dict[str, dict[str, Any]]
    listed_groups: list[str]
    closed_groups: list[str]
    gone_groups: list[str]
    captured_from: datetime
    captured_until: datetime
    requests: int
    retries: int
    grants: int
    """Tokens that were asked for during the walk."""


def capture_snapshot(
    client: Client,
    writer: CaptureWriter,
    *,
    privacy: Privacy,
    organization_id: str = "self",
    earlier_groups: Collection[str] = (),
    concurrency: int = 8,
    now: Clock = lambda: datetime.now(UTC),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> CaptureResult:
    """Read everything that Drillster says of the present.

    ``earlier_groups`` are those of the capture before. One that is no longer listed is asked for by its id, since
    a group that was taken from the service account (403) must not look like a group that was deleted (404).
    Raises PermissionDenied where nothing at all may be read; ApiUnavailable, AnswerError and Unauthorized as they come.
    """
    walk = _Walk(client, writer, privacy, organization_id, concurrency, now)
    walk.earlier_groups = frozenset(earlier_groups)
    roots = [Unit(root, {}) for root in (api.CATALOGS, api.ORGANIZATION, api.GROUPS, api.ACCOUNTS)]
    return walk.run(roots, SNAPSHOT_RESOURCES, on_progress)


def capture_events(
    client: Client,
    writer: CaptureWriter,
    *,
    privacy: Privacy,
    window: Window,
    objectives: Collection[tuple[str, str]] | None = None,
    concurrency: int = 8,
    now: Clock = lambda: datetime.now(UTC),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> CaptureResult:
    """Read the objective events of a window.

    ``objectives`` are pairs of group and objective id, known from a snapshot of the same date; where they are not
    given, the groups and their objectives are listed first.
    """
    walk = _Walk(client, writer, privacy, "self", concurrency, now)
    walk.events_window = window
    if objectives is None:
        roots = [Unit(api.GROUPS, {})]
        resources: tuple[str, ...] = EVENTS_RESOURCES
    else:
        roots = [
            Unit(api.OBJECTIVE_EVENTS, {"group_id": group, "objective_id": objective})
            for group, objective in sorted(set(objectives))
        ]
        resources = ("objective_events",)
    return walk.run(roots, resources, on_progress)


class _Walk:
    def __init__(
        self,
        client: Client,
        writer: CaptureWriter,
        privacy: Privacy,
        organization_id: str,
        concurrency: int,
        now: Clock,
    ) -> None:
        self.client = client
        self.writer = writer
        self.privacy = privacy
        self.organization_id = organization_id
        self.concurrency = concurrency
        self.now = now
        self.earlier_groups: frozenset[str] = frozenset()
        self.events_window: Window | None = None
        """Set for a walk over events; None for a snapshot."""
        self.tally = Tally()
        self.grants_before = client.stats.grants
        self.meter = Meter(time.monotonic())
        self.pool: Pool[Unit] = Pool(self.read, size=concurrency, interrupt=client.close)
        self.lock = threading.Lock()
        self.page_size: dict[str, int | None] = {}
        """Per path template, the largest size that was not refused; None: Drillster's own default."""
        self.place: dict[str, int] = {}
        """Per resource and unit shape, which of an endpoint's places has answered."""
        self.finished: set[tuple[str, str]] = set()
        """Units that an earlier, interrupted walk finished."""
        self.tests: set[tuple[str, str]] = set()
        self.first: datetime | None = None
        self.last: datetime | None = None

    def run(
        self, roots: list[Unit], resources: tuple[str, ...], on_progress: Callable[[Progress], None]
    ) -> CaptureResult:
        recovered = self.recover(resources)
        self.add([*roots, *recovered])
        self.pool.run(on_tick=lambda: on_progress(self.progress()), tick_seconds=TICK_SECONDS)
        on_progress(self.progress())
        entries = self.tally.manifest(resources)
        if self.events_window is None and all(entry["status"] == "unavailable" for entry in entries.values()):
            raise PermissionDenied(
                "The service account may read neither the organization nor its accounts nor any group: give it the "
                "right to view them (console, Accounts, the service account, Permissions and Groups)",
                endpoint="groups",
                status=403,
            )
        moment = self.now()
        return CaptureResult(
            resources=entries,
            listed_groups=sorted(self.tally.listed_groups),
            closed_groups=sorted(self.tally.closed_groups),
            gone_groups=sorted(self.tally.gone_groups - self.tally.answering_groups),
            captured_from=self.first or moment,
            captured_until=self.last or moment,
            requests=self.client.stats.requests,
            retries=self.client.stats.retries,
            grants=self.client.stats.grants - self.grants_before,
        )

    def progress(self) -> Progress:
        return self.meter.progress(
            time.monotonic(),
            requests=self.client.stats.requests,
            retries=self.client.stats.retries,
            waiting=self.pool.waiting,
        )

    # Units

    def add(self, units: Iterable[Unit]) -> None:
        """Put units on the stack, but for those that are finished."""
        fresh = []
        for unit in units:
            member = unit.endpoint is api.RESULTS
            self.meter.opened(unit.group, member=member)
            if self.finished and (unit.endpoint.resource, unit_key(unit.params)) in self.finished:
                self.meter.finished(unit.group, member=member)
            else:
                fresh.append(unit)
        self.pool.add(fresh)

    def read(self, unit: Unit) -> None:
        """Read one unit to its end, into the archive."""
        try:
            if unit.endpoint.identify is None:
                self.read_thing(unit)
            else:
                self.read_list(unit)
        except (PermissionDenied, NotFound) as refusal:
            self.lose(unit, 404 if isinstance(refusal, NotFound) else 403)
        self.meter.finished(unit.group, member=unit.endpoint is api.RESULTS)

    def read_thing(self, unit: Unit) -> None:
        answer = self.ask(unit, {})
        attempt = self.writer.next_attempt(unit.endpoint.resource, unit.params)
        body, content = self.masked(unit, answer)
        self.archive(unit, 1, content, attempt, End(1, None))
        self.count(unit, 1, End(1, None))
        self.add(self.children(unit, [body]))
        if unit.endpoint is api.GROUP and unit.group not in self.tally.listed_groups:
            self.open_groups([{"id": unit.group}])  # it was not listed, but we may see it all the same

    def read_list(self, unit: Unit) -> None:
        endpoint = unit.endpoint
        attempt = self.writer.next_attempt(endpoint.resource, unit.params)
        known: set[str] = set()
        for last_try in (False, True):
            listing = self.read_pages(unit, attempt, known, last_try=last_try)
            if listing is not None:
                break
            attempt += 1
        assert listing is not None  # noqa: S101 - the last try always gives one
        self.count(unit, listing.pages, End(len(listing.seen), listing.total, unit.expected))
        if endpoint is api.GROUPS:
            self.ask_for_unlisted()

    def read_pages(self, unit: Unit, attempt: int, known: set[str], *, last_try: bool) -> Listing | None:
        """Read a list once; None where Drillster's own count says that something was missed and we may try again."""
        endpoint = unit.endpoint
        assert endpoint.identify is not None  # noqa: S101 - lists are identified
        listing = Listing(endpoint.places[0].path, endpoint.resource, endpoint.identify)
        while (query := listing.query) is not None:
            answer, size = self.ask_page(unit, query)
            fresh = listing.take(answer.body, size)
            body_items = [item for item in fresh if endpoint.identify(item) not in known]
            known.update(map(endpoint.identify, body_items))
            done = listing.query is None
            good = last_try or not (_falls_short(listing, unit.expected) or listing.shifted)
            end = End(len(listing.seen), listing.total, unit.expected) if done and good else None
            _, content = self.masked(unit, answer)
            self.archive(unit, listing.pages, content, attempt, end)
            if endpoint is api.GROUPS:
                self.meter.groups_named(listing.total)
                self.open_groups(body_items)
            else:
                self.add(self.children(unit, body_items))
            if done and not good:
                return None
        return listing

    def lose(self, unit: Unit, status: int) -> None:
        """Remember that a unit is gone or closed to us; its pages so far do not count."""
        # Later than the two attempts that read_list may have begun.
        attempt = self.writer.next_attempt(unit.endpoint.resource, unit.params) + 2
        self.archive(unit, 0, b"null", attempt, End(0, None, status=status))
        self.tally.lost(unit.endpoint.resource, unit.params, status)

    # Asking and keeping

    def ask_page(self, unit: Unit, query: Mapping[str, str | int]) -> tuple[Answer, int]:
        """A page, and the size that it was asked for with; a size that is refused is not asked for again."""
        path = unit.endpoint.places[0].path
        while True:
            size = self.page_size.get(path, PAGE_SIZES[0])
            try:
                return self.ask(unit, {**query, **({} if size is None else {"resultSize": size})}), size or PAGE_SIZES[
                    -1
                ]
            except RequestRefused as refusal:
                if refusal.error_id != "invalid_result_size" or size is None:
                    raise
                smaller = [step for step in PAGE_SIZES if step < size]
                with self.lock:
                    if self.page_size.get(path, PAGE_SIZES[0]) == size:
                        self.page_size[path] = smaller[0] if smaller else None

    def ask(self, unit: Unit, query: Mapping[str, str | int]) -> Answer:
        """One answer, from the endpoint's place that works."""
        endpoint = unit.endpoint
        params = {"organization_id": self.organization_id, **unit.params}
        if endpoint is api.OBJECTIVE_EVENTS and self.events_window is not None:
            query = {
                **query,
                "fromDate": self.events_window.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "toDate": self.events_window.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        places = endpoint.places
        if endpoint is api.ORGANIZATION and self.organization_id != "self":
            places = (api.Place("organization/{organization_id}"),)
        key = places[0].path
        settled = self.place.get(key)
        for index, place in enumerate(places):
            if settled not in {None, index}:
                continue
            try:
                answer = self.client.get(place.path, params, query, version=place.version)
            except NotFound:
                if settled is not None or index == len(places) - 1:
                    raise
                continue
            if settled is None:
                self.place[key] = index
            return answer
        raise AssertionError("an endpoint has at least one place")

    def masked(self, unit: Unit, answer: Answer) -> tuple[Any, bytes]:
        """The body as the archive may hold it, decoded and as JSON text without line breaks."""
        body = self.privacy.apply(unit.endpoint.resource, answer.body)
        if body is answer.body and b"\n" not in answer.content and b"\r" not in answer.content:
            return body, answer.content
        return body, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    def archive(self, unit: Unit, page: int, content: bytes, attempt: int, end: End | None) -> None:
        moment = self.now()
        with self.lock:
            self.first = self.first or moment
            self.last = moment
        self.writer.append(unit.endpoint.resource, unit.params, page, moment, content, attempt=attempt, end=end)

    # What follows from an answer

    def open_groups(self, groups: list[Any]) -> None:
        """Put everything on the stack that is to be read of groups that were listed."""
        for group in groups:
            group_id = group.get("id") if isinstance(group, Mapping) else None
            if not isinstance(group_id, str) or not group_id or group_id in self.tally.listed_groups:
                continue
            self.tally.listed_groups.add(group_id)
            counts = group.get("counts")
            members = _count(counts, "members")
            self.meter.group_listed(members)
            params = {"group_id": group_id}
            if self.events_window is not None:
                self.add([Unit(api.OBJECTIVES, params)])
                continue
            self.add(
                [
                    Unit(api.GROUP, params),
                    Unit(api.GROUP_STAFF, params),
                    Unit(api.GROUP_DRILLABLES, params, _count(counts, "drillables")),
                    Unit(api.OBJECTIVES, params),
                    Unit(api.GROUP_MEMBERS, params, members),
                ]
            )

    def ask_for_unlisted(self) -> None:
        """Ask by id for the groups of the capture before that the list no longer has."""
        missing = sorted(self.earlier_groups - self.tally.listed_groups)
        self.add([Unit(api.GROUP, {"group_id": group}) for group in missing])

    def children(self, unit: Unit, found: list[Any]) -> list[Unit]:
        """The units that follow from items of a list, or from one thing."""
        endpoint, group = unit.endpoint, unit.params.get("group_id", "")
        ids = [(item, _id_of(item, endpoint)) for item in found]
        if endpoint is api.CATALOGS:
            return [
                Unit(each, {"catalog_id": key}) for _, key in ids if key for each in (api.CATALOG, api.CATALOG_CONTENT)
            ]
        if endpoint is api.GROUP_MEMBERS:
            return [Unit(api.RESULTS, {"group_id": group, "account_id": key}) for _, key in ids if key]
        if endpoint is api.GROUP:
            return self.tests_of(group, [test for thing in found for test in _objects(thing, "tests")])
        if endpoint is api.OBJECTIVES:
            following = api.OBJECTIVE_EVALUATIONS if self.events_window is None else api.OBJECTIVE_EVENTS
            units = [Unit(following, {"group_id": group, "objective_id": key}) for _, key in ids if key]
            if self.events_window is None:
                for objective, _ in ids:
                    if isinstance(objective, Mapping) and objective.get("type") == "TEST":
                        units += self.tests_of(group, _objects(objective, "playables"))
            return units
        return []

    def tests_of(self, group: str, tests: list[Any]) -> list[Unit]:
        """Units for tests of a group that were not met there before."""
        units = []
        for test in tests:
            key = test.get("id") if isinstance(test, Mapping) else None
            if isinstance(key, str) and key:
                with self.lock:
                    known = (group, key) in self.tests
                    self.tests.add((group, key))
                if not known:
                    units.append(Unit(api.TEST_RESULTS, {"group_id": group, "test_id": key}))
        return units

    # Going on where an interrupted walk stopped

    def recover(self, resources: tuple[str, ...]) -> list[Unit]:
        """Count the units that are already in the archive, and give those that follow from them."""
        followers: list[Unit] = []
        groups: list[Any] = []
        for resource in resources:
            for line in self.writer.recovered(resource):
                unit = Unit(_endpoint_of(resource, line.unit), line.unit)
                moment = utc_moment(line.captured_at)
                self.first = min(self.first or moment, moment)
                self.last = max(self.last or moment, moment)
                if line.end is not None:
                    self.finished.add((resource, unit_key(line.unit)))
                    self.count(unit, line.page, line.end)
                if line.body is not None and unit.endpoint in _PARENTS:
                    found = _found(unit, line.body)
                    if unit.endpoint is api.GROUPS:
                        groups += found
                    else:
                        followers += self.children(unit, found)
        self.open_groups(groups)
        if ("groups", unit_key({})) in self.finished:
            self.ask_for_unlisted()
        return followers

    def count(self, unit: Unit, pages: int, end: End) -> None:
        """Count a finished unit, just read or recovered."""
        resource = unit.endpoint.resource
        if end.status != 200:
            self.tally.lost(resource, unit.params, end.status)
            return
        self.tally.read(resource, unit.params, pages=pages, items=end.items, total=end.total)
        for promised in (end.total, end.expected):
            if promised is not None and promised - end.items > allowed_difference(promised):
                self.tally.short(resource, unit.params, end.items, promised)
                break


_PARENTS = (api.CATALOGS, api.GROUPS, api.GROUP, api.GROUP_MEMBERS, api.OBJECTIVES)
_ENDPOINTS = [value for value in vars(api).values() if isinstance(value, Endpoint)]


def _endpoint_of(resource: str, unit: Mapping[str, str]) -> Endpoint:
    return next(each for each in _ENDPOINTS if each.resource == resource and set(each.unit) == set(unit))


def _found(unit: Unit, body: Any) -> list[Any]:
    return [body] if unit.endpoint.identify is None else items_of(unit.endpoint.resource, body)


def _falls_short(listing: Listing, expected: int | None) -> bool:
    if expected is not None and expected - len(listing.seen) > allowed_difference(expected):
        return True
    return listing.short


def _count(counts: Any, name: str) -> int | None:
    value = counts.get(name) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _objects(thing: Any, name: str) -> list[Any]:
    value = thing.get(name) if isinstance(thing, Mapping) else None
    return value if isinstance(value, list) else []


def _id_of(item: Any, endpoint: Endpoint) -> str | None:
    """The id that children are asked for with; None for an invitee without an account, or what is malformed."""
    thing = item
    if isinstance(item, Mapping):
        for name in ("member", "user") if endpoint is api.GROUP_MEMBERS else ("catalog",):
            if isinstance(item.get(name), Mapping):
                thing = item[name]
                break
    found = thing.get("id") if isinstance(thing, Mapping) else None
    return found if isinstance(found, str) and found else None
