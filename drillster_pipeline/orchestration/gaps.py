"""The job ``events``, and the sensor that asks it for past dates without events: Drillster still answers for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from drillster_pipeline.errors import PipelineError
from drillster_pipeline.resources import CAPTURED
from drillster_pipeline.tables import tables_of

from .keys import EVENTS, resource_key, table_key
from .partitions import export_dates

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.context import PipelineContext

NAME = "missing_events"
EVERY_SECONDS = 3600
MOST_AT_ONCE = 3
"""Runs of this sensor that may wait or be under way at once."""
_FINISHED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
_UNFINISHED = dg.RunsFilter(statuses=[status for status in dg.DagsterRunStatus if status not in _FINISHED])

events = dg.define_asset_job(
    EVENTS,
    selection=[*map(resource_key, CAPTURED["events"]), *map(table_key, tables_of("events"))],
    description="Fetches and publishes the objective events of a date, also of a past one.",
    executor_def=dg.in_process_executor,
)


def dates_to_fetch(session: PipelineContext, instance: dg.DagsterInstance) -> tuple[list[date], int]:
    """Dates without events of which no run waits or is under way, the oldest first; and how many such runs are ours.

    Raises PipelineError where warehouse or archive can't be read.
    """
    from drillster_pipeline.pipeline.gaps import missing_events

    missing = missing_events(session)
    runs = instance.get_runs(_UNFINISHED) if missing else []
    spans = [span for run in runs if (span := export_dates(run.tags)) is not None]
    free = [day for day in missing if not any(first <= day <= last for first, last in spans)]
    return free, sum(run.tags.get("dagster/sensor_name") == NAME for run in runs)


@dg.sensor(
    name=NAME,
    job=events,
    minimum_interval_seconds=EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fetches the events of dates of the last 31 days that were passed over, each at most once a day.",
)
def missing_events_sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for some of them."""
    from drillster_pipeline.pipeline.context import PipelineContext
    from drillster_pipeline.settings import load_settings

    try:
        with PipelineContext(settings=load_settings()) as session:
            dates, ours = dates_to_fetch(session, context.instance)
            keys = {day: f"events of {day}, missing on {session.newest_complete}" for day in dates}
    except PipelineError as error:
        yield dg.SkipReason(str(error))
        return
    # Dagster drops a request whose key was used; it must not take the place of another one either.
    used = {
        day
        for day, key in keys.items()
        if context.instance.get_runs_count(dg.RunsFilter(tags={"dagster/run_key": key}))
    }
    for day in [day for day in dates if day not in used][: max(0, MOST_AT_ONCE - ours)]:
        yield dg.RunRequest(run_key=keys[day], partition_key=str(day), tags={"dagster/priority": "-1"})
