"""Daily partitions: a partition key is an export date."""

from __future__ import annotations

from datetime import date

import dagster as dg

from drillster_pipeline.settings import ScheduleSettings


def daily(settings: ScheduleSettings) -> dg.DailyPartitionsDefinition:
    """One partition per export date, from the first one on; the newest is the day that ended last."""
    return dg.DailyPartitionsDefinition(
        start_date=str(settings.first_export_date), timezone=settings.timezone.key, fmt="%Y-%m-%d"
    )


def export_date(context: dg.AssetExecutionContext) -> date:
    """The export date of a run. Every run has exactly one: ``BackfillPolicy.multi_run(1)``."""
    return date.fromisoformat(context.partition_key)
