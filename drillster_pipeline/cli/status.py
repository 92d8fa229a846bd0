"""`status`: what is in the warehouse and in the archive, and how old it is. It only reads."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from drillster_pipeline.archive.archive import KINDS
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.formatting import count, duration
from drillster_pipeline.pipeline.gaps import FETCHED_FOR, GapState, find_gaps

from .rendering import escape, table

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.context import PipelineContext
    from drillster_pipeline.warehouse.ledger import EffectiveLoad

MOST_GAPS = 12
_REMEDIES = {
    GapState.NEVER_CAPTURED: "can't be had any more, unless a copy of that date's archive is put back",
    GapState.NOT_FETCHED: f"the sensor missing_events, or the next drillster-pipeline run, fetches those of the last "
    f"{FETCHED_FOR.days} days; for older ones launch a backfill of the job events",
    GapState.UNPUBLISHED: "launch a backfill of these dates, or for each: drillster-pipeline run --date DATE",
    GapState.REFUSED: "the failed run says why; if it is right: drillster-pipeline run --date DATE --allow-mass-delete",
    GapState.UNEXAMINED: "not examined any closer; launch a backfill of these dates to publish what was captured",
}


def show_status(console: Console, context: PipelineContext, *, nights: int = 14) -> PipelineError | None:
    """Print it; returns the first error, if warehouse or archive could not be read. The other is shown then."""
    loads: list[EffectiveLoad] | None = None
    first_error, published = None, 0
    try:
        with context.inspection() as inspection:
            loads, published = inspection.loaded(nights)
        _show_newest(console, context, loads)
    except PipelineError as error:
        first_error = error
        console.print(f"[red]✗[/] The warehouse can't be shown. {escape(str(error))}")
    console.print()
    try:
        _show_dates(console, context, loads, nights, published)
        if loads:
            _show_gaps(console, context)
    except PipelineError as error:
        first_error = first_error or error
        console.print(f"[red]✗[/] The archive can't be shown. {escape(str(error))}")
    return first_error


def _show_newest(console: Console, context: PipelineContext, loads: list[EffectiveLoad]) -> None:
    newest, now = context.newest_complete, context.now()
    if not loads:
        console.print(
            "Nothing is in the warehouse yet: [bold]drillster-pipeline run[/] fills it. If it was filled before, check "
            "DRILLSTER_WAREHOUSE_URL and DRILLSTER_WAREHOUSE_SCHEMA: what they name is empty, or does not exist."
        )
        return
    found = table("Data as of", "kind", "export date", "published (UTC)", "age", "rows>", "rejects>", "complete")
    notes = []
    for kind in KINDS:
        load = next((load for load in loads if load.kind == kind), None)
        if load is None:
            found.add_row(kind, *["-"] * 6)
            notes.append(f"No {kind} is loaded yet.")
            continue
        if load.export_date < newest:
            notes.append(f"{newest} has ended, and its {kind} is missing: drillster-pipeline run brings it.")
        if not load.is_complete:
            notes.append(f"The {kind} is not complete: the checks of its run in Dagster name what is missing.")
        found.add_row(
            kind,
            f"[{'green' if load.export_date >= newest else 'yellow'}]{load.export_date}[/]",
            f"{load.finished_at:%Y-%m-%d %H:%M}",
            duration(max(0.0, (now - load.finished_at).total_seconds())),
            count(load.rows_read),
            f"[yellow]{count(load.rows_rejected)}[/]" if load.rows_rejected else "0",
            "yes" if load.is_complete else "[yellow]no[/]",
        )
    console.print(found)
    for sentence in notes:
        console.print(sentence, style="yellow")


def _show_dates(
    console: Console, context: PipelineContext, loads: list[EffectiveLoad] | None, nights: int, published: int
) -> None:
    captured = context.archive.dates()
    dates = sorted({*captured, *(load.export_date for load in loads or ())}, reverse=True)
    if not dates:
        console.print("The archive is empty.")
        return
    number = max(len(dates), published)
    title = f"The newest {nights} of {number} dates" if number > nights else count(number, "date")
    found = table(title, "export date", "in the archive", "unfinished", "in the warehouse")
    for day in dates[:nights]:
        captures = context.archive.captures(day) if day in captured else []
        unfinished = sum(not ref.sealed for ref in captures)
        found.add_row(
            str(day),
            _listed({ref.kind for ref in captures if ref.sealed}),
            str(unfinished) if unfinished else "",
            "[dim]not known[/]" if loads is None else _listed({one.kind for one in loads if one.export_date == day}),
        )
    console.print(found)


def _show_gaps(console: Console, context: PipelineContext) -> None:
    ranges: list[tuple[date, date, dict[str, GapState]]] = []  # the newest first
    for day, known in reversed(find_gaps(context).items()):
        if ranges and ranges[-1][0] == day + timedelta(days=1) and ranges[-1][2] == known:
            ranges[-1] = (day, *ranges[-1][1:])
        else:
            ranges.append((day, day, known))
    if not ranges:
        return
    shown = ranges[:MOST_GAPS]
    title = f"Gaps, the newest {MOST_GAPS} of {len(ranges)}" if len(ranges) > MOST_GAPS else "Gaps"
    found = table(title, "export dates", *KINDS)
    for first, last, known in shown:
        states = (part if part is GapState.PUBLISHED else f"[yellow]{part}[/]" for part in known.values())
        found.add_row(str(first) if first == last else f"{first} to {last}", *states)
    console.print()
    console.print(found)
    for state in sorted({part for *_, known in shown for part in known.values()} & _REMEDIES.keys()):
        console.print(f"{state}: {_REMEDIES[state]}.", style="yellow")


def _listed(kinds: set[str]) -> str:
    return ", ".join(kind for kind in KINDS if kind in kinds) or "[yellow]no[/]"
