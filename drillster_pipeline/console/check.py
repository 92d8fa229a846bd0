"""`check`: an examination, shown to a person or a program, and put into a file for others."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.status import Status as Spinner
from rich.table import Table
from rich.text import Text

from drillster_pipeline.doctor import Examination, Finding, Part, Report, Status, write_bundle

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

INTERRUPTED = 130
PIPED_COLUMNS = 120
"""Where nobody says how wide a line may be: a file, a pipe."""

_TITLES = {
    Part.SETTINGS: "Settings",
    Part.DRILLSTER: "Drillster",
    Part.ACCESS: "What the service account sees",
    Part.ENDPOINTS: "Endpoints",
    Part.NIGHT: "A night",
    Part.WAREHOUSE: "Warehouse",
    Part.ARCHIVE: "Archive",
    Part.OPERATION: "Nights to come",
}
_MARKS = {
    Status.OK: ("✓", "green"),
    Status.WARNING: ("!", "yellow"),
    Status.FAILED: ("✗", "red"),
    Status.SKIPPED: ("-", "dim"),
}
_WORDS = {Status.OK: "ok", Status.WARNING: "look", Status.FAILED: "failed", Status.SKIPPED: "skipped"}


def run_check(form: str, *, bundle: Path | None, send_alert: bool) -> int:
    """Try everything, print it as ``table`` or ``json``; returns the exit code of the first failure, or 0."""
    console = _console()
    dagster: dict[str, Any] = {}
    examination = Examination(daemon=_daemon(dagster), send_alert=send_alert)
    with _progress(form) as tell:
        try:
            report = examination.run(tell)
        except KeyboardInterrupt:
            report = examination.report
    if form == "json":
        print(json.dumps(report.as_json(), indent=1))
    else:
        show(console, report)
    if bundle is not None and examination.settings is not None:
        _write(bundle, examination, dagster)
    if not report.is_complete:
        return INTERRUPTED
    return report.exit_code


def _console() -> Console:
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return Console(highlight=False)
    return Console(highlight=False, width=PIPED_COLUMNS)


def _progress(form: str) -> AbstractContextManager[Callable[[str], None]]:
    """Show what is being tried, if somebody watches; on the other stream, so that nothing gets into the output."""
    console = Console(stderr=True)
    if form == "json" or not console.is_terminal:
        return nullcontext(lambda _: None)
    return _Watched(console)


class _Watched:
    def __init__(self, console: Console) -> None:
        self._spinner = Spinner("checking", console=console)

    def __enter__(self) -> Callable[[str], None]:
        self._spinner.start()
        return lambda step: self._spinner.update(Text(f"checking: {step}"))

    def __exit__(self, *_: object) -> None:
        self._spinner.stop()


def _daemon(told: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Ask Dagster, and keep what it says."""

    def ask() -> dict[str, Any]:
        from drillster_pipeline.orchestration.home import describe_home

        told.update(describe_home())
        return told

    return ask


def _write(path: Path, examination: Examination, dagster: dict[str, Any]) -> None:
    try:
        write_bundle(path, examination, dagster)
    except OSError as problem:
        raise click.ClickException(f"{path} can't be written ({problem.strerror}): name another --bundle") from None
    click.echo(f"Wrote {path}: no secret and no value of an answer is in it. Read it before you send it.", err=True)


def show(console: Console, report: Report) -> None:
    """Print the findings part by part, and what they come to."""
    for part in Part:
        findings = [finding for finding in report.findings if finding.part is part]
        if findings:
            console.print(Text(_TITLES[part], style="bold"))
            console.print(Padding(_table(findings, console.width), (0, 0, 1, 1)))
    _show_verdict(console, report)


def _table(findings: list[Finding], width: int) -> Table:
    """Mark, step, and below each other what was found and what to do."""
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(max_width=max(14, min(56, width * 2 // 5)), overflow="fold")
    table.add_column(overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.status]
        found = Text(finding.found, style="dim" if finding.status is Status.SKIPPED else "")
        if finding.status in {Status.WARNING, Status.FAILED} and finding.tried:
            found.append(f"\ntried: {finding.tried}", style="dim")
        if finding.advice:
            found.append(f"\n→ {finding.advice}", style="" if finding.status is Status.OK else "bold")
        table.add_row(Text(mark, style=style), Text(finding.step), found)
    return table


def _show_verdict(console: Console, report: Report) -> None:
    numbers = {status: sum(finding.status is status for finding in report.findings) for status in Status}
    counts = ", ".join(f"{number} {_WORDS[status]}" for status, number in numbers.items() if number)
    console.print(f"{counts}; {report.requests} requests, {report.seconds:.1f} s.", style="dim")
    if not report.is_complete:
        console.print("Interrupted: what comes after this was not tried.", style="yellow")
    elif report.verdict is Status.FAILED:
        console.print("Mend what is marked ✗, then run check again.", style="red")
    elif report.verdict is Status.WARNING:
        console.print("It works; look at what is marked !. Then: drillster-pipeline run", style="yellow")
    else:
        console.print("Ready: drillster-pipeline run", style="green")
