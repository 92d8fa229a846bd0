"""What a capture reads, and its result.

One crawl captures everything of one kind: ``capture_snapshot`` what is true now, ``capture_events`` what happened in
a window. A unit (an endpoint with its path parameters) is finished when its last answer is in the archive; an
interrupted crawl that is resumed reads the finished units from there and asks only for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from drillster_pipeline import resources as api
from drillster_pipeline.archive import CaptureWriter
from drillster_pipeline.errors import PermissionDenied
from drillster_pipeline.resources import CAPTURED, Unit

from .client import Client
from .crawler import Crawler
from .metrics import Progress

if TYPE_CHECKING:
    from drillster_pipeline.dates import Window
    from drillster_pipeline.privacy.pseudonymize import Privacy


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What a crawl gives to the manifest."""

    resources: dict[str, dict[str, Any]]
    groups: dict[str, list[str]]
    captured_from: datetime
    captured_until: datetime
    grants: int
    """Tokens that were requested during the crawl."""


def capture_snapshot(
    client: Client,
    writer: CaptureWriter,
    *,
    privacy: Privacy,
    organization_id: str = "self",
    earlier_groups: Collection[str] = (),
    concurrency: int = 8,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> CaptureResult:
    """Read everything that Drillster says of the present.

    ``earlier_groups`` are those of the captures before. One that is no longer listed is asked for by its id, since
    a group that was taken from the service account (403) must not look like a group that was deleted (404).
    Raises PermissionDenied where nothing at all may be read; ApiUnavailable, AnswerError and Unauthorized as they
    come; Unavailable and Busy of the archive.
    """
    crawler = Crawler(
        client,
        writer,
        privacy=privacy,
        organization_id=organization_id,
        earlier_groups=earlier_groups,
        concurrency=concurrency,
        now=now,
    )
    # The long lists first, one page of which leads to the next.
    roots = [Unit(root, {}) for root in (api.ACCOUNTS, api.GROUPS, api.ORGANIZATION, api.CATALOGS)]
    result = _run(crawler, client, roots, CAPTURED["snapshot"], now, on_progress)
    if all(entry["status"] == "unavailable" for entry in result.resources.values()):
        raise PermissionDenied(
            "The service account may read neither the organization nor its accounts nor any group: give it the "
            "right to view them (console, Accounts, the service account, Permissions and Groups)",
            endpoint="groups",
            status=403,
        )
    return result


def capture_events(
    client: Client,
    writer: CaptureWriter,
    *,
    privacy: Privacy,
    window: Window,
    objectives: Iterable[tuple[str, str]] | None = None,
    concurrency: int = 8,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> CaptureResult:
    """Read the objective events of a window.

    ``objectives`` are pairs of group and objective id, known from a snapshot of the same date; where they are not
    given, the groups and their objectives are listed first. Raises what :func:`capture_snapshot` raises.
    """
    crawler = Crawler(client, writer, privacy=privacy, window=window, concurrency=concurrency, now=now)
    if objectives is None:
        roots, resources = [Unit(api.GROUPS, {})], ("groups", "objectives", *CAPTURED["events"])
    else:
        pairs = sorted(set(objectives))
        roots = [
            Unit(api.OBJECTIVE_EVENTS, dict(zip(("group_id", "objective_id"), pair, strict=True))) for pair in pairs
        ]
        resources = CAPTURED["events"]
    return _run(crawler, client, roots, resources, now, on_progress)


def _run(
    crawler: Crawler,
    client: Client,
    roots: list[Unit],
    resources: tuple[str, ...],
    now: Callable[[], datetime],
    on_progress: Callable[[Progress], None],
) -> CaptureResult:
    grants_before = client.metrics.grants
    crawler.run(roots, resources, on_progress)
    moment = now()
    return CaptureResult(
        resources=crawler.summary.manifest(resources),
        groups=crawler.summary.groups(),
        captured_from=crawler.first or moment,
        captured_until=crawler.last or moment,
        grants=client.metrics.grants - grants_before,
    )
