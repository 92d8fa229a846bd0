"""Upkeep of archive and warehouse: what may go, and what never goes.

Captures of dates older than ``DRILLSTER_ARCHIVE_DAYS`` go, counted from the newest date that was captured: where nights
stopped, or the clock of the machine is years ahead, what there is stays. Of a younger date, only an unfinished capture
goes that can no longer be resumed and beside which a sealed one of its kind exists: the only capture of a date is never
removed, and neither is one that is being made.

Rows of snapshot tables are kept for ever, unless ``DRILLSTER_SNAPSHOT_DAYS`` says for how many days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice

from drillster_pipeline.archive import RESUMABLE_FOR, CaptureRef
from drillster_pipeline.errors import Busy

from .context import PipelineContext


@dataclass(frozen=True, slots=True)
class PruneOutcome:
    """What was removed."""

    captures: tuple[CaptureRef, ...]
    kept_month_ends: tuple[date, ...]
    """Dates that would have gone, but for being the last of their month that has a capture."""
    before: date
    """Dates before this one are old."""
    snapshot_rows: Mapping[str, int]
    """Rows that went from each snapshot table."""
    snapshots_before: date | None
    """Snapshots of dates before this one are old; None: none are."""


def prune(session: PipelineContext, *, keep_month_ends: bool = False, dry_run: bool = False) -> PruneOutcome:
    """Remove what may go; with ``dry_run`` only say what that is.

    ``keep_month_ends``: as if DRILLSTER_KEEP_MONTH_ENDS said so. Raises Unavailable where the storage gives out, Busy
    where the warehouse is in use.
    """
    dates = session.archive.dates()
    newest = min([session.newest_complete, *_newest_captured(session, dates)])
    before = newest - timedelta(days=session.settings.archive_days)
    kept = _month_ends(session, dates, before) if keep_month_ends or session.settings.keep_month_ends else set()
    doomed: list[CaptureRef] = []
    for day in dates:
        if day in kept:
            continue
        captures = session.archive.captures(day)
        doomed += captures if day < before else _left_behind(session, captures)
    if not dry_run:
        session.archive.storage.finish_removals()
        doomed = [ref for ref in doomed if _removed(session, ref)]
        # Also dates that an earlier prune has emptied, and then was cut short.
        for day in {*(ref.export_date for ref in doomed), *(day for day in dates if day < before)}:
            session.archive.remove_if_empty(day)
    oldest = _oldest_snapshot(session)
    rows = session.warehouse.drop_snapshots(oldest) if oldest is not None and not dry_run else {}
    return PruneOutcome(tuple(doomed), tuple(sorted(kept)), before, rows, oldest)


def _newest_captured(session: PipelineContext, dates: list[date]) -> Iterator[date]:
    """The newest date with a sealed capture, if there is one."""
    sealed = (day for day in reversed(dates) if any(ref.sealed for ref in session.archive.captures(day)))
    yield from islice(sealed, 1)


def _oldest_snapshot(session: PipelineContext) -> date | None:
    """The oldest date to keep, counted from the newest that is there: where nights stopped, what there is stays."""
    days = session.settings.snapshot_days
    newest = None if days is None else session.warehouse.ledger.latest_loads().get("snapshot")
    return None if days is None or newest is None else newest.export_date - timedelta(days=days)


def _removed(session: PipelineContext, ref: CaptureRef) -> bool:
    """Remove a capture, unless somebody is at work on captures of its date and kind: then a later prune does."""
    try:
        with session.archive.locked(ref.export_date, ref.kind):
            if not ref.sealed and any(ref.capture_id == now.capture_id and now.sealed for now in _same(session, ref)):
                return False  # finished since it was looked at
            session.archive.remove(ref)
    except Busy:
        return False
    return True


def _same(session: PipelineContext, ref: CaptureRef) -> list[CaptureRef]:
    return session.archive.captures(ref.export_date, ref.kind)


def _month_ends(session: PipelineContext, dates: list[date], before: date) -> set[date]:
    """Per month, the last old date with a sealed snapshot."""
    last: dict[tuple[int, int], date] = {}
    for day in dates:
        if day < before and any(ref.sealed and ref.kind == "snapshot" for ref in session.archive.captures(day)):
            last[(day.year, day.month)] = day
    return set(last.values())


def _left_behind(session: PipelineContext, captures: list[CaptureRef]) -> list[CaptureRef]:
    """Unfinished captures that nothing will come of."""
    sealed_kinds = {ref.kind for ref in captures if ref.sealed}
    return [
        ref
        for ref in captures
        if not ref.sealed and ref.kind in sealed_kinds and session.now() - ref.started_at > RESUMABLE_FOR
    ]
