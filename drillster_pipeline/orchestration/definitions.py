"""Everything that Dagster loads."""

from __future__ import annotations

import dagster as dg

from drillster_pipeline.settings import read_settings

from . import jobs
from .assets import capture_assets, publish_assets, report_assets
from .errors import OUTAGE_RETRIES
from .resources import drillster


def build_definitions(*, retry_policy: dg.RetryPolicy | None = OUTAGE_RETRIES) -> dg.Definitions:
    """The definitions. Needs no settings but those of the schedule, and no network.

    ``retry_policy``: whether a step may wait and try again when Drillster does not answer.
    """
    settings, _ = read_settings(needs_api=False)
    # The snapshot goes first: its objectives are then known to the events, and need not be requested twice.
    return dg.Definitions(
        assets=[
            capture_assets("snapshot", settings, priority=4, retry_policy=retry_policy),
            publish_assets("snapshot", settings, priority=3, retry_policy=retry_policy),
            capture_assets("events", settings, priority=2, retry_policy=retry_policy),
            publish_assets("events", settings, priority=1, retry_policy=retry_policy),
            report_assets(settings, priority=0, retry_policy=retry_policy),
        ],
        jobs=[jobs.nightly, jobs.events, jobs.upkeep],
        schedules=[jobs.nightly_schedule(settings), jobs.upkeep_schedule(settings)],
        sensors=[jobs.alerts, jobs.lost_runs, jobs.missing_events_sensor],
        resources={"drillster": drillster},
        executor=dg.in_process_executor,
    )
