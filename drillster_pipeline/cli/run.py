"""`run`: the nightly job for one export date, in this process."""

from __future__ import annotations

import time
from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg
from rich.console import Console

from drillster_pipeline.dates import wall_clock
from drillster_pipeline.errors import PipelineError, SettingsError, Unavailable
from drillster_pipeline.formatting import count, duration
from drillster_pipeline.orchestration.in_process import RunResult, run_nightly
from drillster_pipeline.orchestration.names import ALONE, Names
from drillster_pipeline.orchestration.resources import RunContext

from .rendering import console, progress_display

if TYPE_CHECKING:
    from collections.abc import Callable

    from drillster_pipeline.settings import Settings


def run_command(names: Names, day: date | None, *, allow_mass_delete: bool, capture_again: bool) -> int:
    """Run the job for a date, or for the newest complete one and then past events; returns the exit code."""
    from drillster_pipeline.orchestration.home import ensure_home
    from drillster_pipeline.pipeline.context import PipelineContext

    output = console()
    try:
        settings = names.organization.load()
    except SettingsError as error:
        _report_wrong_settings(names, day, str(error))
        raise
    with PipelineContext(settings=settings) as context:
        export_date = day or context.newest_complete
        context.require_ended(export_date)
    if export_date < (first := settings.first_export_date):
        raise SettingsError(
            f"{export_date} is before DRILLSTER_FIRST_EXPORT_DATE ({first}): the job has no partition for it"
        )
    ensure_home()
    with dg.DagsterInstance.get() as instance:
        report_alerts(instance, names, settings, export_date)
        outcome = run_date(
            output, instance, export_date, names, allow_mass_delete=allow_mass_delete, capture_again=capture_again
        )
        if outcome.success and day is None and "objective_events" in names.organization.tables:
            fetch_missing_events(output, instance, names)
        report_alerts(instance, names, settings, export_date)
    return outcome.exit_code


def _report_wrong_settings(names: Names, day: date | None, settings_error: str) -> None:
    """Alert that the run can't begin. Makes Dagster's files only where there is a channel."""
    from drillster_pipeline.alert_channels import channels_of
    from drillster_pipeline.orchestration.home import ensure_home

    settings, _ = names.organization.read()
    if channels_of(settings):
        ensure_home()
        with dg.DagsterInstance.get() as instance:
            report_alerts(instance, names, settings, day, settings_error)


def report_alerts(
    instance: dg.DagsterInstance,
    names: Names,
    settings: Settings,
    coming: date | None,
    settings_error: str | None = None,
) -> None:
    """Send alerts before and after a run, as a sensor does where a daemon runs: nobody reads the output of cron.

    ``settings_error``: why the run can't even begin.
    """
    from drillster_pipeline.orchestration.alerts import send_alerts
    from drillster_pipeline.pipeline.context import PipelineContext

    with PipelineContext(settings=settings) as context:
        send_alerts(instance, context, names, pending=coming or context.newest_complete, settings_error=settings_error)


def run_date(
    console: Console,
    instance: dg.DagsterInstance,
    export_date: date,
    names: Names = ALONE,
    *,
    only_events: bool = False,
    now: Callable[[], datetime] = wall_clock,
    **options: bool,
) -> RunResult:
    """Run the job for a date and print how it went; ``options`` are those of :func:`run_nightly`."""
    started = time.monotonic()
    with progress_display(console, f"Run of {export_date}") as show:
        run = RunContext(names.organization, on_progress=show, now=now)
        outcome = run_nightly(instance, export_date, run=run, names=names, only_events=only_events, **options)
    took = duration(time.monotonic() - started)
    total = sum(outcome.rows.values())
    if outcome.success:
        done = (
            count(total, "missing event")
            if only_events
            else f"{count(total, 'row')} in {count(len(outcome.rows), 'table')}"
        )
        console.print(f"[green]✓[/] {export_date}: {done}, {took}")
    else:
        console.print(f"[red]✗[/] {export_date}: failed after {took} (Dagster run {outcome.run_id})")
        if outcome.rows:
            console.print(f"  Published nevertheless: {', '.join(sorted(outcome.rows))}")
        for error in dict.fromkeys(map(str, outcome.errors)):
            console.print(f"  {error}", markup=False)
        for step in outcome.unexpected:
            console.print(
                f"  Step {step} failed with an unexpected error: see the run in Dagster, and please report it."
            )
    for warning in outcome.warnings:
        console.print(f"  ! {warning}", markup=False)
    return outcome


def fetch_missing_events(
    console: Console, instance: dg.DagsterInstance, names: Names = ALONE, *, now: Callable[[], datetime] = wall_clock
) -> None:
    """Fetch events of past dates after a run, as the sensor does where a daemon runs; print what came of each."""
    from drillster_pipeline.orchestration.jobs import dates_to_fetch

    run = RunContext(names.organization, now=now)
    try:
        dates, _ = dates_to_fetch(run.pipeline, instance, names)
    except PipelineError as problem:
        console.print(f"  ! It is not known whether events of past dates are missing: {problem}", markup=False)
        return
    finally:
        run.close()
    for day in dates:
        if run_date(console, instance, day, names, only_events=True, now=now).exit_code == Unavailable.exit_code:
            return
