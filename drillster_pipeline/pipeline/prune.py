"""Maintenance of archive and warehouse: what is removed, and what never is.

Captures of dates older than ``DRILLSTER_ARCHIVE_DAYS`` are removed, counted from the newest captured date: where runs
stopped, or the clock of the machine is years ahead, everything stays. Of a younger date, only an unfinished capture
is removed that can no longer be resumed and beside which a sealed one of its kind exists: the only capture of a date is
never removed, and neither is one that is being made.

Rows of snapshot tables are kept for ever, unless ``DRILLSTER_SNAPSHOT_DAYS`` sets a number of days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from drillster_pipeline.archive.archive import RESUMABLE_FOR
from drillster_pipeline.archive.captures import CaptureRef
from drillster_pipeline.errors import Busy

from .context import PipelineContext
from .timestamps import stamp_all


@dataclass(frozen=True, slots=True)
class PruneOutcome:
    """What was removed."""

    captures: tuple[CaptureRef, ...]
    kept_month_ends: tuple[date, ...]
    """Dates that were kept as the last ones of their month that have a capture."""
    before: date
    """Dates before this one are old."""
    snapshot_rows: Mapping[str, int]
    """Rows that were removed from each snapshot table."""
    snapshots_before: date | None
    """Snapshots of dates before this one are old; None: none are."""


def prune(context: PipelineContext, *, keep_month_ends: bool = False, dry_run: bool = False) -> PruneOutcome:
    """Remove what is too old; with ``dry_run`` only return what that is.

    ``keep_month_ends``: as DRILLSTER_KEEP_MONTH_ENDS=yes. Raises Unavailable where the storage fails, Busy where the
    warehouse is in use.
    """
    dates = context.archive.dates()
    captured = (day for day in reversed(dates) if any(ref.sealed for ref in context.archive.captures(day)))
    before = min(context.newest_complete, next(captured, date.max)) - timedelta(days=context.settings.archive_days)
    kept = _month_ends(context, dates, before) if keep_month_ends or context.settings.keep_month_ends else set()
    removed: list[CaptureRef] = []
    for day in dates:
        if day in kept:
            continue
        captures = context.archive.captures(day)
        removed += captures if day < before else _abandoned(context, captures)
    if not dry_run:
        context.archive.storage.finish_removals()
        removed = [ref for ref in removed if _removed(context, ref)]
        # Also dates that an earlier prune has emptied, and then was cut short.
        for day in {*(ref.export_date for ref in removed), *(day for day in dates if day < before)}:
            context.archive.remove_if_empty(day)
        stamp_all(context)
    oldest = _oldest_snapshot(context)
    rows = context.warehouse.drop_snapshots(oldest) if oldest is not None and not dry_run else {}
    return PruneOutcome(tuple(removed), tuple(sorted(kept)), before, rows, oldest)


def _oldest_snapshot(context: PipelineContext) -> date | None:
    """The oldest date to keep, counted from the newest in the warehouse: where runs stopped, everything stays."""
    days = context.settings.snapshot_days
    newest = None if days is None else context.warehouse.ledger.latest_loads().get("snapshot")
    return None if days is None or newest is None else newest.export_date - timedelta(days=days)


def _removed(context: PipelineContext, ref: CaptureRef) -> bool:
    """Remove a capture, unless another process works on captures of its date and kind: then a later prune does."""
    try:
        with context.archive.locked(ref.export_date, ref.kind):
            if ref not in context.archive.captures(ref.export_date, ref.kind):
                return False  # sealed since it was listed
            context.archive.remove(ref)
    except Busy:
        return False
    return True


def _month_ends(context: PipelineContext, dates: list[date], before: date) -> set[date]:
    """Per month, the last old date with a sealed snapshot."""
    old = (
        day for day in dates if day < before and any(ref.sealed for ref in context.archive.captures(day, "snapshot"))
    )
    return set({(day.year, day.month): day for day in old}.values())


def _abandoned(context: PipelineContext, captures: list[CaptureRef]) -> list[CaptureRef]:
    """Unfinished captures that can no longer be resumed."""
    sealed_kinds = {ref.kind for ref in captures if ref.sealed}
    return [
        ref
        for ref in captures
        if not ref.sealed and ref.kind in sealed_kinds and context.now() - ref.started_at > RESUMABLE_FOR
    ]
