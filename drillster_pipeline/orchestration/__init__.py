"""Dagster around the export: partitions, assets, checks, jobs, schedules, sensors. No logic of its own."""

from __future__ import annotations

import dagster as dg

from drillster_pipeline.settings import load_settings

from .assets import capture_assets, publish_assets
from .gaps import events, missing_events_sensor
from .keys import NIGHTLY
from .maintenance import alerts, upkeep, upkeep_schedule
from .partitions import daily
from .report import nightly_report
from .resources import DrillsterResource
from .run_lock import lost_runs

JOB = NIGHTLY
PRIORITY = "10"
"""Of the schedule's runs in the queue, where others have 0: a date whose snapshot is not begun by midnight is lost."""


def definitions() -> dg.Definitions:
    """Everything that Dagster loads. Needs no settings, touches no network."""
    settings = load_settings(needs_api=False, tolerant=True)
    partitions = daily(settings)
    # The snapshot goes first: its objectives are then known to the events, and need not be asked for twice.
    assets = [
        capture_assets("snapshot", partitions, settings, priority=4),
        publish_assets("snapshot", partitions, settings, priority=3),
        capture_assets("events", partitions, settings, priority=2),
        publish_assets("events", partitions, settings, priority=1),
        nightly_report(partitions, settings, priority=0),
    ]
    nightly = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all(),
        description=(
            "Captures the day that has just ended, and publishes it. A day that is past is replayed from its archive, "
            "without a request to Drillster; where it has none, only its events can still be fetched."
        ),
        executor_def=dg.in_process_executor,
    )
    schedule = dg.build_schedule_from_partitioned_job(
        nightly,
        name=JOB,
        description=(
            f"Every night at {settings.nightly_at:%H:%M} ({settings.timezone.key}), for the day that has just ended."
        ),
        hour_of_day=settings.nightly_at.hour,
        minute_of_hour=settings.nightly_at.minute,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        # On the schedule's runs, not on the job: those of a backfill of the job do not get it.
        tags={"dagster/priority": PRIORITY},
    )
    return dg.Definitions(
        assets=assets,
        jobs=[nightly, events, upkeep],
        schedules=[schedule, upkeep_schedule(settings.timezone.key)],
        sensors=[alerts, lost_runs, missing_events_sensor],
        resources={"drillster": DrillsterResource()},
        executor=dg.in_process_executor,
    )
