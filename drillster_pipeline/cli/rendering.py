"""Findings of an examination as a person reads them: part by part, what is wrong first seen by its mark."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drillster_pipeline.diagnostics import Finding, Part, Report, Status
from drillster_pipeline.diagnostics.amounts import count, lasting

if TYPE_CHECKING:
    from drillster_pipeline.diagnostics.pages import Probed

_TITLES = {
    Part.SETTINGS: "Settings",
    Part.DRILLSTER: "Drillster",
    Part.ACCESS: "What the service account sees",
    Part.ENDPOINTS: "Endpoints",
    Part.NIGHT: "A night, by estimate",
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
_WORDS = {Status.OK: "ok", Status.WARNING: "to look at", Status.FAILED: "failed", Status.SKIPPED: "not tried"}
_TELLS_WHAT_WAS_TRIED = frozenset(Part) - {Part.SETTINGS, Part.ENDPOINTS}
"""Of the others, the name of the step says it."""
_PARAMETER = re.compile(r"\{\w+\}")


def show(console: Console, report: Report) -> None:
    """Print the findings part by part, and what they come to."""
    probed = {f"GET {each.path}": each for each in report.endpoints}
    for part in Part:
        findings = [finding for finding in report.findings if finding.part is part]
        lines = [finding for finding in findings if not _is_a_page(finding, probed)]
        pages = [finding for finding in findings if _is_a_page(finding, probed)]
        if not findings:
            continue
        console.print(Text(_TITLES[part], style="bold"))
        if pages:
            console.print(Padding(_pages(pages, probed), (0, 0, 0 if lines else 1, 1)))
        if lines:
            console.print(Padding(_lines(lines, console.width), (0, 0, 1, 1)))
    _show_verdict(console, report)


def _is_a_page(finding: Finding, probed: dict[str, Probed]) -> bool:
    """Whether an endpoint gave a page, and nothing else is to be said of it."""
    each = probed.get(finding.step)
    return finding.part is Part.ENDPOINTS and finding.status is Status.OK and each is not None and bool(each.pages)


def _pages(findings: list[Finding], probed: dict[str, Probed]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(overflow="fold", min_width=31)
    for _ in range(2):
        table.add_column(justify="right", no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for finding in findings:
        each = probed[finding.step]
        mark, style = _MARKS[finding.status]
        took = "" if each.median is None else lasting(each.median)
        forms = {form.aspect: form.met for form in each.forms}
        told = [*each.notes, *(forms[aspect] for aspect in ("items", "paging") if aspect in forms and each.items)]
        table.add_row(
            Text(mark, style=style), Text(_short(each.path)), Text(took), Text(_number(each)), Text("; ".join(told))
        )
    return table


def _short(path: str) -> str:
    """An address with a sign where an id goes."""
    return _PARAMETER.sub("…", path).removeprefix("GET ")


def _number(probed: Probed) -> str:
    if probed.best is None or not probed.endpoint.is_list:
        return ""
    seen, total = len(probed.best.items), probed.best.total
    return f"{count(seen)} of {count(total)}" if total is not None and total > seen else count(seen)


def _lines(findings: list[Finding], width: int) -> Table:
    """Mark, step, and below each other what was found, what was tried where that failed, and what to do."""
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(max_width=max(14, min(48, width * 2 // 5)), overflow="fold")
    table.add_column(overflow="fold")
    for finding, others in _gathered(findings):
        mark, style = _MARKS[finding.status]
        found = Text(finding.found, style="dim" if finding.status is Status.SKIPPED else "")
        is_amiss = finding.status in {Status.WARNING, Status.FAILED}
        if is_amiss and finding.tried and finding.part in _TELLS_WHAT_WAS_TRIED:
            found.append(f"\ntried: {finding.tried}", style="dim")
        if finding.advice:
            found.append(f"\n→ {finding.advice}", style="bold" if is_amiss else "dim")
        more = f" and {others} more" if others else ""
        table.add_row(Text(mark, style=style), Text(f"{_short(finding.step)}{more}"), found)
    return table


def _gathered(findings: list[Finding]) -> list[tuple[Finding, int]]:
    """Steps that were not tried for the same reason, one after the other, as the first of them and how many follow."""
    runs = groupby(findings, lambda each: each.found if each.status is Status.SKIPPED else id(each))
    return [(first, len(rest)) for _, (first, *rest) in runs]


def _show_verdict(console: Console, report: Report) -> None:
    numbers = {status: sum(finding.status is status for finding in report.findings) for status in Status}
    counts = ", ".join(f"{number} {_WORDS[status]}" for status, number in numbers.items() if number)
    console.print(Text(f"{counts}; {report.requests} requests, {lasting(report.seconds)}.", style="dim"))
    if not report.is_complete:
        console.print("Interrupted: what comes after this was not tried.", style="yellow")
    elif report.verdict is Status.FAILED:
        console.print("Mend what is marked ✗, then run check again.", style="red")
    elif report.verdict is Status.WARNING:
        console.print("It works; look at what is marked !. Ready: drillster-pipeline run", style="yellow")
    else:
        console.print("Ready: drillster-pipeline run", style="green")
