"""Capture, resume, replay or refuse an export date.

Drillster answers only about the present, so only the newest complete date can be captured. Events are the exception:
they carry their own dates and can be fetched for any window.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from drillster_pipeline import __version__
from drillster_pipeline.api.shards import CapturePlan, Share, complete_walk, everything
from drillster_pipeline.archive.archive import RESUMABLE_FOR
from drillster_pipeline.archive.captures import Capture, CaptureRef, CaptureWriter, utc_moment, utc_text
from drillster_pipeline.archive.storage import LockCheck
from drillster_pipeline.errors import ContractError, PastDateRefused, PermissionDenied, PipelineError
from drillster_pipeline.resources import Endpoint

from .capture_work import CaptureWork
from .context import PipelineContext
from .timestamps import stamp

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
    past date are in the archive. Raises PastDateRefused for a snapshot of a past date without an archive, Refused for a
    date that has not ended or where the archive is another organization's, Busy while another process captures the
    same, and what the API raises.
    """
    context.require_ended(export_date)
    done = existing_capture(context, kind, export_date, again=again)
    if done is None:
        with context.archive.locked(export_date, kind) as check_lock:
            # Another process may have sealed it in the meantime.
            done = existing_capture(context, kind, export_date, again=again)
            work = CaptureWork(context, kind, export_date)
            done = done or make_capture(work, work.resumable(), check_lock)
    return stamped(context, done)


def stamped(context: PipelineContext, done: CaptureOutcome) -> CaptureOutcome:
    """The same, time-stamped where the settings say so; `prune` has those of earlier runs stamped."""
    if done.how is not How.REPLAYED:
        stamp(context, done.capture)
    return done


def _all_read(writer: CaptureWriter, export_date: date) -> Share:
    """The share of a seal on another day, when nothing may be requested any more."""

    def is_read(endpoint: Endpoint, params: Mapping[str, str]) -> bool:
        if not writer.finished(endpoint.resource, params):
            raise PastDateRefused(
                f"The shards of {export_date} did not end on the day after it, and what Drillster answers now is of "
                "another day: that capture can't be completed. The newest complete date can be captured now"
            )
        return True

    return is_read


def existing_capture(context: PipelineContext, kind: str, export_date: date, *, again: bool) -> CaptureOutcome | None:
    """The existing capture that counts; None where one is to be made. Raises PastDateRefused."""
    newest = context.newest_complete
    if export_date >= newest:
        kept = _kept(context, kind, export_date)
        return None if again and not (kept and kept.how is How.CAPTURED) else kept
    sealed = context.archive.newest_sealed(export_date, kind)
    if sealed is not None and _is_of_this_run(context, sealed):
        return CaptureOutcome(sealed, How.CAPTURED)
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
    if sealed is not None and _is_of_this_run(context, sealed):
        return CaptureOutcome(sealed, How.CAPTURED)
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


def _is_of_this_run(context: PipelineContext, sealed: Capture) -> bool:
    """Whether a step of this run has sealed it: it is not to be made again where another step needs it."""
    return context.run_id is not None and sealed.manifest.get("run_id") == context.run_id


def make_capture(
    work: CaptureWork, ref: CaptureRef | None, check_lock: LockCheck, *, may_begin: bool = True
) -> CaptureOutcome:
    """Make a capture, or what is left of one, and seal it; the caller has its lock.

    Raises ArchiveCorrupt where what is there can't be resumed and none ``may_begin``, and what the API raises.
    """
    context, kind, export_date = work.context, work.kind, work.export_date
    plan = CapturePlan.read(context.archive.storage, ref.folder) if ref else None
    with work.client() as client:
        organization = plan.organization if plan else work.organization(client)
        writer, is_resumed = work.open(ref, check_lock, may_begin=may_begin)
        try:
            started = context.steady()
            earlier = plan.earlier_groups if plan else work.groups_before()
            is_past = kind == "snapshot" and export_date < context.newest_complete
            share = _all_read(writer, export_date) if is_past else everything
            result = work.read(work.crawler(client, writer, earlier_groups=earlier, share=share))
            walk = {"seconds": round(context.steady() - started, 3), **client.metrics.snapshot()}
            if plan and is_resumed:
                is_resumed = plan.run_id != context.run_id
                seconds = (result.captured_until - result.captured_from).total_seconds()
                walk = complete_walk(writer, walk) | {"seconds": seconds}
            sealed = writer.seal(
                {
                    "export_date": str(export_date),
                    "program_version": __version__,
                    "run_id": context.run_id,
                    "captured_from": utc_text(result.captured_from),
                    "captured_until": utc_text(result.captured_until),
                    "walk": walk,
                    "groups": result.groups,
                    "resources": result.resources,
                    "organization": organization,
                    **work.purpose,
                }
            )
        except PermissionDenied:
            # Nothing could be read. Resuming it would repeat the refusals, even after the right was given.
            writer.abandon()
            context.archive.remove(writer.ref)
            raise
        except BaseException:
            writer.abandon()
            raise
    return CaptureOutcome(sealed, How.RESUMED if is_resumed else How.CAPTURED)
