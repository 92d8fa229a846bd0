"""Capture, go on, replay or refuse: which of them an export date gets.

Drillster tells only about now, so only the newest complete date can be captured. Events are the exception: they
carry their own dates and can be fetched for any window.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from drillster_pipeline import __version__
from drillster_pipeline.archive import RESUMABLE_FOR, Capture, CaptureWriter, utc_text
from drillster_pipeline.dates import Window, day_window, events_window
from drillster_pipeline.errors import PastDateRefused

from .session import Session

REFUSED_MARK = "refused.json"
"""Beside a manifest whose publish was refused: the next run captures again instead of publishing the same."""


class How(StrEnum):
    """How a date came to its capture."""

    CAPTURED = "captured"
    RESUMED = "resumed"
    REPLAYED = "replayed"
    KEPT = "kept"
    """Captured by an earlier run that ended before it was published."""


@dataclass(frozen=True, slots=True)
class CaptureOutcome:
    """The capture that counts for a date and kind now, and how it came about."""

    capture: Capture
    how: How

    @property
    def asked(self) -> bool:
        """Whether Drillster was asked anything."""
        return self.how in {How.CAPTURED, How.RESUMED}


def capture(session: Session, kind: str, export_date: date, *, again: bool = False) -> CaptureOutcome:
    """Make sure that a sealed capture of ``kind`` exists for ``export_date``.

    ``again``: capture anew even where an earlier run's capture still waits to be published. Raises PastDateRefused
    for a snapshot of a past date without an archive, Refused for a date that has not ended, Busy while another
    process captures the same, and what the walk raises.
    """
    newest = session.newest_complete
    session.require_ended(export_date)
    sealed = session.archive.newest_sealed(export_date, kind)
    if export_date < newest:
        if sealed is not None:
            return CaptureOutcome(sealed, How.REPLAYED)
        if kind == "snapshot":
            raise PastDateRefused(_no_archive(export_date, newest))
    elif sealed is not None and not again and _waits(session, sealed):
        return CaptureOutcome(sealed, How.KEPT)
    with session.archive.locked(export_date, kind):
        return _walk(session, kind, export_date)


def _no_archive(export_date: date, newest: date) -> str:
    return (
        f"{export_date} was never captured, and Drillster tells only how things are now: storing today's state under "
        f"a past date would forge history. What can still be done: objective events of that date are fetched and "
        f"published (assets drillster/objective_events and warehouse/objective_events); the newest complete date, "
        f"{newest}, can be captured now; a copy of the archive of {export_date}, put back in its place, is replayed"
    )


def _waits(session: Session, sealed: Capture) -> bool:
    """Whether an earlier run captured this date just now, and ended before it was published."""
    if session.now() - sealed.ref.started_at > RESUMABLE_FOR:
        return False
    if REFUSED_MARK in session.archive.storage.names(sealed.ref.folder):
        return False
    return not session.warehouse.is_loaded(sealed.capture_id)


def mark_refused(session: Session, refused: Capture) -> None:
    """Note that a capture was judged unfit, so that it is not taken for one that only waits."""
    session.archive.storage.write(f"{refused.ref.folder}/{REFUSED_MARK}", b"{}")


def _walk(session: Session, kind: str, export_date: date) -> CaptureOutcome:
    settings = session.settings
    window = (events_window if kind == "events" else day_window)(export_date, settings.timezone)
    purpose = _purpose(session, kind, window)
    resumable = session.archive.resumable(export_date, kind, purpose, session.now())
    if resumable is None:
        writer = session.archive.begin(export_date, kind, purpose, session.now())
    else:
        writer = session.archive.resume(resumable)
    try:
        manifest = _read(session, kind, export_date, window, writer)
    except BaseException:
        writer.abandon()
        raise
    sealed = writer.seal({**manifest, **purpose})
    return CaptureOutcome(sealed, How.CAPTURED if resumable is None else How.RESUMED)


def _purpose(session: Session, kind: str, window: Window) -> dict[str, Any]:
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
        "pseudonym_key_digest": hashlib.sha256(b"drillster-pipeline:" + key.reveal().encode()).hexdigest()[:8]
        if key
        else None,
    }


def _read(session: Session, kind: str, export_date: date, window: Window, writer: CaptureWriter) -> dict[str, Any]:
    """Walk, and say in a manifest what was met."""
    from drillster_pipeline.api.capture import capture_events, capture_snapshot

    common: dict[str, Any] = {
        "privacy": session.privacy,
        "concurrency": session.settings.concurrency,
        "now": session.now,
        "on_progress": session.on_progress,
    }
    started = session.now()
    with session.client() as client:
        if kind == "snapshot":
            result = capture_snapshot(
                client,
                writer,
                organization_id=session.settings.organization_id,
                earlier_groups=_groups_before(session, export_date),
                **common,
            )
        else:
            objectives = _objectives_on(session, export_date)
            result = capture_events(client, writer, window=window, objectives=objectives, **common)
        finished = session.now()
        client_stats = client.stats.snapshot()
    return {
        "export_date": str(export_date),
        "program_version": __version__,
        "captured_from": utc_text(result.captured_from),
        "captured_until": utc_text(result.captured_until),
        "walk": {
            "seconds": round(_seconds(started, finished), 3),
            "grants": result.grants,
            **{name: value for name, value in client_stats.items() if name != "grants"},
        },
        "groups": {
            "listed": result.listed_groups,
            "closed": result.closed_groups,
            "gone": result.gone_groups,
        },
        "resources": result.resources,
    }


def _seconds(started: datetime, finished: datetime) -> float:
    return max(0.0, (finished - started).total_seconds())


def _groups_before(session: Session, export_date: date) -> set[str]:
    """The groups that the capture before this date knew, whether it could read them or not."""
    before = session.archive.newest_sealed_before(export_date, "snapshot")
    if before is None:
        return set()
    groups = before.manifest["groups"]
    return (set(groups["listed"]) - set(groups["gone"])) | set(groups["closed"])


def _objectives_on(session: Session, export_date: date) -> set[tuple[str, str]] | None:
    """Group and objective ids in the snapshot of the date; None where it has none, or could not read objectives."""
    snapshot = session.archive.newest_sealed(export_date, "snapshot")
    if snapshot is None or snapshot.manifest["resources"]["objectives"]["status"] != "captured":
        return None
    from drillster_pipeline.answers import items

    return {
        (line.unit["group_id"], objective["id"])
        for line in snapshot.pages("objectives")
        for objective in items("objectives", line.body)
        if isinstance(objective, dict) and isinstance(objective.get("id"), str) and objective["id"]
    }
