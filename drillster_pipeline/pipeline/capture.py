"""Capture, resume, replay or refuse an export date.

Drillster answers only about the present, so only the newest complete date can be captured. Events are the exception:
they carry their own dates and can be fetched for any window.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from drillster_pipeline import __version__
from drillster_pipeline.archive.archive import RESUMABLE_FOR
from drillster_pipeline.archive.captures import Capture, CaptureWriter, utc_moment, utc_text
from drillster_pipeline.archive.storage import LockCheck
from drillster_pipeline.dates import Window, day_window, events_window, newest_complete
from drillster_pipeline.errors import (
    ArchiveCorrupt,
    ContractError,
    Interrupted,
    PastDateRefused,
    PermissionDenied,
    PipelineError,
    Refused,
)
from drillster_pipeline.resources import OBJECTIVES
from drillster_pipeline.response_shapes import id_text

from .context import PipelineContext, infrequent_gc
from .identity import require_organization_of_archive

if TYPE_CHECKING:
    from drillster_pipeline.api.client import Client

SLEPT_SECONDS = 3600.0
"""A capture in which nothing is answered for so long was not waiting: its machine was suspended."""

SKEW_SECONDS = 600.0
"""Clocks may differ by so much; where by more, the newest complete date must be the same by both."""

logger = logging.getLogger(__name__)


class How(StrEnum):
    """How the capture of a date was obtained."""

    CAPTURED = "captured"
    RESUMED = "resumed"
    REPLAYED = "replayed"
    KEPT = "kept"
    """Captured by an earlier run that ended before everything was done."""


@dataclass(frozen=True, slots=True)
class CaptureOutcome:
    """The capture that counts for a date and kind now, and how it was obtained."""

    capture: Capture
    how: How

    @property
    def made_requests(self) -> bool:
        """Whether requests were made to Drillster."""
        return self.how in {How.CAPTURED, How.RESUMED}


def capture(context: PipelineContext, kind: str, export_date: date, *, again: bool = False) -> CaptureOutcome:
    """Make sure that a sealed capture of ``kind`` exists for ``export_date``.

    ``again``: request it again even where an earlier run's capture still waits to be published, or where events of a
    past date are in the archive. Raises PastDateRefused for a snapshot of a past date without an archive, Refused for
    a date that has not ended or where the archive is another organization's, Busy while another process captures the
    same, and what the API raises.
    """
    context.require_ended(export_date)
    if (done := _done(context, kind, export_date, again)) is not None:
        return done
    with context.archive.locked(export_date, kind) as check_lock:
        # Another process may have sealed it in the meantime.
        done = _done(context, kind, export_date, again)
        return done if done is not None else _capture(context, kind, export_date, check_lock)


def _done(context: PipelineContext, kind: str, export_date: date, again: bool) -> CaptureOutcome | None:
    """The existing capture that counts; None where one is to be made."""
    newest = context.newest_complete
    if export_date >= newest:
        return None if again else _kept(context, kind, export_date)
    sealed = context.archive.newest_sealed(export_date, kind)
    if sealed is not None and not (again and kind == "events"):
        return CaptureOutcome(sealed, How.REPLAYED)
    if kind == "snapshot":
        raise PastDateRefused(
            f"{export_date} was never captured, and Drillster answers only about the present: storing today's state "
            f"under a past date would forge history. What can still be done: objective events of that date are fetched "
            f"and published (assets drillster/objective_events and warehouse/objective_events); the newest complete "
            f"date, {newest}, can be captured now; a copy of the archive of {export_date}, put back in its place, is "
            "replayed"
        )
    return None


def _kept(context: PipelineContext, kind: str, export_date: date) -> CaptureOutcome | None:
    """The newest capture of a date that can still be captured, if it has yet to be published."""
    try:
        sealed = context.archive.newest_sealed(export_date, kind)
    except ContractError as damage:
        logger.warning("Capturing %s again: %s", export_date, damage)
        return None
    return CaptureOutcome(sealed, How.KEPT) if sealed is not None and _is_pending(context, sealed) else None


def _is_pending(context: PipelineContext, sealed: Capture) -> bool:
    """Whether an earlier run captured this date just now, and ended before it was published or its run was done."""
    if abs(context.now() - utc_moment(sealed.manifest["captured_from"])) > RESUMABLE_FOR:
        return False
    from .guard import is_refused  # needs pandas, which a capture should not wait for

    if is_refused(context, sealed.ref):
        return False
    run_id = sealed.manifest.get("run_id")
    if run_id is not None and run_id != context.run_id and not context.ended_well(run_id):
        return True
    try:
        return not context.warehouse.ledger.is_loaded(sealed.capture_id)
    except PipelineError as error:
        # The capture is safe, and whether it was published is for the publish to find out.
        logger.info("It is not known whether the capture was published (%s): it is kept.", error)
        return True


def _capture(context: PipelineContext, kind: str, export_date: date, check_lock: LockCheck) -> CaptureOutcome:
    settings = context.settings
    window = (events_window if kind == "events" else day_window)(export_date, settings.timezone)
    purpose = _purpose(context, kind, window)
    with context.client() as client:
        organization = require_organization_of_archive(context, client)
        writer, how = _writer(context, kind, export_date, purpose, check_lock)
        try:
            manifest = _read(context, client, kind, export_date, window, writer)
            manifest["organization"] = organization and organization.organization_id
            sealed = writer.seal({**manifest, **purpose})
        except PermissionDenied:
            # Nothing could be read. Resuming it would repeat the refusals, even after the right was given.
            writer.abandon()
            context.archive.remove(writer.ref)
            raise
        except BaseException:
            writer.abandon()
            raise
    return CaptureOutcome(sealed, how)


def _writer(
    context: PipelineContext, kind: str, export_date: date, purpose: dict[str, Any], check_lock: LockCheck
) -> tuple[CaptureWriter, How]:
    """A writer that resumes the interrupted capture, or begins a new one."""
    archive = context.archive
    ref = archive.resumable(export_date, kind, purpose, context.now())
    if ref is not None:
        try:
            return archive.resume(ref, check_lock=check_lock), How.RESUMED
        except ArchiveCorrupt as damage:
            logger.warning("The interrupted capture %s can't be resumed: %s. Beginning a new one.", ref.folder, damage)
    return archive.begin(export_date, kind, purpose, context.now(), check_lock=check_lock), How.CAPTURED


def _purpose(context: PipelineContext, kind: str, window: Window) -> dict[str, Any]:
    """What a capture is made with; an interrupted one that was begun with anything else is not resumed."""
    settings = context.settings
    key = settings.pseudonym_key
    digest = hashlib.sha256(b"drillster-pipeline:" + key.get_secret_value().encode()).hexdigest()[:8] if key else None
    return {
        "kind": kind,
        "window": {"from": utc_text(window.start), "until": utc_text(window.end)},
        "timezone": settings.timezone.key,
        "source": settings.base_url,
        "organization_id": settings.organization_id,
        "service_account_id": settings.service_account_id,
        "personal_data": settings.personal_data,
        "pseudonym_key_digest": digest,
    }


def _read(
    context: PipelineContext, client: Client, kind: str, export_date: date, window: Window, writer: CaptureWriter
) -> dict[str, Any]:
    """Make the capture; returns its manifest."""
    from drillster_pipeline.api.crawler import Crawler

    started = context.steady()
    with infrequent_gc():
        crawler = Crawler(
            client,
            writer,
            privacy=context.privacy,
            organization_id=context.settings.organization_id,
            window=window if kind == "events" else None,
            earlier_groups=_groups_before(context, export_date) if kind == "snapshot" else (),
            concurrency=context.settings.concurrency,
            now=context.now if kind == "events" else _awake(context, export_date),
            on_progress=context.on_progress,
        )
        result = crawler.snapshot() if kind == "snapshot" else crawler.events(_objectives_on(context, export_date))
        seconds = context.steady() - started
        client_stats = client.metrics.snapshot()
    return {
        "export_date": str(export_date),
        "program_version": __version__,
        "run_id": context.run_id,
        "captured_from": utc_text(result.captured_from),
        "captured_until": utc_text(result.captured_until),
        "walk": {"seconds": round(seconds, 3), **client_stats},
        "groups": result.groups,
        "resources": result.resources,
    }


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


def _groups_before(context: PipelineContext, export_date: date) -> set[str]:
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
        return known.union(context.warehouse.present_names("groups"))
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


def _objectives_on(context: PipelineContext, export_date: date) -> set[tuple[str, str]] | None:
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
