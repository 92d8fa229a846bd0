"""Dates without data: which they are, why, and what can still be done about them."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum

from drillster_pipeline.archive import KINDS

from .context import PipelineContext
from .guard import is_refused

FETCHED_FOR = timedelta(days=31)
"""How far back missing events are fetched by themselves: Drillster answers for any past date, older ones on request."""
MOST_EXAMINED = 60
"""Dates that the archive is asked about one by one, the newest ones; an object store takes some requests for each."""


class State(StrEnum):
    """What is known of one kind of data on one date."""

    PUBLISHED = "yes"
    NEVER_CAPTURED = "never captured"
    NOT_FETCHED = "not fetched"
    UNPUBLISHED = "captured, not published"
    REFUSED = "refused"
    UNEXAMINED = "in the archive"


def find_gaps(session: PipelineContext, *, since: date = date.min) -> dict[date, dict[str, State]]:
    """The dates without all of their data, the oldest first, with what is known of each kind.

    They are between the oldest published date (not before ``since``) and the newest complete one, which is not among
    them. Reads the ledger, and the archive's folders of dates that have a gap; makes nothing that is not there. Raises
    PipelineError where one of them can't be read.
    """
    from drillster_pipeline.warehouse.inspection import Inspection

    settings = session.settings
    with Inspection(settings.warehouse_url.get_secret_value(), schema=settings.warehouse_schema) as inspection:
        published = inspection.published()
    start = max(since, min((day for day, _ in published), default=session.newest_complete))
    days = [start + timedelta(days=number) for number in range((session.newest_complete - start).days)]
    missing = [day for day in days if not published.issuperset((day, kind) for kind in KINDS)]
    archived = sorted({*missing}.intersection(session.archive.dates())) if missing else []
    examined = {day: session.archive.captures(day) for day in archived[-MOST_EXAMINED:]}

    def state(day: date, kind: str) -> State:
        if (day, kind) in published:
            return State.PUBLISHED
        if day in examined:
            if sealed := [ref for ref in examined[day] if ref.kind == kind and ref.sealed]:
                return State.REFUSED if is_refused(session, sealed[-1]) else State.UNPUBLISHED
        elif day in archived:
            return State.UNEXAMINED
        return State.NOT_FETCHED if kind == "events" else State.NEVER_CAPTURED

    return {day: {kind: state(day, kind) for kind in KINDS} for day in missing}


def missing_events(session: PipelineContext) -> list[date]:
    """Dates of the last 31 days whose events can be fetched or published and were not, the oldest first."""
    since = max(session.settings.first_export_date, session.newest_complete - FETCHED_FOR)
    gaps = find_gaps(session, since=since)
    return [day for day, known in gaps.items() if known["events"] in {State.NOT_FETCHED, State.UNPUBLISHED}]
