"""`check`: an examination, shown to a person or a program, and put into a file for others."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.status import Status as Spinner
from rich.text import Text

from drillster_pipeline.diagnostics import Examination, write_bundle

from .rendering import show

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from drillster_pipeline.diagnostics import Report

INTERRUPTED = 130
PIPED_COLUMNS = 120
"""Where nobody says how wide a line may be: a file, a pipe."""


def run_check(form: str, *, bundle: Path | None, send_alert: bool) -> int:
    """Try everything, print it as ``table`` or ``json``; returns the exit code of the first failure, or 0."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where a mark can't be printed, the rest of the line still can
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
        _print(console, report)
    if bundle is not None and examination.settings is not None:
        _write(bundle, examination, dagster)
    if not report.is_complete:
        return INTERRUPTED
    return report.exit_code


def _print(console: Console, report: Report) -> None:
    if console.is_terminal:
        show(console, report)
        return
    with console.capture() as captured:
        show(console, report)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


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
