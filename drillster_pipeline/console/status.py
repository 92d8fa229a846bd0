"""`status`: what is in the warehouse and in the archive, and how old it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from drillster_pipeline.export.session import Session

KINDS = ("snapshot", "events")


def show_status(console: Console, session: Session, *, nights: int = 14) -> bool:
    """Print it; True if the newest complete date is in the warehouse."""
    newest = session.newest_complete
    latest = session.warehouse.latest_loads()
    loads = Table(title="Data as of", title_justify="left", show_edge=False)
    for heading in ("kind", "export date", "published", "age", ""):
        loads.add_column(heading)
    for kind in KINDS:
        if kind in latest:
            load = latest[kind]
            fresh = load.export_date >= newest
            loads.add_row(
                kind,
                str(load.export_date),
                f"{load.finished_at:%Y-%m-%d %H:%M} UTC",
                _age(datetime.now(UTC) - load.finished_at),
                "[green]newest[/]" if fresh else f"[yellow]{newest} has ended and is not in the warehouse[/]",
            )
        else:
            loads.add_row(kind, "-", "-", "-", "[yellow]nothing loaded yet[/]")
    console.print(loads)
    console.print()
    _show_archive(console, session, nights)
    return all(kind in latest and latest[kind].export_date >= newest for kind in KINDS)


def _show_archive(console: Console, session: Session, nights: int) -> None:
    dates = session.archive.dates()
    table = Table(title=f"Archive: the last {nights} of {len(dates)} dates", title_justify="left", show_edge=False)
    for heading in ("export date", *KINDS, "unfinished"):
        table.add_column(heading)
    for day in reversed(dates[-nights:]):
        captures = session.archive.captures(day)
        sealed = {kind: sum(ref.sealed and ref.kind == kind for ref in captures) for kind in KINDS}
        open_ones = sum(not ref.sealed for ref in captures)
        table.add_row(
            str(day),
            *(f"{sealed[kind]} sealed" if sealed[kind] else "[yellow]none[/]" for kind in KINDS),
            str(open_ones) if open_ones else "",
        )
    console.print(table)


def _age(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    if hours < 1:
        return f"{age.total_seconds() / 60:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
