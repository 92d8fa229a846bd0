"""`run`: one night, and what it came to."""

from __future__ import annotations

import time
from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg
from rich.console import Console

from drillster_pipeline.orchestration.nightly import Night, run_nightly
from drillster_pipeline.orchestration.resources import Run

from .display import duration, progress_display

if TYPE_CHECKING:
    from collections.abc import Callable


def report_alerts(instance: dg.DagsterInstance, coming: date | None, settings_error: str | None = None) -> None:
    """Do before and after a run what a sensor does where a daemon runs: cron calls `run`, and nobody reads its output.

    ``settings_error``: why the run can't even begin.
    """
    from drillster_pipeline.export.session import Session
    from drillster_pipeline.orchestration.alerting import send_alerts
    from drillster_pipeline.settings import read_settings

    settings, _ = read_settings(needs_api=False)
    with Session(settings=settings) as session:
        send_alerts(instance, session, coming=coming or session.newest_complete, settings_error=settings_error)


def run_night(
    console: Console,
    instance: dg.DagsterInstance,
    export_date: date,
    *,
    allow_mass_delete: bool = False,
    capture_again: bool = False,
    now: Callable[[], datetime] | None = None,
) -> Night:
    """Run the job for a date and tell how it went."""
    started = time.monotonic()
    with progress_display(console, f"Night of {export_date}") as show:
        run = Run(retries=False, on_progress=show, now=now)
        night = run_nightly(
            instance, export_date, run=run, allow_mass_delete=allow_mass_delete, capture_again=capture_again
        )
    took = duration(time.monotonic() - started)
    total = sum(night.rows.values())
    if night.success:
        console.print(f"[green]✓[/] {export_date}: {total:,} rows in {len(night.rows)} tables, {took}", highlight=False)
    else:
        console.print(f"[red]✗[/] {export_date}: failed after {took} (Dagster run {night.run_id})", highlight=False)
        if night.rows:
            console.print(f"  Published all the same: {', '.join(sorted(night.rows))}", highlight=False)
        for error in dict.fromkeys(map(str, night.errors)):
            console.print(f"  {error}", highlight=False, markup=False)
        for step in night.unexpected:
            console.print(
                f"  Step {step} failed with an error that this program does not expect; the run in Dagster has all "
                "that is known of it. Please report it.",
                highlight=False,
                markup=False,
            )
    for warning in night.warnings:
        console.print(f"  ! {warning}", highlight=False, markup=False)
    return night
