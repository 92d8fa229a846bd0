"""Everything that Dagster loads of an organization."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain

import dagster as dg

from drillster_pipeline.resources import CAPTURED
from drillster_pipeline.tables import tables_of

from . import jobs
from .assets import capture_assets, publish_assets, report_assets
from .errors import OUTAGE_RETRIES
from .names import Names
from .resources import RESOURCE, drillster
from .shards import shards_asset
from .specs import EVENTS, NIGHTLY, REPORT, SHARDS, resource_key, table_key


def definitions_of(
    names: Names,
    *,
    schedule: bool = True,
    minutes_later: int = 0,
    watches_all: bool = True,
    retry_policy: dg.RetryPolicy | None = OUTAGE_RETRIES,
    in_one_process: bool = False,
) -> dg.Definitions:
    """The definitions of an organization. Needs no settings but those of the schedule, and no network.

    ``schedule``: whether there are schedules, of which ``nightly`` begins ``minutes_later`` than the settings say.
    ``watches_all``: whether the sensor ``lost_runs`` is here, of which an instance needs one. ``retry_policy``: whether
    a step may wait and try again when Drillster does not answer. ``in_one_process``: whatever the settings say.
    """
    settings, _ = names.organization.read()
    if in_one_process:
        settings = settings.model_copy(update={"executor": "in_process", "capture_shards": 1})
    tables = {kind: [table for table in tables_of(kind) if table in names.organization.tables] for kind in CAPTURED}
    kinds = [kind for kind in CAPTURED if tables[kind]]
    keys = {kind: [*map(resource_key, CAPTURED[kind]), *map(table_key, tables[kind])] for kind in kinds}
    # The snapshot goes first: its objectives are then known to the events, and need not be requested twice.
    steps: list[Callable[..., dg.AssetsDefinition]] = []
    for after, kind in zip([None, *kinds], kinds, strict=False):
        if settings.capture_shards > 1:
            keys[kind].append(SHARDS[kind])
            steps.append(partial(shards_asset, kind, after))
        steps += [partial(capture_assets, kind), partial(publish_assets, kind)]
    if "groups" in names.organization.tables:
        steps.append(report_assets)
        keys["report"] = [REPORT]
    events = jobs.asset_job(EVENTS, names, keys["events"], settings) if "events" in kinds else None
    nightly = jobs.asset_job(NIGHTLY, names, chain.from_iterable(keys.values()), settings)
    upkeep = jobs.upkeep_job(names)
    schedules = [
        jobs.nightly_schedule(nightly, names, settings, minutes_later),
        jobs.upkeep_schedule(upkeep, names, settings),
    ]
    sensors = [jobs.alerts_sensor(names), *([jobs.lost_runs] if watches_all else [])]
    if events:
        sensors.append(jobs.missing_events_sensor(events, names))
    return dg.Definitions(
        assets=[
            step(names, settings, priority=priority, retry_policy=retry_policy)
            for priority, step in enumerate(reversed(steps))
        ],
        jobs=[nightly, upkeep, *([events] if events else [])],
        schedules=schedules if schedule else None,
        sensors=sensors,
        resources={names.of(RESOURCE): drillster(names.organization)},
    )
