"""`run`: one night, and what it came to."""

from __future__ import annotations

import time
from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg
from rich.console import Console

from drillster_pipeline.errors import PipelineError, Unavailable
from drillster_pipeline.orchestration.in_process import RunResult, run_nightly
from drillster_pipeline.orchestration.resources import RunContext

from .progress import duration, progress_display

if TYPE_CHECKING:
    from collections.abc import Callable


def report_alerts(instance: dg.DagsterInstance, coming: date | None, settings_error: str | None = None) -> None:
    """Do before and after a run what a sensor does where a daemon runs: cron calls `run`, and nobody reads its output.

    ``settings_error``: why the run can't even begin.
    """
    from drillster_pipeline.orchestration.alerting import send_alerts
    from drillster_pipeline.pipeline.context import PipelineContext
    from drillster_pipeline.settings import read_settings

    settings, _ = read_settings(needs_api=False)
    with PipelineContext(settings=settings) as session:
        send_alerts(instance, session, coming=coming or session.newest_complete, settings_error=settings_error)


def run_night(
    console: Console,
    instance: dg.DagsterInstance,
    export_date: date,
    *,
    only_events: bool = False,
    now: Callable[[], datetime] | None = None,
    **options: bool,
) -> RunResult:
    """Run the job for a date and print how it went; ``options`` are those of :func:`run_nightly`."""
    started = time.monotonic()
    with progress_display(console, f"Run of {export_date}") as show:
        run = RunContext(retries=False, on_progress=show, now=now)
        night = run_nightly(instance, export_date, run=run, only_events=only_events, **options)
    took = duration(time.monotonic() - started)
    total = sum(night.rows.values())
    if night.success:
        done = f"{total:,} events that were missing" if only_events else f"{total:,} rows in {len(night.rows)} tables"
        console.print(f"[green]✓[/] {export_date}: {done}, {took}", highlight=False)
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


def fetch_missing_events(
    console: Console, instance: dg.DagsterInstance, *, now: Callable[[], datetime] | None = None
) -> None:
    """Fetch events of past dates after a run, as the sensor does where a daemon runs; print what came of each."""
    from drillster_pipeline.orchestration.gaps import dates_to_fetch

    run = RunContext(now=now)
    try:
        dates, _ = dates_to_fetch(run.pipeline, instance)
    except PipelineError as problem:
        console.print(
            f"  ! It is not known whether events of past dates are missing: {problem}", highlight=False, markup=False
        )
        return
    finally:
        run.close()
    for day in dates:
        if run_night(console, instance, day, only_events=True, now=now).exit_code == Unavailable.exit_code:
            return
