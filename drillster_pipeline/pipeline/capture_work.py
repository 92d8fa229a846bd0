"""How the processes that make one capture read it: alone, or a share each."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from drillster_pipeline.api.shards import Share, everything
from drillster_pipeline.archive.archive import RESUMABLE_FOR
from drillster_pipeline.archive.captures import Capture, CaptureRef, CaptureWriter, utc_text
from drillster_pipeline.archive.storage import LockCheck
from drillster_pipeline.dates import Window, day_window, events_window, newest_complete
from drillster_pipeline.errors import (
    ArchiveCorrupt,
    ContractError,
    Interrupted,
    PastDateRefused,
    PipelineError,
    Refused,
)
from drillster_pipeline.resources import OBJECTIVES
from drillster_pipeline.response_shapes import id_text
from drillster_pipeline.settings import MOST_IN_FLIGHT, Settings

from .context import PipelineContext, infrequent_gc
from .identity import require_organization_of_archive

if TYPE_CHECKING:
    from drillster_pipeline.api.capture_summary import CaptureResult
    from drillster_pipeline.api.client import Client
    from drillster_pipeline.api.crawler import Crawler

SLEPT_SECONDS = 3600.0
"""A capture in which nothing is answered for so long was not waiting: its machine was suspended."""

SKEW_SECONDS = 600.0
"""Clocks may differ by so much; where by more, the newest complete date must be the same by both."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CaptureWork:
    """What one of the processes that make a capture works with; ``shard``: the one that it reads."""

    context: PipelineContext
    kind: str
    export_date: date
    shard: int | None = None
    shards: int = 1
    """How many there are by the plan: the settings of a worker may be others."""

    @property
    def window(self) -> Window:
        """The day, or that of events."""
        return (events_window if self.kind == "events" else day_window)(
            self.export_date, self.context.settings.timezone
        )

    @property
    def purpose(self) -> dict[str, Any]:
        """What a capture is made with; an interrupted one that was begun with anything else is not resumed."""
        settings, window = self.context.settings, self.window
        key = settings.pseudonym_key
        digest = (
            hashlib.sha256(b"drillster-pipeline:" + key.get_secret_value().encode()).hexdigest()[:8] if key else None
        )
        return {
            "kind": self.kind,
            "window": {"from": utc_text(window.start), "until": utc_text(window.end)},
            "timezone": settings.timezone.key,
            "source": settings.base_url,
            "organization_id": settings.organization_id,
            "service_account_id": settings.service_account_id,
            "personal_data": settings.personal_data,
            "pseudonym_key_digest": digest,
        }

    @property
    def limits(self) -> Settings:
        """The settings with the requests in flight and the rate of one process."""
        settings, shards = self.context.settings, self.shards
        concurrency, rate = settings.concurrency, settings.requests_per_second
        if self.shard is not None:
            concurrency = max(1, concurrency // shards + (self.shard < concurrency % shards))
            rate = rate and rate / shards
        limits = {"concurrency": min(concurrency, MOST_IN_FLIGHT), "requests_per_second": rate}
        return settings.model_copy(update=limits)

    def client(self) -> Client:
        """A client within these limits."""
        return self.context.client(self.limits)

    def organization(self, client: Client) -> str | None:
        """The id of the organization, if Drillster says it. Raises Refused where the archive has another one."""
        found = require_organization_of_archive(self.context, client)
        return found and found.organization_id

    def resumable(self, within: timedelta = RESUMABLE_FOR) -> CaptureRef | None:
        """The interrupted capture, if there is one that was begun so recently. The caller has its lock."""
        context = self.context
        return context.archive.resumable(self.export_date, self.kind, self.purpose, context.now(), within=within)

    def open(
        self, ref: CaptureRef | None, check_lock: LockCheck, *, may_begin: bool = True
    ) -> tuple[CaptureWriter, bool]:
        """A writer, and whether it resumes the interrupted capture; else it begins a new one, if it may.

        Raises ArchiveCorrupt where it may not, and what is there can't be resumed.
        """
        archive = self.context.archive
        if ref is not None:
            try:
                return archive.resume(ref, check_lock=check_lock), True
            except ArchiveCorrupt as damage:
                if not may_begin:
                    raise
                logger.warning("The interrupted capture %s can't be resumed: %s. Beginning anew.", ref.folder, damage)
        now = self.context.now()
        return archive.begin(self.export_date, self.kind, self.purpose, now, check_lock=check_lock), False

    def crawler(
        self,
        client: Client,
        writer: CaptureWriter,
        *,
        earlier_groups: Collection[str],
        share: Share = everything,
    ) -> Crawler:
        """A crawler for everything, or for the share of one process."""
        from drillster_pipeline.api.crawler import Crawler

        context, is_snapshot = self.context, self.kind == "snapshot"
        return Crawler(
            client,
            writer,
            privacy=context.privacy,
            organization_id=context.settings.organization_id,
            window=None if is_snapshot else self.window,
            earlier_groups=earlier_groups,
            share=share,
            concurrency=self.limits.concurrency,
            now=_awake(context, self.export_date) if is_snapshot else context.now,
            on_progress=context.on_progress,
        )

    def read(self, crawler: Crawler) -> CaptureResult:
        """Read what is left of the crawler's share."""
        with infrequent_gc():
            return crawler.snapshot() if self.kind == "snapshot" else crawler.events(self.objectives())

    def groups_before(self) -> Collection[str]:
        """The groups that the captures before this one name; see :func:`groups_before`."""
        return groups_before(self.context, self.export_date) if self.kind == "snapshot" else ()

    def objectives(self) -> set[tuple[str, str]] | None:
        """The objectives of which events are read; see :func:`objectives_on`."""
        return objectives_on(self.context, self.export_date)


def _awake(context: PipelineContext, export_date: date) -> Callable[[], datetime]:
    """The clock of a capture of the present, read before each response is written.

    A machine that was suspended may resume on another day, which the responses then describe: raises PastDateRefused.
    One whose clock is wrong from the start would store them under a wrong date: raises Refused.
    """
    started, last = context.now(), context.steady()
    is_checked = False

    def now() -> datetime:
        nonlocal last, is_checked
        if not is_checked:
            _require_same_day(context, export_date, started)
            is_checked = True
        slept, last = context.steady() - last, context.steady()
        if slept > SLEPT_SECONDS and context.newest_complete != export_date:
            raise PastDateRefused(
                f"This machine slept for {slept / 3600:.0f} hours in the middle of the capture of {export_date}, and "
                "what Drillster answers now is of another day: nothing is added to that capture any more. The newest "
                f"complete date, {context.newest_complete}, can be captured now"
            )
        return context.now()

    return now


def _require_same_day(context: PipelineContext, export_date: date, started: datetime) -> None:
    """Raise Refused where the export date is the newest complete one by our clock, but not by Drillster's."""
    skew = context.tokens.endpoint.skew.ahead if context.tokens.endpoint.skew else 0.0
    newest = newest_complete(started - timedelta(seconds=skew), context.settings.timezone)
    if abs(skew) > SKEW_SECONDS and newest != export_date:
        raise Refused(
            f"The clock of this machine is {abs(skew) / 3600:.1f} hours {'ahead of' if skew > 0 else 'behind'} "
            f"Drillster's, by which {newest} is the newest date that has ended: its responses would be "
            f"stored under {export_date}, which they are not of. Set the clock, then run again"
        )


def groups_before(context: PipelineContext, export_date: date) -> set[str]:
    """The groups that the captures before this one name, whether they could read them or not.

    Of this date, and of the dates before it up to the newest that has read the list of groups completely: what one
    capture did not read, the one before may have. Where there is none, those in the warehouse as well. A capture that
    can't be read any more must not prevent this one.
    """
    known: set[str] = set()
    for day in reversed(context.archive.dates()):
        if day > export_date:
            continue
        try:
            before = context.archive.newest_sealed(day, "snapshot")
        except ContractError as damage:
            logger.warning("The archive of %s is not considered: %s", day, damage)
            continue
        if before is not None:
            known |= _groups_of(before)
            if day < export_date and _has_complete_list(before.manifest["resources"]["groups"]):
                return known
    try:
        return known.union(context.warehouse.names("groups", is_present=True))
    except PipelineError as error:
        logger.warning("The groups in the warehouse are not considered: %s", error)
        return known


def _groups_of(capture: Capture) -> set[str]:
    """The groups that a capture names: also one that gave no response, so that the next capture requests it again."""
    groups = capture.manifest["groups"]
    lost = capture.manifest["resources"].get("groups", {}).get("lost", ())
    unanswered = {unit["unit"]["group_id"] for unit in lost if unit["status"] not in {403, 404} and unit["unit"]}
    return (set(groups["listed"]) | unanswered) - set(groups["gone"]) | set(groups["closed"])


def _has_complete_list(entry: Mapping[str, Any]) -> bool:
    """Whether a capture has read the list of groups, and to its end (the unit of the list has no parameters)."""
    return entry["status"] == "captured" and all(short["unit"] for short in entry["short"])


def objectives_on(context: PipelineContext, export_date: date) -> set[tuple[str, str]] | None:
    """Group and objective ids in the snapshot of the date; None where it has none, or could not read objectives."""
    try:
        snapshot = context.archive.newest_sealed(export_date, "snapshot")
        if snapshot is None or snapshot.manifest["resources"]["objectives"]["status"] != "captured":
            return None
        return {
            (line.unit["group_id"], objective_id)
            for line in snapshot.pages("objectives")
            for objective in OBJECTIVES.items(line.body)
            if isinstance(objective, dict) and (objective_id := id_text(objective.get("id"))) is not None
        }
    except (ContractError, Interrupted) as damage:
        logger.warning("The objectives of %s are requested again: %s", export_date, damage)
        return None
