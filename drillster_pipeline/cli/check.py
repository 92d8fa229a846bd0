"""`check`: the diagnostics, for a person or a program, and in a file for others."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drillster_pipeline.diagnostics import Diagnostics, Item, Part, Status, write_bundle
from drillster_pipeline.formatting import count, duration

from .rendering import console, progress_display

if TYPE_CHECKING:
    from drillster_pipeline.diagnostics import DiagnosticsReport
    from drillster_pipeline.organization import Organization

INTERRUPTED = 130
_TITLES = {Part.ESTIMATE: "Estimate of a run", Part.OPERATION: "Schedule, reports and alerts"}
"""Of parts that are called otherwise than their names."""
_STYLES = {
    Status.OK: ("✓", "green", "ok"),
    Status.WARNING: ("!", "yellow", "to look at"),
    Status.FAILED: ("✗", "red", "failed"),
    Status.SKIPPED: ("-", "dim", "not tried"),
}


def run_check(form: str, organization: Organization, *, bundle: Path | None, send_alert: bool) -> int:
    """Try everything, print it as ``table`` or ``json``; returns the exit code of the first failure, or 0."""
    from drillster_pipeline.orchestration.home import describe_home

    diagnostics = Diagnostics(
        environ=organization.environ(), empty=organization.empty, daemon=describe_home, send_alert=send_alert
    )
    report = diagnostics.report
    errors = console(stderr=True)
    is_watched = form == "table" and errors.is_terminal
    try:
        with progress_display(errors, "checking") if is_watched else nullcontext(lambda _: None) as show:
            diagnostics.run(show)
    except KeyboardInterrupt:
        pass
    if form == "json":
        click.echo(json.dumps(report.as_json(), indent=1))
    else:
        print_report(console(), report)
    if bundle is not None:
        try:
            write_bundle(bundle, report, diagnostics.environ, diagnostics.settings)
        except OSError as problem:
            message = f"{bundle} can't be written ({problem.strerror}): choose another --bundle"
            raise click.ClickException(message) from None
        click.echo(
            f"Wrote {bundle}: it has no secret and no value of a response. Read it before you send it.", err=True
        )
    return report.exit_code if report.is_complete else INTERRUPTED


def print_report(console: Console, report: DiagnosticsReport) -> None:
    """Print the items part by part, and the verdict."""
    for part in Part:
        if items := [item for item in report.items if item.part is part]:
            console.print(Text(_TITLES.get(part, part.capitalize()), style="bold"))
            console.print(Padding(_table(items, console.width), (0, 0, 1, 1)))
    numbers = {status: sum(item.status is status for item in report.items) for status in Status}
    counts = ", ".join(f"{number} {_STYLES[status][2]}" for status, number in numbers.items() if number)
    console.print(Text(f"{counts}; {count(report.requests, 'request')}, {duration(report.seconds)}.", style="dim"))
    if not report.is_complete:
        console.print("Interrupted: the steps after these were not tried.", style="yellow")
    elif report.verdict is Status.FAILED:
        console.print("Fix the items marked ✗, then run check again.", style="red")
    elif report.verdict is Status.WARNING:
        console.print("It works; look at the items marked !. Ready: drillster-pipeline run", style="yellow")
    else:
        console.print("Ready: drillster-pipeline run", style="green")


def _table(items: list[Item], width: int) -> Table:
    """Mark, step, and below each other what was found, what was tried where that failed, and what to do."""
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(max_width=max(14, min(48, width * 2 // 5)), overflow="fold")
    table.add_column(overflow="fold")
    # Steps that were skipped for the same reason, one after the other, are one line.
    for _, (item, *others) in groupby(items, lambda each: each.found if each.status is Status.SKIPPED else id(each)):
        mark, style, _ = _STYLES[item.status]
        found = Text(item.found, style="dim" if item.status is Status.SKIPPED else "")
        is_amiss = item.status in {Status.WARNING, Status.FAILED}
        if is_amiss and item.part is not Part.SETTINGS:
            found.append(f"\ntried: {item.tried}", style="dim")
        if item.advice:
            found.append(f"\n→ {item.advice}", style="bold" if is_amiss else "dim")
        name = re.sub(r"\{\w+\}", "…", item.step.removeprefix("GET ")) + (f" and {len(others)} more" if others else "")
        table.add_row(Text(mark, style=style), Text(name), found)
    return table
