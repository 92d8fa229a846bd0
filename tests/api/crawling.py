"""Crawls over a real sandbox into a real archive, and the oracle that says what they must have found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any

from drillster_pipeline.api.auth import TokenEndpoint
from drillster_pipeline.api.capture_summary import CaptureResult
from drillster_pipeline.api.client import Client
from drillster_pipeline.api.crawler import Crawler
from drillster_pipeline.api.retry import Backoff
from drillster_pipeline.api.tokens import TokenSource
from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.archive.captures import Capture, CaptureRef, CaptureWriter, utc_text
from drillster_pipeline.dates import Window, steady
from drillster_pipeline.privacy.pseudonymize import Privacy
from drillster_pipeline.resources import CAPTURED, RESOURCES, unit_of
from drillster_pipeline.settings import load_settings
from tests.drillster import Failure, Faults, Organization, Sandbox, Size

MOMENT = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
DAY = date(2026, 2, 28)
WINDOW = Window(datetime(2025, 6, 1, tzinfo=UTC), MOMENT)
"""Wide, so that there are events."""
SMALL = Size(
    accounts=26, groups=2, members_per_group=14, drillables_per_group=12, tests_per_group=1, playables_per_catalog=14
)
TINY = Size(
    accounts=14, groups=1, members_per_group=11, drillables_per_group=11, tests_per_group=1, catalogs=1,
    playables_per_catalog=11,
)  # fmt: skip
"""Every list of both is longer than the smallest page."""
KEEP = Privacy("keep", None)
IMPATIENT = Backoff(attempts=4, seconds=5.0, first=0.001, cap=0.005)

SMALL_PAGES = {"*": 10}

Items = dict[str, dict[str, set[str]]]
"""Resource -> unit (as text) -> what identifies its items."""


@dataclass
class Crawls:
    """Makes captures of one sandbox."""

    sandbox: Sandbox
    archive: Archive
    concurrency: int = 4
    backoff: Backoff = IMPATIENT
    tokens: TokenSource | None = None
    """In place of the one that all crawls share."""

    @contextmanager
    def client(self, **options: Any) -> Iterator[Client]:
        settings = {"concurrency": self.concurrency, "backoff": self.backoff} | options
        with Client(
            base_url=self.sandbox.base_url, tokens=self.tokens or tokens_of(self.sandbox), **settings
        ) as client:
            yield client

    def begin(self, kind: str = "snapshot") -> CaptureWriter:
        return self.archive.begin(DAY, kind, {"kind": kind}, MOMENT)

    def crawl(self, writer: CaptureWriter, **options: Any) -> CaptureResult:
        """A snapshot into the writer, without a seal; left open where it fails."""
        settings = {"privacy": KEEP, "concurrency": self.concurrency} | options
        with self.client() as client:
            try:
                return Crawler(client, writer, **settings).snapshot()
            except BaseException:
                writer.abandon()
                raise

    def snapshot(self, writer: CaptureWriter | None = None, **options: Any) -> Capture:
        writer = writer or self.begin()
        return sealed(writer, self.crawl(writer, **options))

    def events(self, objectives: Collection[tuple[str, str]] | None = None, window: Window = WINDOW) -> Capture:
        writer = self.begin("events")
        with self.client() as client:
            crawler = Crawler(client, writer, privacy=KEEP, window=window, concurrency=self.concurrency)
            return sealed(writer, crawler.events(objectives))

    def expected(self) -> Items:
        return expected(self.sandbox)


def new_tokens(sandbox: Sandbox, *, clock: Callable[[], float] = steady, **options: Any) -> TokenSource:
    storage = {"DRILLSTER_ARCHIVE_URL": "-", "DRILLSTER_WAREHOUSE_URL": "sqlite://"}
    return TokenSource(TokenEndpoint(load_settings({**sandbox.environment(), **storage}), clock=clock), **options)


@cache
def tokens_of(sandbox: Sandbox) -> TokenSource:
    """The source of tokens of all crawls over a sandbox: to read the key takes longer than a crawl."""
    return new_tokens(sandbox)


def forget_tokens(sandbox: Sandbox) -> None:
    """Let the next crawl begin without a token."""
    tokens_of(sandbox).close()
    tokens_of.cache_clear()


def finished_paths(archive: Archive, ref: CaptureRef) -> set[str]:
    """The paths of units that an unfinished snapshot has completely."""
    writer, paths = archive.resume(ref), set()
    for resource in CAPTURED["snapshot"]:
        for record in writer.recovered(resource, bodies=False):
            if record.footer is not None:
                one = unit_of(resource, record.unit)
                paths.add(f"/api/2.1.1/{one.endpoint.path.format(organization_id='self', **one.params)}")
    return paths


def sealed(writer: CaptureWriter, result: CaptureResult) -> Capture:
    return writer.seal(
        {
            "export_date": str(DAY),
            "captured_from": utc_text(result.captured_from),
            "captured_until": utc_text(result.captured_until),
            "groups": result.groups,
            "resources": result.resources,
        }
    )


def calm(sandbox: Sandbox) -> None:
    """No faults, the usual moment, nothing recorded."""
    sandbox.faults, sandbox.now = Faults(), MOMENT
    sandbox.clear()


def unit(**params: str) -> str:
    return json.dumps(params, sort_keys=True, separators=(",", ":"))


# -- what a capture holds


def items_in(capture: Capture) -> Items:
    found: Items = {}
    for resource in capture.manifest["resources"]:
        for line in capture.pages(resource):
            things = _items(resource, line.unit, line.body)
            found.setdefault(resource, {}).setdefault(unit(**line.unit), set()).update(things)
    return found


def _items(resource: str, params: dict[str, str], body: Any) -> Iterator[str]:
    """What identifies the items of a page."""
    is_object = resource == "organization" or (resource in {"groups", "catalogs"} and params)
    for item in [body] if is_object else RESOURCES[resource].items(body):
        if resource == "test_results":
            yield from (attempt["id"] for attempt in item.get("testResults", [item]))
        else:
            yield _KEY_OF.get(resource, lambda found: found["id"])(item)


def _member(item: Any) -> str:
    return item["member"]["id"] if "joined" in item else f"invitee {item['member'].get('emailAddress')}"


def _event(item: Any) -> str:
    inner = item.get("evaluation") or item["objectiveEvaluation"]
    return f"{(item.get('user') or inner['user'])['id']} {item.get('eventType') or item['type']}"


_KEY_OF: dict[str, Callable[[Any], str]] = {
    "accounts": lambda item: item.get("account", item)["id"],
    "group_members": _member,
    "group_staff": lambda item: item["user"]["id"],
    "objective_evaluations": lambda item: item["user"]["id"],
    "objective_events": _event,
    "results": lambda item: item["drillable"]["id"],
}


# -- what there is


def expected(sandbox: Sandbox) -> Items:
    """What a snapshot of the sandbox must hold, straight from its organization."""
    assert sandbox.now is not None
    return copy.deepcopy(_there(sandbox.organization, sandbox.now))


@lru_cache(maxsize=8)
def _there(organization: Organization, moment: datetime) -> Items:
    seen = organization.at(moment)
    items_in: Items = {
        "organization": {unit(): {seen.model.id}},
        "accounts": {unit(): {item["account"]["id"] for item in seen.accounts().all()}},
        "groups": {unit(): {group.id for group in seen.present_groups()}},
        "catalogs": {unit(): {catalog.id for catalog in seen.catalogs()}},
    }
    for catalog in seen.catalogs():
        items_in["catalogs"][unit(catalog_id=catalog.id)] = {catalog.id}
        things = {thing.id for thing in seen.catalog_content(catalog)}
        items_in.setdefault("catalog_content", {})[unit(catalog_id=catalog.id)] = things
    for group in seen.present_groups():
        for resource, units in _of_group(seen, group).items():
            items_in.setdefault(resource, {}).update(units)
    return items_in


def _of_group(seen: Any, group: Any) -> Items:
    params = {"group_id": group.id}
    key = unit(**params)
    members = seen.members(group).all()
    drillables = {thing.id for thing in seen.drillables(group)}
    objectives = seen.objectives(group)
    learners = {one.stay.id for one in seen.learners(group)}
    return {
        "groups": {key: {group.id}},
        "group_members": {key: set(map(_member, members))},
        "group_staff": {key: {item["user"]["id"] for item in seen.group_staff(group)}},
        "group_drillables": {key: drillables},
        "objectives": {key: {one.id for one in objectives}},
        "objective_evaluations": {unit(**params, objective_id=one.id): learners for one in objectives},
        "results": {
            unit(**params, account_id=item["member"]["id"]): drillables for item in members if "id" in item["member"]
        },
        "test_results": {
            unit(**params, test_id=test.id): {
                attempt["id"] for item in seen.test_results(group, test) for attempt in item["testResults"]
            }
            for test in group.tests
        },
    }


def expected_events(sandbox: Sandbox, window: Window) -> Items:
    """What the events of a window must be."""
    seen = sandbox.organization.at(sandbox.now)
    since, until = (int(moment.timestamp() * 1000) for moment in (window.start, window.end))
    return {
        "objective_events": {
            unit(group_id=group.id, objective_id=one.id): {
                _event(item) for item in seen.events(one, since, until).all()
            }
            for group in seen.present_groups()
            for one in seen.objectives(group)
        }
    }


def entry(capture: Capture, resource: str) -> dict[str, Any]:
    """What the manifest of a capture says of a resource."""
    return capture.manifest["resources"][resource]


def failing(clamped_sizes: Mapping[str, int] | None = None, **failure: Any) -> Faults:
    return Faults(clamped_sizes=clamped_sizes or {}, failures=(Failure(**failure),))


def without(everything: Any, gone: Callable[[str], bool]) -> Any:
    return {
        resource: {key: found for key, found in units.items() if not gone(key)}
        for resource, units in everything.items()
    }


def assert_complete(crawls: Crawls, capture: Any) -> None:
    wanted = crawls.expected()
    assert items_in(capture) == wanted
    for resource, units in wanted.items():
        found = entry(capture, resource)
        assert (found["status"], found["units"]) == ("captured", len(units)), resource
        assert found["lost"] == found["short"] == [], resource
