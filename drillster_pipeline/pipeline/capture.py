"""Capture, go on, replay or refuse: which of them an export date gets.

Drillster tells only about now, so only the newest complete date can be captured. Events are the exception: they
carry their own dates and can be fetched for any window.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from drillster_pipeline import __version__
from drillster_pipeline.archive import RESUMABLE_FOR, Capture, CaptureWriter, LockCheck, utc_moment, utc_text
from drillster_pipeline.dates import Window, day_window, events_window, newest_complete
from drillster_pipeline.errors import (
    ArchiveCorrupt,
    ContractError,
    PastDateRefused,
    PermissionDenied,
    PipelineError,
    Refused,
)

from .context import PipelineContext
from .earlier import groups_before, objectives_on
from .garbage import infrequent_gc
from .guard import is_refused

SLEPT_SECONDS = 3600.0
"""A walk in which nothing is answered for so long was not waiting, but stopped with its machine."""

SKEW_SECONDS = 600.0
"""Clocks may differ by so much; where by more, the newest complete date must be the same by both."""

logger = logging.getLogger(__name__)


class How(StrEnum):
    """How a date came to its capture."""

    CAPTURED = "captured"
    RESUMED = "resumed"
    REPLAYED = "replayed"
    KEPT = "kept"
    """Captured by an earlier run that ended before the night was whole."""


@dataclass(frozen=True, slots=True)
class CaptureOutcome:
    """The capture that counts for a date and kind now, and how it came about."""

    capture: Capture
    how: How

    @property
    def asked(self) -> bool:
        """Whether Drillster was asked anything."""
        return self.how in {How.CAPTURED, How.RESUMED}


def capture(session: PipelineContext, kind: str, export_date: date, *, again: bool = False) -> CaptureOutcome:
    """Make sure that a sealed capture of ``kind`` exists for ``export_date``.

    ``again``: ask Drillster anew even where an earlier run's capture still waits to be published, or where events of a
    past date are in the archive. Raises PastDateRefused for a snapshot of a past date without an archive, Refused for
    a date that has not ended, Busy while another process captures the same, and what the walk raises.
    """
    session.require_ended(export_date)
    if (done := _done(session, kind, export_date, again)) is not None:
        return done
    with session.archive.locked(export_date, kind) as check_lock:
        # Another process may have sealed it since the first look.
        done = _done(session, kind, export_date, again)
        return done if done is not None else _walk(session, kind, export_date, check_lock)


def _done(session: PipelineContext, kind: str, export_date: date, again: bool) -> CaptureOutcome | None:
    """The capture that is there and counts; None where one is to be made."""
    newest = session.newest_complete
    if export_date >= newest:
        return None if again else _kept(session, kind, export_date)
    sealed = session.archive.newest_sealed(export_date, kind)
    if sealed is not None and not (again and kind == "events"):
        return CaptureOutcome(sealed, How.REPLAYED)
    if kind == "snapshot":
        raise PastDateRefused(_no_archive(export_date, newest))
    return None


def _no_archive(export_date: date, newest: date) -> str:
    return (
        f"{export_date} was never captured, and Drillster tells only how things are now: storing today's state under "
        f"a past date would forge history. What can still be done: objective events of that date are fetched and "
        f"published (assets drillster/objective_events and warehouse/objective_events); the newest complete date, "
        f"{newest}, can be captured now; a copy of the archive of {export_date}, put back in its place, is replayed"
    )


def _kept(session: PipelineContext, kind: str, export_date: date) -> CaptureOutcome | None:
    """The newest capture of a date that is still open, if it only waits to be published."""
    try:
        sealed = session.archive.newest_sealed(export_date, kind)
    except ContractError as damage:
        logger.warning("Capturing %s anew: %s", export_date, damage)
        return None
    return CaptureOutcome(sealed, How.KEPT) if sealed is not None and _waits(session, sealed) else None


def _waits(session: PipelineContext, sealed: Capture) -> bool:
    """Whether an earlier run captured this date just now, and ended before the night was whole.

    That is: before this capture was published, or before its run was through with everything else.
    """
    if abs(session.now() - utc_moment(sealed.manifest["captured_from"])) > RESUMABLE_FOR:
        return False
    if is_refused(session, sealed.ref):
        return False
    run_id = sealed.manifest.get("run_id")
    if run_id is not None and run_id != session.run_id and not session.ended_well(run_id):
        return True
    try:
        return not session.warehouse.ledger.is_loaded(sealed.capture_id)
    except PipelineError as trouble:
        # What was captured is safe, and whether it was published is the publish's affair.
        logger.info("The warehouse can't say whether the capture was published (%s): it is kept.", trouble)
        return True


def _walk(session: PipelineContext, kind: str, export_date: date, check_lock: LockCheck) -> CaptureOutcome:
    settings = session.settings
    window = (events_window if kind == "events" else day_window)(export_date, settings.timezone)
    purpose = _purpose(session, kind, window)
    writer, how = _writer(session, kind, export_date, purpose, check_lock)
    try:
        manifest = _read(session, kind, export_date, window, writer)
        sealed = writer.seal({**manifest, **purpose})
    except PermissionDenied:
        # Nothing could be read. To go on with it would repeat the refusals, even after the right was given.
        writer.abandon()
        session.archive.remove(writer.ref)
        raise
    except BaseException:
        writer.abandon()
        raise
    return CaptureOutcome(sealed, how)


def _writer(
    session: PipelineContext, kind: str, export_date: date, purpose: dict[str, Any], check_lock: LockCheck
) -> tuple[CaptureWriter, How]:
    """One that goes on with the capture that was interrupted, or one that begins anew."""
    archive = session.archive
    ref = archive.resumable(export_date, kind, purpose, session.now())
    if ref is not None:
        try:
            return archive.resume(ref, check_lock=check_lock), How.RESUMED
        except ArchiveCorrupt as damage:
            logger.warning("The interrupted capture %s can't be gone on with: %s. Beginning anew.", ref.folder, damage)
    return archive.begin(export_date, kind, purpose, session.now(), check_lock=check_lock), How.CAPTURED


def _purpose(session: PipelineContext, kind: str, window: Window) -> dict[str, Any]:
    """What a capture is made of; one that was begun with anything else is not gone on with."""
    settings = session.settings
    key = settings.pseudonym_key
    return {
        "kind": kind,
        "window": {"from": utc_text(window.start), "until": utc_text(window.end)},
        "timezone": settings.timezone.key,
        "source": settings.base_url,
        "organization_id": settings.organization_id,
        "service_account_id": settings.service_account_id,
        "personal_data": settings.personal_data,
        "pseudonym_key_digest": hashlib.sha256(b"drillster-pipeline:" + key.get_secret_value().encode()).hexdigest()[:8]
        if key
        else None,
    }


def _read(
    session: PipelineContext, kind: str, export_date: date, window: Window, writer: CaptureWriter
) -> dict[str, Any]:
    """Walk, and say in a manifest what was met."""
    from drillster_pipeline.api.capture import capture_events, capture_snapshot

    common: dict[str, Any] = {
        "privacy": session.privacy,
        "concurrency": session.settings.concurrency,
        "now": session.now if kind == "events" else _awake(session, export_date),
        "on_progress": session.on_progress,
    }
    started = session.steady()
    with session.client() as client, infrequent_gc():
        if kind == "snapshot":
            result = capture_snapshot(
                client,
                writer,
                organization_id=session.settings.organization_id,
                earlier_groups=groups_before(session, export_date),
                **common,
            )
        else:
            objectives = objectives_on(session, export_date)
            result = capture_events(client, writer, window=window, objectives=objectives, **common)
        seconds = session.steady() - started
        client_stats = client.metrics.snapshot()
    return {
        "export_date": str(export_date),
        "program_version": __version__,
        "run_id": session.run_id,
        "captured_from": utc_text(result.captured_from),
        "captured_until": utc_text(result.captured_until),
        "walk": {
            "seconds": round(seconds, 3),
            "grants": result.grants,
            **{name: value for name, value in client_stats.items() if name != "grants"},
        },
        "groups": result.groups,
        "resources": result.resources,
    }


def _awake(session: PipelineContext, export_date: date) -> Callable[[], datetime]:
    """The clock of a walk over the present, asked before each answer is kept.

    A machine that slept may wake on another day, of which the answers are then: raises PastDateRefused. One whose
    clock is wrong from the start would store them under a date that they are not of: raises Refused.
    """
    started, last = session.now(), session.steady()
    is_checked = False

    def now() -> datetime:
        nonlocal last, is_checked
        if not is_checked:
            _require_same_day(session, export_date, started)
            is_checked = True
        slept, last = session.steady() - last, session.steady()
        if slept > SLEPT_SECONDS and session.newest_complete != export_date:
            raise PastDateRefused(
                f"This machine slept for {slept / 3600:.0f} hours in the middle of the capture of {export_date}, and "
                "what Drillster tells now is of another day: nothing is added to that capture any more. The newest "
                f"complete date, {session.newest_complete}, can be captured now"
            )
        return session.now()

    return now


def _require_same_day(session: PipelineContext, export_date: date, started: datetime) -> None:
    """Raise Refused where the export date is the newest complete one by our clock, but not by Drillster's."""
    skew = session.tokens.skew.ahead if session.tokens.skew else 0.0
    newest = newest_complete(started - timedelta(seconds=skew), session.settings.timezone)
    if abs(skew) > SKEW_SECONDS and newest != export_date:
        raise Refused(
            f"The clock of this machine is {abs(skew) / 3600:.1f} hours {'ahead of' if skew > 0 else 'behind'} "
            f"Drillster's, by which {newest} is the newest date that has ended: what Drillster tells now would be "
            f"stored under {export_date}, which it is not of. Set the clock, then run again"
        )
