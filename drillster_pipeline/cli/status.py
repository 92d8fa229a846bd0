"""`status`: what is in the warehouse and in the archive, and how old it is. It only looks, and makes nothing."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from drillster_pipeline.archive import KINDS
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.pipeline.gaps import FETCHED_FOR, State, find_gaps

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.context import PipelineContext
    from drillster_pipeline.warehouse import EffectiveLoad

MOST_GAPS = 12
_REMEDIES = {
    State.NEVER_CAPTURED: "can't be had any more, unless a copy of that date's archive is put back",
    State.NOT_FETCHED: f"the sensor missing_events, or the next drillster-pipeline run, fetches those of the last "
    f"{FETCHED_FOR.days} days; for older ones launch a backfill of the job events",
    State.UNPUBLISHED: "launch a backfill of these dates, or for each: drillster-pipeline run --date DATE",
    State.REFUSED: "the failed run says why; if it is right: drillster-pipeline run --date DATE --allow-mass-delete",
    State.UNEXAMINED: "not examined any closer; launch a backfill of these dates to publish what was captured",
}


def show_status(console: Console, session: PipelineContext, *, nights: int = 14) -> PipelineError | None:
    """Print it; gives the first error, if warehouse or archive could not be looked at. The other is shown then."""
    loads: list[EffectiveLoad] | None = None
    trouble = None
    try:
        loads, published = _loads(session, nights)
        _show_newest(console, session, loads)
    except PipelineError as error:
        trouble = error
        console.print(f"[red]✗[/] The warehouse can't be shown. {_plain(error)}", highlight=False)
        published = 0
    console.print()
    try:
        _show_dates(console, session, loads, nights, published)
        if loads:
            _show_gaps(console, session)
    except PipelineError as error:
        trouble = trouble or error
        console.print(f"[red]✗[/] The archive can't be shown. {_plain(error)}", highlight=False)
    return trouble


def _plain(error: PipelineError) -> str:
    return str(error).replace("[", "\\[")


def _loads(session: PipelineContext, nights: int) -> tuple[list[EffectiveLoad], int]:
    from drillster_pipeline.warehouse.inspection import Inspection

    settings = session.settings
    with Inspection(settings.warehouse_url.get_secret_value(), schema=settings.warehouse_schema) as inspection:
        return inspection.loaded(max(nights, 1))


def _show_newest(console: Console, session: PipelineContext, loads: list[EffectiveLoad]) -> None:
    newest, now = session.newest_complete, session.now()
    if not loads:
        console.print(
            "Nothing is in the warehouse yet: [bold]drillster-pipeline run[/] fills it. If it was filled before, look "
            "at DRILLSTER_WAREHOUSE_URL and DRILLSTER_WAREHOUSE_SCHEMA: what they name is empty, or not there.",
            highlight=False,
        )
        return
    table = Table(title="Data as of", title_justify="left", show_edge=False)
    for heading in ("kind", "export date", "published (UTC)", "age"):
        table.add_column(heading, no_wrap=True)
    for heading in ("rows", "rejects"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("complete")
    told = []
    for kind in KINDS:
        load = next((load for load in loads if load.kind == kind), None)
        if load is None:
            table.add_row(kind, *["-"] * 6)
            told.append(f"No {kind} is loaded yet.")
            continue
        if load.export_date < newest:
            told.append(f"{newest} has ended, and its {kind} is missing: drillster-pipeline run brings it.")
        if not load.is_complete:
            told.append(f"The {kind} is not complete: the checks of its run in Dagster name what is missing.")
        table.add_row(
            kind,
            f"[{'green' if load.export_date >= newest else 'yellow'}]{load.export_date}[/]",
            f"{load.finished_at:%Y-%m-%d %H:%M}",
            _age(now, load.finished_at),
            f"{load.rows_read:,}",
            f"[yellow]{load.rows_rejected:,}[/]" if load.rows_rejected else "0",
            "yes" if load.is_complete else "[yellow]no[/]",
        )
    console.print(table)
    for sentence in told:
        console.print(sentence, style="yellow", highlight=False)


def _show_dates(
    console: Console, session: PipelineContext, loads: list[EffectiveLoad] | None, nights: int, published: int
) -> None:
    captured = session.archive.dates()
    dates = sorted({*captured, *(load.export_date for load in loads or ())}, reverse=True)
    if not dates:
        console.print("The archive is empty.", highlight=False)
        return
    number = max(len(dates), published)
    title = f"The newest {nights} of {number} dates" if number > nights else f"{number} date{'s' * (number > 1)}"
    table = Table(title=title, title_justify="left", show_edge=False)
    for heading in ("export date", "in the archive", "unfinished", "in the warehouse"):
        table.add_column(heading, no_wrap=True)
    for day in dates[:nights]:
        captures = session.archive.captures(day) if day in captured else []
        unfinished = sum(not ref.sealed for ref in captures)
        table.add_row(
            str(day),
            _listed({ref.kind for ref in captures if ref.sealed}),
            str(unfinished) if unfinished else "",
            "[dim]not known[/]" if loads is None else _listed({one.kind for one in loads if one.export_date == day}),
        )
    console.print(table)


def _show_gaps(console: Console, session: PipelineContext) -> None:
    ranges: list[tuple[date, date, dict[str, State]]] = []  # the newest first
    for day, known in reversed(find_gaps(session).items()):
        if ranges and ranges[-1][0] == day + timedelta(days=1) and ranges[-1][2] == known:
            ranges[-1] = (day, *ranges[-1][1:])
        else:
            ranges.append((day, day, known))
    if not ranges:
        return
    shown = ranges[:MOST_GAPS]
    title = f"Gaps, the newest {MOST_GAPS} of {len(ranges)}" if len(ranges) > MOST_GAPS else "Gaps"
    table = Table("export dates", *KINDS, title=title, title_justify="left", show_edge=False)
    for first, last, known in shown:
        states = (part if part is State.PUBLISHED else f"[yellow]{part}[/]" for part in known.values())
        table.add_row(str(first) if first == last else f"{first} to {last}", *states)
    console.print()
    console.print(table)
    for state in sorted({part for *_, known in shown for part in known.values()} & _REMEDIES.keys()):
        console.print(f"{state}: {_REMEDIES[state]}.", style="yellow", highlight=False)


def _listed(kinds: set[str]) -> str:
    return ", ".join(kind for kind in KINDS if kind in kinds) or "[yellow]no[/]"


def _age(now: datetime, moment: datetime) -> str:
    age = max(now - moment, timedelta(0))
    hours = age.total_seconds() / 3600
    if hours < 1:
        return f"{age.total_seconds() / 60:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
