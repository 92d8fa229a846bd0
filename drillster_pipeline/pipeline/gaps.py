"""Dates without data: which they are, why, what can still be done about them, and whether the newest one is overdue."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum

from drillster_pipeline.archive.archive import KINDS
from drillster_pipeline.dates import STALE_AFTER, midnight

from .context import PipelineContext
from .guard import is_refused

FETCHED_FOR = timedelta(days=31)
"""How far back missing events are fetched automatically: Drillster answers for any past date, older ones on request."""
MOST_EXAMINED = 60
"""Dates, the newest, that are read in the archive one by one; an object store takes some requests for each."""


class GapState(StrEnum):
    """What is known of one kind of data on one date."""

    PUBLISHED = "yes"
    NEVER_CAPTURED = "never captured"
    NOT_FETCHED = "not fetched"
    UNPUBLISHED = "captured, not published"
    REFUSED = "refused"
    UNEXAMINED = "in the archive"


def find_gaps(context: PipelineContext, *, since: date = date.min) -> dict[date, dict[str, GapState]]:
    """The dates without all of their data, the oldest first, with what is known of each kind.

    They are between the oldest published date (not before ``since``) and the newest complete one, which is not among
    them. Reads the ledger, and the archive's folders of dates that have a gap; creates nothing. Raises PipelineError
    where one of them can't be read.
    """
    with context.inspection() as inspection:
        published = inspection.published()
    start = max(since, min((day for day, _ in published), default=context.newest_complete))
    days = [start + timedelta(days=number) for number in range((context.newest_complete - start).days)]
    missing = [day for day in days if not published.issuperset((day, kind) for kind in KINDS)]
    archived = sorted({*missing}.intersection(context.archive.dates())) if missing else []
    examined = {day: context.archive.captures(day) for day in archived[-MOST_EXAMINED:]}

    def state(day: date, kind: str) -> GapState:
        if (day, kind) in published:
            return GapState.PUBLISHED
        if day in examined:
            if sealed := [ref for ref in examined[day] if ref.kind == kind and ref.sealed]:
                return GapState.REFUSED if is_refused(context, sealed[-1]) else GapState.UNPUBLISHED
        elif day in archived:
            return GapState.UNEXAMINED
        return GapState.NOT_FETCHED if kind == "events" else GapState.NEVER_CAPTURED

    return {day: {kind: state(day, kind) for kind in KINDS} for day in missing}


def missing_events(context: PipelineContext) -> list[date]:
    """Dates of the last 31 days whose events can be fetched or published and were not, the oldest first."""
    since = max(context.settings.first_export_date, context.newest_complete - FETCHED_FOR)
    gaps = find_gaps(context, since=since)
    return [day for day, known in gaps.items() if known["events"] in {GapState.NOT_FETCHED, GapState.UNPUBLISHED}]


def expected_date(context: PipelineContext, *, pending: date | None = None) -> date | None:
    """The newest date that should be in the warehouse by now; None where none is due yet.

    ``pending`` is a date that a run is about to load, or has just failed to, and so is not missed.
    """
    settings, newest = context.settings, context.newest_complete
    since_midnight = timedelta(hours=settings.nightly_at.hour, minutes=settings.nightly_at.minute)
    due = midnight(newest + timedelta(days=1), settings.timezone) + since_midnight + STALE_AFTER
    expected = newest if context.now() >= due and pending != newest else newest - timedelta(days=1)
    return expected if expected >= settings.first_export_date else None


def why_stale(context: PipelineContext, expected: date) -> str | None:
    """Why the warehouse is stale, as neither that date nor a later one is in it; None where one is.

    Raises PipelineError where the warehouse can't be read.
    """
    latest = context.warehouse.ledger.latest_loads().get("snapshot")
    if latest is not None and latest.export_date >= expected:
        return None
    if latest is None and expected != context.newest_complete:
        return None  # perhaps installed today: the first run is not due yet
    found = f"The newest complete load describes {latest.export_date}" if latest else "No load is complete yet"
    return f"{found}. See the run of the job 'nightly' for {expected}."
