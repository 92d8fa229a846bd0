"""The jobs (``nightly`` for everything, ``events`` for missing events, ``upkeep`` for what is old), schedules, sensors.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import dagster as dg

from drillster_pipeline.errors import PipelineError
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.resources import CAPTURED
from drillster_pipeline.settings import Settings, load_settings, read_settings
from drillster_pipeline.tables import tables_of

from .alerts import send_alerts
from .resources import fail_dead_runs
from .specs import EVENTS, NIGHTLY, UPKEEP, export_dates, resource_key, table_key

PRIORITY = "10"
"""Of the schedule's runs in the queue, where others have 0: a date that is not captured by midnight is lost."""

nightly = dg.define_asset_job(
    NIGHTLY,
    selection=dg.AssetSelection.all(),
    description=(
        "Captures the day that has just ended, and publishes it. A day that is past is replayed from its archive, "
        "without a request to Drillster; where it has none, only its events can still be fetched."
    ),
    executor_def=dg.in_process_executor,
)
events = dg.define_asset_job(
    EVENTS,
    selection=[*map(resource_key, CAPTURED["events"]), *map(table_key, tables_of("events"))],
    description="Fetches and publishes the objective events of a date, also of a past one.",
    executor_def=dg.in_process_executor,
)


def nightly_schedule(settings: Settings) -> Any:
    """The job ``nightly`` for the day that has just ended, on from the start."""
    return dg.build_schedule_from_partitioned_job(
        nightly,
        name=NIGHTLY,
        description=(
            f"Every night at {settings.nightly_at:%H:%M} ({settings.timezone.key}), for the day that has just ended."
        ),
        hour_of_day=settings.nightly_at.hour,
        minute_of_hour=settings.nightly_at.minute,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        # On the schedule's runs, not on the job: those of a backfill of the job do not get it.
        tags={"dagster/priority": PRIORITY},
    )


def delete_old_runs(instance: dg.DagsterInstance, before: date, *, dry_run: bool = False) -> int:
    """Delete finished runs, with their events and logs, that were created before a date; returns how many."""
    finished = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    filters = dg.RunsFilter(statuses=finished, created_before=datetime.combine(before, time(0), tzinfo=UTC))
    records = instance.get_run_records(filters)
    for record in [] if dry_run else records:
        run_id = record.dagster_run.run_id
        # Dagster itself would leave what the steps have printed, and in SQLite the empty database of their events.
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
        for left in Path(instance.storage_directory()).parent.glob(f"history/runs/{run_id}.db*"):
            left.unlink()
    return len(records)


@dg.op(description="Removes captures older than DRILLSTER_ARCHIVE_DAYS, runs of that age, and old snapshots if wanted.")
def prune_archive_and_runs(context: dg.OpExecutionContext) -> None:
    """Prune the archive and the runs; see ``drillster-pipeline prune``."""
    from drillster_pipeline.pipeline.prune import prune

    try:
        with PipelineContext(settings=load_settings(needs_api=False)) as pipeline:
            outcome = prune(pipeline)
    except PipelineError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    for table, count in outcome.snapshot_rows.items():
        context.log.info("Removed %s rows of %s from before %s.", count, table, outcome.snapshots_before)
    runs = delete_old_runs(context.instance, outcome.before)
    context.log.info("Removed %s captures and %s runs from before %s.", len(outcome.captures), runs, outcome.before)


@dg.job(name=UPKEEP, executor_def=dg.in_process_executor, description="Weekly: removes what is too old to keep.")
def upkeep() -> None:
    """The weekly job."""
    prune_archive_and_runs()


def upkeep_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Every Sunday at 05:00, on from the start."""
    return dg.ScheduleDefinition(
        name=UPKEEP,
        job=upkeep,
        cron_schedule="0 5 * * 0",
        execution_timezone=settings.timezone.key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every Sunday at 05:00.",
    )


MISSING_EVENTS = "missing_events"
MOST_AT_ONCE = 3
"""Runs of the sensor ``missing_events`` that may wait or be under way at once."""
_FINISHED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
_UNFINISHED = dg.RunsFilter(statuses=[status for status in dg.DagsterRunStatus if status not in _FINISHED])


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports runs and backfills that failed, what could not be read, and a stale warehouse.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Report what is new, and send what could not be sent before; also while other settings are wrong."""
    settings, problems = read_settings(needs_api=False)
    with PipelineContext(settings=settings) as pipeline:
        sent, waiting = send_alerts(context.instance, pipeline, settings_error="; ".join(problems) or None)
    return dg.SkipReason(f"{sent} sent, {waiting} waiting.")


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process is gone, as after a power cut.",
)
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Free the pools of dead runs."""
    return dg.SkipReason(f"{len(fail_dead_runs(context.instance))} found.")


def dates_to_fetch(pipeline: PipelineContext, instance: dg.DagsterInstance) -> tuple[list[date], int]:
    """Dates without events of which no run waits or is under way, the oldest first; and how many such runs there are.

    Raises PipelineError where warehouse or archive can't be read.
    """
    from drillster_pipeline.pipeline.gaps import missing_events

    missing = missing_events(pipeline)
    runs = instance.get_runs(_UNFINISHED) if missing else []
    spans = [span for run in runs if (span := export_dates(run.tags)) is not None]
    free = [day for day in missing if not any(first <= day <= last for first, last in spans)]
    return free, sum(run.tags.get("dagster/sensor_name") == MISSING_EVENTS for run in runs)


@dg.sensor(
    name=MISSING_EVENTS,
    job=events,
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fetches the events of dates of the last 31 days that are missing, each at most once a day.",
)
def missing_events_sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request some of them."""
    try:
        with PipelineContext(settings=load_settings()) as pipeline:
            dates, running = dates_to_fetch(pipeline, context.instance)
            keys = {day: f"events of {day}, missing on {pipeline.newest_complete}" for day in dates}
    except PipelineError as error:
        yield dg.SkipReason(str(error))
        return
    # Dagster drops a request whose key was used; it must not take the place of another one either.
    new = [
        day for day in dates if not context.instance.get_runs_count(dg.RunsFilter(tags={"dagster/run_key": keys[day]}))
    ]
    for day in new[: max(0, MOST_AT_ONCE - running)]:
        yield dg.RunRequest(run_key=keys[day], partition_key=str(day), tags={"dagster/priority": "-1"})
