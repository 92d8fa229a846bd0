"""The sensors: they report what went wrong, mark dead runs as failed, and request events that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import dagster as dg

from drillster_pipeline.errors import PipelineError
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import load_settings, read_settings

from .alerts import send_alerts
from .jobs import events
from .resources import fail_dead_runs
from .specs import export_dates

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
