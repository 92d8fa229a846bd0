"""The four operations that carry all assets.

One walk keeps all connections busy and one transaction publishes all tables, so each is one operation that many
assets come out of. An operation that is asked for some of its assets only does what these need and reports on these.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from drillster_pipeline.resources import CAPTURED
from drillster_pipeline.settings import Settings
from drillster_pipeline.tables import tables_of

from . import checks
from . import metadata as pages
from . import run_logging as reports
from .errors import error_boundary
from .keys import resource_key, table_key
from .partitions import export_date
from .resources import DrillsterResource, RunContext
from .specs import data_tables, resource_spec, table_spec

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.capture import CaptureOutcome
    from drillster_pipeline.pipeline.context import PipelineContext
    from drillster_pipeline.pipeline.publish import PublishOutcome
    from drillster_pipeline.pipeline.quality import LoadQuality

Result = dg.MaterializeResult[Any] | dg.AssetCheckResult

POOL = "drillster"
"""Of one slot. It is the only pool: with one for captures and another for loads, a run that needs both is overtaken
for as long as runs that need one of them follow each other."""
PROGRESS_EVERY_SECONDS = 30.0


class CaptureConfig(dg.Config):
    """What a capture may be told for one run."""

    capture_again: bool = Field(
        default=False,
        description=(
            "Ask Drillster anew, even where an earlier run's capture of the newest date still waits to be published, "
            "or where the events of a past date are in the archive."
        ),
    )


class PublishConfig(dg.Config):
    """What a publish may be told for one run."""

    allow_mass_delete: bool = Field(
        default=False,
        description=(
            "Publish even if more than 20 % of a table's present rows (and at least 10), or more than half of them (of "
            "at least 2), would be marked as deleted; rows whose group, objective, catalog or account is proven gone "
            "do not count. Set it for one run, after you have seen that they are really gone from Drillster. It does "
            "not publish a table of which no row fitted."
        ),
    )


def capture_assets(
    kind: str, partitions: dg.PartitionsDefinition[str], settings: Settings, *, priority: int
) -> dg.AssetsDefinition:
    """``capture_snapshot`` or ``capture_events``."""
    resources = CAPTURED[kind]

    @dg.multi_asset(
        name=f"capture_{kind}",
        specs=[resource_spec(resource, partitions, settings) for resource in resources],
        check_specs=checks.capture_checks(resources),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        can_subset=True,
        pool=POOL,
        op_tags={"dagster/priority": str(priority)},
        description=_CAPTURE_WORDS[kind],
    )
    def capture(
        context: dg.AssetExecutionContext, config: CaptureConfig, drillster: dg.ResourceParam[DrillsterResource]
    ) -> Iterator[Result]:
        from drillster_pipeline.pipeline.capture import capture as capture_date

        def work() -> "CaptureOutcome":
            day = export_date(context.run.tags)
            session = drillster.run.pipeline
            session.on_progress = _progress(context, drillster.run)
            session.run_id, session.ended_well = context.run.run_id, partial(_ended_well, context.instance)
            return capture_date(session, kind, day, again=config.capture_again)

        outcome = error_boundary(context, drillster.run, work)
        context.log.info(reports.capture_sentence(kind, outcome))
        reports.tag_capture(context, kind, outcome)
        for resource in resources:
            if resource_key(resource) in context.selected_asset_keys:
                yield pages.captured(resource, outcome)
                yield from _selected(context, [checks.complete(resource, outcome.capture.manifest)])

    return capture


_CAPTURE_WORDS = {
    "snapshot": (
        "Walks over everything that Drillster says of the present, into the archive. Only the newest date that has "
        "ended can be captured; a past date is replayed from its archive, or refused where there is none."
    ),
    "events": (
        "Fetches the objective events of the date and the day before. Works for past dates, too: of all that "
        "Drillster says, events alone carry their own dates."
    ),
}
_PUBLISH_WORDS = (
    "Stages the newest sealed capture of the date, judges it, and publishes all tables in one transaction: readers see "
    "all of a night or nothing of it. Makes no request to Drillster."
)


def publish_assets(
    kind: str, partitions: dg.PartitionsDefinition[str], settings: Settings, *, priority: int
) -> dg.AssetsDefinition:
    """``publish_snapshot`` or ``publish_events``."""
    tables = data_tables(tables_of(kind))

    @dg.multi_asset(
        name=f"publish_{kind}",
        specs=[table_spec(table, kind, partitions, settings) for table in tables],
        check_specs=checks.publish_checks(tables),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        can_subset=True,
        pool=POOL,
        op_tags={"dagster/priority": str(priority)},
        description=_PUBLISH_WORDS,
    )
    def publish(
        context: dg.AssetExecutionContext, config: PublishConfig, drillster: dg.ResourceParam[DrillsterResource]
    ) -> Iterator[Result]:
        from drillster_pipeline.pipeline.publish import publish as publish_date
        from drillster_pipeline.pipeline.quality import load_quality

        selected = [table for table in tables if table_key(table.name) in context.selected_asset_keys]
        started = time.monotonic()

        def work() -> "tuple[PublishOutcome, LoadQuality]":
            day = export_date(context.run.tags)
            outcome = publish_date(
                drillster.run.pipeline,
                kind,
                day,
                run_id=context.run.run_id,
                tables=[table.name for table in selected],
                allow_mass_delete=config.allow_mass_delete,
            )
            return outcome, load_quality(drillster.run.pipeline, outcome)

        outcome, facts = error_boundary(context, drillster.run, work)
        seconds = time.monotonic() - started
        context.log.info(reports.publish_sentence(outcome, seconds))
        reports.tag_load(context, outcome)
        if kind == "snapshot" and len(selected) == len(tables):
            _beat(context, drillster.run.pipeline, outcome.export_date)
        for name, reason in outcome.unavailable.items():
            context.log.warning("warehouse/%s stays as it is: %s", name, reason)
        for table in selected:
            if table.name not in outcome.unavailable:  # its partition is as empty as it was
                yield pages.published(table, outcome, facts.sight, seconds)
            yield from _selected(context, checks.published(table, outcome, facts))

    return publish


def _selected(context: dg.AssetExecutionContext, found: list[dg.AssetCheckResult]) -> Iterator[dg.AssetCheckResult]:
    """Checks can be left out when a run is launched; Dagster wants no word of these."""
    for check in found:
        assert check.asset_key is not None
        assert check.check_name is not None
        if dg.AssetCheckKey(check.asset_key, check.check_name) in context.selected_asset_check_keys:
            yield check


def _beat(context: dg.AssetExecutionContext, session: "PipelineContext", published: date) -> None:
    """Ask DRILLSTER_HEARTBEAT_URL when the newest date was published; that it fails is no reason to fail."""
    from drillster_pipeline.pipeline.alert_channels import ping

    url = session.settings.heartbeat_url
    if url and published == session.newest_complete and (problem := ping(url.get_secret_value())):
        context.log.warning("DRILLSTER_HEARTBEAT_URL took no notice (%s): its service may raise an alarm.", problem)


def _ended_well(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run succeeded; one that nobody remembers is taken to have done so."""
    run = instance.get_run_by_id(run_id)
    return run is None or run.status is dg.DagsterRunStatus.SUCCESS


def _progress(context: dg.AssetExecutionContext, run: RunContext) -> Callable[[Any], None]:
    """Show every progress in the console, and one now and then in Dagster's log."""
    last = time.monotonic()

    def progress(moment: Any) -> None:
        nonlocal last
        run.on_progress(moment)
        if time.monotonic() - last >= PROGRESS_EVERY_SECONDS:
            last = time.monotonic()
            context.log.info(str(moment))

    return progress
