"""The walk itself: every unit is read to its end, by many threads, into the archive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from drillster_pipeline import resources as api
from drillster_pipeline.archive import CaptureWriter, UnitFooter, body_bytes, utc_moment
from drillster_pipeline.errors import ApiError, ApiUnavailable, NotFound, PermissionDenied, RequestRefused

from .capture_summary import CaptureSummary
from .endpoint_client import EndpointClient
from .grant import ENDPOINT as TOKEN_ENDPOINT
from .paging import Listing
from .progress import Meter, Progress
from .units import PARENTS, Unit, followers, found_in, group_units, unit_of
from .worker_pool import WorkerPool

if TYPE_CHECKING:
    from drillster_pipeline.dates import Window
    from drillster_pipeline.privacy.pseudonymize import Privacy

    from .client import Client, JsonResponse

TICK_SECONDS = 0.25
MOST_GIVEN_UP = 10
"""So many units may be given up while all else answers; more of them are no exception any more."""
WITHOUT_ANSWER = 503
"""The status that is kept for a unit that gave no usable answer."""

Clock = Callable[[], datetime]
"""Gives the current moment, aware."""

logger = logging.getLogger(__name__)


class Crawler:
    """One walk of one process, over a snapshot, or with a ``window`` over the events in it.

    ``earlier_groups`` are groups of earlier captures: one that is no longer listed is asked for by its id.
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
        concurrency: int,
        now: Clock,
    ) -> None:
        self.tally = CaptureSummary()
        self.first: datetime | None = None
        """Moment of the earliest answer, also of one that an earlier process got; None before there is any."""
        self.last: datetime | None = None
        """Moment of the latest."""
        self._client = client
        self._writer = writer
        self._privacy = privacy
        self._events = window is not None
        self._earlier_groups = frozenset(earlier_groups)
        self._now = now
        self._asker = EndpointClient(client, organization_id=organization_id, window=window)
        self._meter = Meter(time.monotonic())
        self._pool: WorkerPool[_Reading] = WorkerPool(
            self._read, size=concurrency, interrupt=client.interrupt, rank=self._rank
        )
        self._turns: dict[str | None, int] = {None: -1}
        """Groups in the order in which they are read; before any of them, what belongs to none."""
        self._lock = threading.Lock()
        self._tests: set[tuple[str, str]] = set()
        self._given_up: list[_Reading] = []
        self._read_by_id: list[tuple[Unit, Any]] = []
        """Groups that an earlier process has read: the list as it is now may not have them."""

    def run(self, roots: list[Unit], resources: tuple[str, ...], on_progress: Callable[[Progress], None]) -> None:
        """Read the roots and all that follows from them. Raises the first error that is none of a single unit."""
        self._meet_everyone()
        self._recover(resources)
        self._add(roots)
        while True:
            self._pool.run(on_tick=lambda: on_progress(self._progress()), tick_seconds=TICK_SECONDS)
            # An outage that is over costs nothing: only a unit that is given up twice is lost.
            again = [reading for reading in self._given_up if reading.error and reading.given_up == 1]
            if not again:
                break
            logger.info("All else is read: units that gave no usable answer are asked for again (%d).", len(again))
            self._pool.add(again)
        for reading in self._given_up:
            if reading.error:
                logger.warning("A unit of %s is left out of this capture: %s", reading.unit.resource, reading.error)
                self._lose(reading.unit, reading.error.status or WITHOUT_ANSWER)
        on_progress(self._progress())

    def _meet_everyone(self) -> None:
        """Know all accounts by name before anything is written, where names must not be: any answer may have them.

        That reads their list once more, as nothing else tells names before they are written: least of all an
        interrupted capture that is gone on with.
        """
        if self._privacy.mode == "keep" or self._privacy.knows_everyone:
            return
        listing = Listing(api.ACCOUNTS)
        unit = Unit(api.ACCOUNTS, {})
        try:
            while (query := listing.query) is not None:
                answer, size = self._asker.page(unit, query)
                listing.add_page(answer.body, size)
                self._privacy.learn(api.ACCOUNTS.resource, answer.body)
            self._privacy.knows_everyone = True
        except (PermissionDenied, NotFound, RequestRefused) as refusal:
            logger.warning(
                "The accounts can't be read, so that their names are hidden only where an answer itself tells them: %s",
                refusal,
            )

    def _named(self, unit: Unit) -> Mapping[str, str]:
        """A unit as the archive knows it."""
        return self._privacy.unit(unit.params)

    def _progress(self) -> Progress:
        stats, waiting = self._client.stats, self._pool.waiting
        return self._meter.progress(time.monotonic(), requests=stats.requests, retries=stats.retries, waiting=waiting)

    # Units

    def _add(self, units: Iterable[Unit]) -> None:
        """Put up units, but for those that are finished, and tests that are there already."""
        fresh = []
        for unit in units:
            if unit.endpoint is api.TEST_RESULTS and not self._is_new(unit):
                continue
            member = unit.endpoint is api.RESULTS
            self._meter.opened(unit.group, member=member)
            if self._writer.finished(unit.resource, self._named(unit)):
                self._meter.finished(unit.group, member=member)
            else:
                fresh.append(unit)
        self._pool.add(_Reading(unit) for unit in fresh)

    def _rank(self, reading: _Reading) -> tuple[int, bool]:
        """Group by group, so that few units wait at any time; and of a group, what may have many pages first.

        Pages are asked for one after the other: begun late, a long list would be all that is left to do at the end,
        while results of single members fill every gap.
        """
        unit = reading.unit
        return self._turns.setdefault(unit.group, len(self._turns)), unit.endpoint is api.RESULTS

    def _is_new(self, test: Unit) -> bool:
        with self._lock:
            before = len(self._tests)
            self._tests.add((test.params["group_id"], test.params["test_id"]))
            return len(self._tests) > before

    def _read(self, reading: _Reading) -> None:
        """Read one unit to its end, into the archive, or give it up for now."""
        unit, reading.error = reading.unit, None
        try:
            if not unit.endpoint.is_list:
                self._read_thing(unit)
            else:
                self._read_list(reading)
        except (PermissionDenied, NotFound) as refusal:
            self._lose(unit, 404 if isinstance(refusal, NotFound) else 403)
        except (ApiUnavailable, RequestRefused) as error:
            self._give_up(reading, error)
        if not reading.error or reading.given_up > 1:
            self._meter.finished(unit.group, member=unit.endpoint is api.RESULTS)

    def _read_thing(self, unit: Unit) -> None:
        answer = self._asker.ask(unit, {})
        end = UnitFooter(1, None)
        self._keep(unit, 1, answer, self._writer.attempt(unit.resource, self._named(unit)), end)
        self.tally.count(unit.resource, self._named(unit), 1, end)
        self._follow(unit, [answer.body])
        if unit.endpoint is api.GROUP:
            self._open_by_id(unit, answer.body)  # perhaps it was not listed, but we may see it all the same

    def _read_list(self, reading: _Reading) -> None:
        """Read a list on to its end, and once more where Drillster's own count says that something was missed."""
        unit = reading.unit
        attempt = self._writer.attempt(unit.resource, self._named(unit))
        listing = reading.listing = reading.listing or Listing(api.RESOURCES[unit.resource], unit.expected)
        while (query := listing.query) is not None:
            again = listing.passes > 1
            try:
                answer, size = self._asker.page(unit, query, size=listing.size)
            except RequestRefused as refusal:
                # The item that the cursor names may have gone since: then the list has changed under our hands.
                if refusal.error_id != "invalid_result_from" or "resultFrom" not in query or again:
                    raise
                listing.restart()
                continue
            fresh = listing.add_page(answer.body, size)
            if listing.query is None and listing.needs_second_pass and not again:
                listing.restart()
            self._keep(unit, listing.pages, answer, attempt, None if listing.query is not None else listing.end)
            if unit.endpoint is api.GROUPS:
                self._meter.groups_named(listing.total)
            self._follow(unit, fresh)
        self.tally.count(unit.resource, self._named(unit), listing.pages, listing.end)
        if unit.endpoint is api.GROUPS:
            self._ask_for_unlisted()

    def _lose(self, unit: Unit, status: int) -> None:
        """Remember that a unit can't be read; pages that it gave before do not count."""
        end = UnitFooter(0, None, status=status)
        self._write(unit, 0, b"null", self._writer.attempt(unit.resource, self._named(unit)), end)
        self.tally.count(unit.resource, self._named(unit), 0, end)

    def _give_up(self, reading: _Reading, error: ApiError) -> None:
        """Go on without a unit, if Drillster answers otherwise: one that it can't give must not cost every night.

        It is asked for again when all else was read, and noted in the archive as lost only after that, so that an
        interrupted capture asks for it again. Raises the error where it is no exception, and at once where there was
        no token, which is nobody's own fault. See docs/decisions/0009-a-unit-that-never-answers.md.
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
            self._asker.ask(Unit(api.ORGANIZATION, {}), {})
        except (PermissionDenied, NotFound, RequestRefused):
            return  # an answer, too

    # Answers

    def _keep(self, unit: Unit, page: int, answer: JsonResponse, attempt: int, end: UnitFooter | None) -> None:
        """Put an answer into the archive: as it came, but for what privacy changes; as one line."""
        body = self._privacy.apply(unit.resource, answer.body)
        content = answer.content
        if body is not answer.body or b"\n" in content or b"\r" in content:
            content = body_bytes(body)
        self._write(unit, page, content, attempt, end)

    def _write(self, unit: Unit, page: int, content: bytes, attempt: int, end: UnitFooter | None) -> None:
        moment = self._now()
        self._saw(moment)
        self._writer.append(unit.resource, self._named(unit), page, moment, content, attempt=attempt, end=end)

    def _saw(self, moment: datetime) -> None:
        with self._lock:
            self.first = min(self.first or moment, moment)
            self.last = max(self.last or moment, moment)

    def _follow(self, unit: Unit, found: list[Any]) -> None:
        """Put up everything that follows from things in an answer."""
        if unit.endpoint is api.GROUPS:
            self._open(found)
        else:
            self._add(followers(unit, found, events=self._events))

    def _open(self, groups: list[Any]) -> None:
        """Put up all that is to be read of groups, each once: those with most members first, as they take longest."""
        found = [units for group in groups if (units := group_units(group, events=self._events))]
        for units in sorted(found, key=lambda units: units[-1].expected or 0, reverse=True):
            if self.tally.opens(self._named(units[0])["group_id"]):
                self._meter.group_listed(units[-1].expected)
                self._add(units)

    def _open_by_id(self, unit: Unit, body: Any) -> None:
        self._open([{**(body if isinstance(body, Mapping) else {}), "id": unit.params["group_id"]}])

    def _ask_for_unlisted(self) -> None:
        """Ask by id for the groups of earlier captures that the list no longer has."""
        for unit, body in self._read_by_id:
            self._open_by_id(unit, body)
        missing = self.tally.unlisted(self._earlier_groups)
        self._add([Unit(api.GROUP, {"group_id": group}) for group in missing])

    # Going on where an interrupted walk stopped

    def _recover(self, resources: tuple[str, ...]) -> None:
        """Count the units that are in the archive already, and put up what follows from them."""
        listed = False
        for resource in resources:
            for line in self._writer.recovered(resource, bodies=resource in PARENTS):
                unit = unit_of(resource, line.unit)
                self._saw(utc_moment(line.captured_at))
                if line.end is not None:
                    self.tally.count(resource, line.unit, line.page, line.end)
                if line.body is None:
                    continue
                if unit.endpoint is api.GROUP:
                    self._read_by_id.append((unit, line.body))
                listed = listed or unit.endpoint is api.GROUPS
                self._follow(unit, found_in(unit, line.body))
        if listed:
            self._ask_for_unlisted()


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
