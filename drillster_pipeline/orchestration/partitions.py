"""Daily partitions: a partition key is an export date."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache

import dagster as dg

from drillster_pipeline.errors import Refused
from drillster_pipeline.settings import Settings

PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags of runs: a job's run has the first, a run of a backfill of assets has the others."""


def daily(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per export date, from the first one on; the newest is the day that ended last."""
    return _daily(str(settings.first_export_date), settings.timezone.key)


@cache  # all assets share one: Dagster compares those of each with each
def _daily(start: str, timezone: str) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(start_date=start, timezone=timezone, fmt="%Y-%m-%d")


def export_dates(tags: Mapping[str, str]) -> tuple[date, date] | None:
    """The first and the last export date of a run, by its tags; None where it has none."""
    first = tags.get(PARTITION) or tags.get(RANGE_START)
    last = tags.get(PARTITION) or tags.get(RANGE_END)
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None


def export_date(tags: Mapping[str, str]) -> date:
    """The one export date of a run. Raises Refused for a run that has none, or that was made to span several."""
    dates = export_dates(tags)
    if dates is None:
        raise Refused(
            "This run has no export date. Choose a partition; and checks are made when their asset is materialized, "
            "so select the asset and not its checks alone"
        )
    first, last = dates
    if first != last:
        raise Refused(
            f"This run spans {first} to {last}, but a capture and a load are of one date: launch a run for each, as a "
            "backfill does"
        )
    return first
