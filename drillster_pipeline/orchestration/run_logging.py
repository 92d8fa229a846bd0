"""What an operator reads of a run: its tags, and one line in the log for each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from .partitions import PARTITION, export_date

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.capture import CaptureOutcome
    from drillster_pipeline.pipeline.publish import PublishOutcome


def capture_sentence(kind: str, outcome: CaptureOutcome) -> str:
    """How a date came to its capture."""
    walk = outcome.capture.manifest["walk"]
    asked = f"{walk['requests']:,} requests, {walk['retries']:,} retries, {walk['seconds']:.1f} s"
    return (
        f"{kind} of {outcome.capture.ref.export_date}: {outcome.how}, capture {outcome.capture.capture_id} "
        f"({asked if outcome.asked else 'no request to Drillster'})"
    )


def tag_capture(context: dg.AssetExecutionContext, kind: str, outcome: CaptureOutcome) -> None:
    """Note on the run which capture it made or took."""
    _tag(context, {f"drillster/{kind}_capture": outcome.capture.capture_id})


def publish_sentence(outcome: PublishOutcome, seconds: float) -> str:
    """What a load did, all tables together."""
    reports = outcome.report.tables.values()
    return (
        f"{outcome.kind} of {outcome.export_date}: load {outcome.report.load_id} of {len(reports)} tables from capture "
        f"{outcome.capture.capture_id}, {seconds:.1f} s. "
        f"{sum(each.rows_inserted for each in reports):,} rows inserted, "
        f"{sum(each.rows_updated for each in reports):,} updated, "
        f"{sum(each.rows_deleted for each in reports):,} deleted, "
        f"{sum(each.rows_unchanged for each in reports):,} unchanged, "
        f"{sum(each.rows_rejected for each in reports):,} rejected"
    )


def tag_load(context: dg.AssetExecutionContext, outcome: PublishOutcome) -> None:
    """Note on the run which load it published."""
    _tag(context, {f"drillster/{outcome.kind}_load": outcome.report.load_id})


def _tag(context: dg.AssetExecutionContext, tags: dict[str, str]) -> None:
    """Tags stand in the list of runs: only what tells runs apart, or what one searches by."""
    if PARTITION not in context.run.tags:  # a run of a backfill: the list does not show its date
        tags = {"drillster/export_date": str(export_date(context.run.tags)), **tags}
    context.instance.add_run_tags(context.run.run_id, tags)
