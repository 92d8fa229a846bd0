"""The four operations that carry all assets.

One walk keeps all connections busy and one transaction publishes all tables, so each is one operation that many
assets come out of. An operation that is asked for some of its assets only does what these need and reports on these.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from drillster_pipeline.errors import PipelineError, Unavailable
from drillster_pipeline.tables import RESOURCES, tables_of

from . import checks
from .partitions import export_date
from .resources import DrillsterResource, Run
from .specs import data_tables, number, resource_key, resource_spec, table_key, table_spec

if TYPE_CHECKING:
    from drillster_pipeline.export import CaptureOutcome, PublishOutcome

CAPTURED = {
    "snapshot": tuple(name for name in RESOURCES if name != "objective_events"),
    "events": ("objective_events",),
}
PROGRESS_EVERY_SECONDS = 30.0
OUTAGE_RETRIES = 2
OUTAGE_WAIT_SECONDS = 600
"""How often, and after how long, a step begins again when Drillster does not answer for longer than requests retry."""


class CaptureConfig(dg.Config):
    """What a capture may be told for one run."""

    capture_again: bool = Field(
        default=False,
        description="Capture the newest date anew, even where an earlier run's capture still waits to be published.",
    )


class PublishConfig(dg.Config):
    """What a publish may be told for one run."""

    allow_mass_delete: bool = Field(
        default=False,
        description=(
            "Publish even if more than 20 % of a table's present rows (and at least 10) would be marked as deleted. "
            "Set it for one run, after you have seen that they are really gone from Drillster."
        ),
    )


def capture_assets(kind: str, partitions: dg.PartitionsDefinition[str], *, priority: int) -> dg.AssetsDefinition:
    """``capture_snapshot`` or ``capture_events``."""
    resources = CAPTURED[kind]

    @dg.multi_asset(
        name=f"capture_{kind}",
        specs=[resource_spec(resource, partitions) for resource in resources],
        check_specs=checks.capture_checks(resources),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        can_subset=True,
        pool="drillster_api",
        op_tags={"dagster/priority": str(priority)},
        description=_CAPTURE_WORDS[kind],
    )
    def capture(
        context: dg.AssetExecutionContext, config: CaptureConfig, drillster: dg.ResourceParam[DrillsterResource]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        from drillster_pipeline.export import capture as capture_date

        def work() -> "CaptureOutcome":
            session = drillster.run.session
            session.on_progress = _tell(context, drillster.run)
            return capture_date(session, kind, export_date(context), again=config.capture_again)

        outcome = _guarded(context, drillster.run, work)
        context.log.info(
            "%s of %s: %s, capture %s", kind, export_date(context), outcome.how, outcome.capture.capture_id
        )
        for resource in resources:
            if resource_key(resource) in context.selected_asset_keys:
                yield _captured(resource, outcome)

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


def publish_assets(kind: str, partitions: dg.PartitionsDefinition[str], *, priority: int) -> dg.AssetsDefinition:
    """``publish_snapshot`` or ``publish_events``."""
    tables = data_tables(tables_of(kind))

    @dg.multi_asset(
        name=f"publish_{kind}",
        specs=[table_spec(table, partitions) for table in tables],
        check_specs=checks.publish_checks(tables),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        can_subset=True,
        pool="warehouse",
        op_tags={"dagster/priority": str(priority)},
        description=_PUBLISH_WORDS,
    )
    def publish(
        context: dg.AssetExecutionContext, config: PublishConfig, drillster: dg.ResourceParam[DrillsterResource]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        from drillster_pipeline.export import publish as publish_date
        from drillster_pipeline.export.facts import gather

        selected = [table for table in tables if table_key(table.name) in context.selected_asset_keys]
        names = [table.name for table in selected]
        day = export_date(context)

        def work() -> "tuple[PublishOutcome, Any]":
            outcome = publish_date(
                drillster.run.session,
                kind,
                day,
                run_id=context.run.run_id,
                tables=names,
                allow_mass_delete=config.allow_mass_delete,
            )
            return outcome, gather(drillster.run.session, kind, day, outcome, names)

        outcome, facts = _guarded(context, drillster.run, work)
        for name, reason in outcome.unavailable.items():
            context.log.warning("warehouse/%s stays as it is: %s", name, reason)
        for table in selected:
            if table.name in outcome.report.tables:
                yield _published(table.name, outcome, list(checks.published(table, outcome, facts)))

    return publish


def _tell(context: dg.AssetExecutionContext, run: Run) -> Callable[[Any], None]:
    """Show every progress in the console, and one now and then in Dagster's log."""
    last = time.monotonic()

    def tell(progress: Any) -> None:
        nonlocal last
        run.on_progress(progress)
        if time.monotonic() - last >= PROGRESS_EVERY_SECONDS:
            last = time.monotonic()
            context.log.info(str(progress))

    return tell


def _guarded(context: dg.AssetExecutionContext, run: Run, work: Callable[[], Any]) -> Any:
    """Do the work; an error that we know becomes a failure that says what to do, without a traceback of ours."""
    try:
        return work()
    except PipelineError as error:
        run.errors.append(error)
        if isinstance(error, Unavailable) and run.retries and context.retry_number < OUTAGE_RETRIES:
            context.log.warning("%s. Trying again in %s minutes.", error, OUTAGE_WAIT_SECONDS // 60)
            raise dg.RetryRequested(max_retries=OUTAGE_RETRIES, seconds_to_wait=OUTAGE_WAIT_SECONDS) from None
        raise dg.Failure(
            description=str(error),
            metadata={"kind of error": type(error).__name__, "exit code": error.exit_code},
            allow_retries=False,
        ) from None


def _captured(resource: str, outcome: "CaptureOutcome") -> dg.MaterializeResult[Any]:
    manifest = outcome.capture.manifest
    entry = manifest["resources"][resource]
    walk = manifest["walk"]
    return dg.MaterializeResult(
        asset_key=resource_key(resource),
        metadata={
            "dagster/partition_row_count": entry["items"],
            "status": entry["status"],
            "how": str(outcome.how),
            "capture": outcome.capture.capture_id,
            "captured until": manifest["captured_until"],
            "units": number(entry["units"]),
            "pages": number(entry["pages"]),
            "bytes": number(sum(part["bytes"] for part in entry["parts"])),
            "requests of the walk": number(walk["requests"] if outcome.asked else 0),
            "retries of the walk": number(walk["retries"] if outcome.asked else 0),
            "tokens of the walk": number(walk["grants"] if outcome.asked else 0),
            "seconds of the walk": number(float(walk["seconds"]) if outcome.asked else 0.0),
        },
        check_results=[checks.complete(resource, manifest)],
    )


def _published(table: str, outcome: "PublishOutcome", found: list[dg.AssetCheckResult]) -> dg.MaterializeResult[Any]:
    report = outcome.report.tables[table]
    return dg.MaterializeResult(
        asset_key=table_key(table),
        metadata={
            "dagster/partition_row_count": report.rows_inserted + report.rows_updated + report.rows_unchanged,
            "inserted": number(report.rows_inserted),
            "updated": number(report.rows_updated),
            "unchanged": number(report.rows_unchanged),
            "deleted": number(report.rows_deleted),
            "rejected": number(report.rows_rejected),
            "read": number(report.rows_read),
            "mode": str(outcome.plans[table].mode),
            "load": outcome.report.load_id,
            "capture": outcome.capture.capture_id,
        },
        check_results=found,
    )
