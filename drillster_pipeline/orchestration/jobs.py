"""The jobs (``nightly`` for everything, ``events`` for missing events, ``upkeep`` for what is old), schedules, sensors.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from drillster_pipeline.errors import PipelineError
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import Settings

from .alerts import send_alerts
from .executors import executor_of, retry_tags
from .names import Names
from .resources import fail_dead_runs
from .specs import EVENTS, NIGHTLY, UPKEEP, export_dates

PRIORITY = "10"
"""Of the schedule's runs in the queue, where others have 0: a date that is not captured by midnight is lost."""
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

_DESCRIPTIONS = {
    NIGHTLY: (
        "Captures the day that has just ended, and publishes it. A day that is past is replayed from its archive, "
        "without a request to Drillster; where it has none, only its events can still be fetched."
    ),
    EVENTS: "Fetches and publishes the objective events of a date, also of a past one.",
}


def asset_job(job: str, names: Names, assets: Iterable[dg.AssetKey], settings: Settings) -> Any:
    """The job ``nightly`` or ``events``, of these assets as :mod:`.specs` calls them."""
    return dg.define_asset_job(
        names.of(job),
        selection=names.keys(assets),
        description=_DESCRIPTIONS[job],
        executor_def=executor_of(settings),
        tags=names.run_tags | retry_tags(settings),
    )


def nightly_schedule(job: Any, names: Names, settings: Settings, minutes_later: int = 0) -> Any:
    """The job ``nightly`` for the day that has just ended, on from the start."""
    starts = datetime.combine(date.min, settings.nightly_at) + timedelta(minutes=minutes_later)
    return dg.build_schedule_from_partitioned_job(
        job,
        name=names.of(NIGHTLY),
        description=f"Every night at {starts:%H:%M} ({settings.timezone.key}), for the day that has just ended.",
        hour_of_day=starts.hour,
        minute_of_hour=starts.minute,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        # On the schedule's runs, not on the job: those of a backfill of the job do not get it.
        tags={"dagster/priority": PRIORITY},
    )


def delete_old_runs(instance: dg.DagsterInstance, before: date, names: Names, *, dry_run: bool = False) -> int:
    """Delete finished runs of an organization, with their events and logs, from before a date; returns how many."""
    filters = dg.RunsFilter(statuses=_FINISHED, created_before=datetime.combine(before, time(0), tzinfo=UTC))
    runs = [record.dagster_run for record in instance.get_run_records(filters)]
    ours = [run.run_id for run in runs if names.is_ours(run.job_name, run.asset_selection)]
    for run_id in [] if dry_run else ours:
        # Dagster itself would leave what the steps have printed, and in SQLite the empty database of their events.
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
        for left in Path(instance.storage_directory()).parent.glob(f"history/runs/{run_id}.db*"):
            left.unlink()
    return len(ours)


def upkeep_job(names: Names) -> dg.JobDefinition:
    """The weekly job."""

    @dg.op(
        name=names.of("prune_archive_and_runs"),
        description="Removes captures and runs older than DRILLSTER_ARCHIVE_DAYS, and old snapshots if wanted.",
    )
    def prune_archive_and_runs(context: dg.OpExecutionContext) -> None:
        """Prune the archive and the runs; see ``drillster-pipeline prune``."""
        from drillster_pipeline.pipeline.prune import prune

        try:
            with PipelineContext(settings=names.organization.load(needs_api=False)) as pipeline:
                outcome = prune(pipeline)
        except PipelineError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        for table, count in outcome.snapshot_rows.items():
            context.log.info("Removed %s rows of %s from before %s.", count, table, outcome.snapshots_before)
        runs = delete_old_runs(context.instance, outcome.before, names)
        context.log.info("Removed %s captures and %s runs from before %s.", len(outcome.captures), runs, outcome.before)

    upkeep = dg.GraphDefinition(names.of(UPKEEP), node_defs=[prune_archive_and_runs])
    description = "Weekly: removes what is too old to keep."
    return upkeep.to_job(description=description, executor_def=dg.in_process_executor, tags=names.run_tags)


def upkeep_schedule(job: dg.JobDefinition, names: Names, settings: Settings) -> dg.ScheduleDefinition:
    """Every Sunday at 05:00, on from the start."""
    return dg.ScheduleDefinition(
        name=names.of(UPKEEP),
        job=job,
        cron_schedule="0 5 * * 0",
        execution_timezone=settings.timezone.key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every Sunday at 05:00.",
    )


MISSING_EVENTS = "missing_events"
MOST_AT_ONCE = 3
"""Runs of the sensor ``missing_events`` that may wait or be under way at once."""
_UNFINISHED = dg.RunsFilter(statuses=[status for status in dg.DagsterRunStatus if status not in _FINISHED])


def alerts_sensor(names: Names) -> dg.SensorDefinition:
    """Reports what is new, and sends what could not be sent before; also while other settings are wrong."""

    @dg.sensor(
        name=names.of("alerts"),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports runs and backfills that failed, what could not be read, and a stale warehouse.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        settings, problems = names.organization.read()
        with PipelineContext(settings=settings) as pipeline:
            sent, waiting = send_alerts(context.instance, pipeline, names, settings_error="; ".join(problems) or None)
        return dg.SkipReason(f"{sent} sent, {waiting} waiting.")

    return alerts


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process is gone, as after a power cut.",
)
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Free the pools of dead runs, of all organizations."""
    return dg.SkipReason(f"{len(fail_dead_runs(context.instance))} found.")


def dates_to_fetch(pipeline: PipelineContext, instance: dg.DagsterInstance, names: Names) -> tuple[list[date], int]:
    """Dates without events of which no run waits or is under way, the oldest first; and how many such runs there are.

    Raises PipelineError where warehouse or archive can't be read.
    """
    from drillster_pipeline.pipeline.gaps import missing_events

    missing = missing_events(pipeline)
    unfinished = instance.get_runs(_UNFINISHED) if missing else []
    runs = [run for run in unfinished if names.is_ours(run.job_name, run.asset_selection)]
    spans = [span for run in runs if (span := export_dates(run.tags)) is not None]
    free = [day for day in missing if not any(first <= day <= last for first, last in spans)]
    return free, sum(run.tags.get("dagster/sensor_name") == names.of(MISSING_EVENTS) for run in runs)


def missing_events_sensor(job: Any, names: Names) -> dg.SensorDefinition:
    """Requests runs for some of the dates without events."""

    @dg.sensor(
        name=names.of(MISSING_EVENTS),
        job=job,
        minimum_interval_seconds=3600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fetches the events of dates of the last 31 days that are missing, each at most once a day.",
    )
    def missing_events(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        instance = context.instance
        try:
            with PipelineContext(settings=names.organization.load()) as pipeline:
                dates, running = dates_to_fetch(pipeline, instance, names)
                newest = pipeline.newest_complete
        except PipelineError as error:
            yield dg.SkipReason(str(error))
            return
        # Dagster drops a request whose key was used; it must not take the place of another one either.
        keys = {day: f"{names.of('events')} of {day}, missing on {newest}" for day in dates}
        new = [day for day in dates if not instance.get_runs_count(dg.RunsFilter(tags={"dagster/run_key": keys[day]}))]
        for day in new[: max(0, MOST_AT_ONCE - running)]:
            yield dg.RunRequest(run_key=keys[day], partition_key=str(day), tags={"dagster/priority": "-1"})

    return missing_events
