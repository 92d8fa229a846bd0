"""What a capture reads, and what it comes to.

One walk captures everything of one kind: ``capture_snapshot`` what is true now, ``capture_events`` what happened in
a window. A unit (an endpoint with its path parameters) is finished when its last answer lies in the archive; an
interrupted walk that is begun again reads the finished units from there and asks only for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from drillster_pipeline import resources as api
from drillster_pipeline.archive import CaptureWriter
from drillster_pipeline.errors import PermissionDenied
from drillster_pipeline.resources import CAPTURED

from .crawler import Clock, Crawler
from .progress import Progress
from .units import Unit

if TYPE_CHECKING:
    from drillster_pipeline.dates import Window
    from drillster_pipeline.privacy.pseudonymize import Privacy

    from .client import Client

EVENTS_RESOURCES = ("groups", "objectives", "objective_events")


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

    ``earlier_groups`` are those of the captures before. One that is no longer listed is asked for by its id, since
    a group that was taken from the service account (403) must not look like a group that was deleted (404).
    Raises PermissionDenied where nothing at all may be read; ApiUnavailable, AnswerError and Unauthorized as they
    come; Unavailable and Busy of the archive.
    """
    walk = Crawler(
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
    result = _run(walk, client, roots, CAPTURED["snapshot"], now, on_progress)
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
    objectives: Collection[tuple[str, str]] | None = None,
    concurrency: int = 8,
    now: Clock = lambda: datetime.now(UTC),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> CaptureResult:
    """Read the objective events of a window.

    ``objectives`` are pairs of group and objective id, known from a snapshot of the same date; where they are not
    given, the groups and their objectives are listed first. Raises what :func:`capture_snapshot` raises.
    """
    walk = Crawler(client, writer, privacy=privacy, window=window, concurrency=concurrency, now=now)
    if objectives is None:
        roots = [Unit(api.GROUPS, {})]
        resources: tuple[str, ...] = EVENTS_RESOURCES
    else:
        roots = [
            Unit(api.OBJECTIVE_EVENTS, {"group_id": group, "objective_id": objective})
            for group, objective in sorted(set(objectives))
        ]
        resources = ("objective_events",)
    return _run(walk, client, roots, resources, now, on_progress)


def _run(
    walk: Crawler,
    client: Client,
    roots: list[Unit],
    resources: tuple[str, ...],
    now: Clock,
    on_progress: Callable[[Progress], None],
) -> CaptureResult:
    grants_before = client.stats.grants
    walk.run(roots, resources, on_progress)
    moment = now()
    return CaptureResult(
        resources=walk.tally.manifest(resources),
        listed_groups=walk.tally.listed_groups,
        closed_groups=walk.tally.closed_groups,
        gone_groups=walk.tally.gone_groups,
        captured_from=walk.first or moment,
        captured_until=walk.last or moment,
        requests=client.stats.requests,
        retries=client.stats.retries,
        grants=client.stats.grants - grants_before,
    )
