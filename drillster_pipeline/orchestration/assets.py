"""The five operations that carry all assets.

One crawl keeps all connections busy and one transaction publishes all tables, so each is one operation that many
assets come out of. A run of some of its assets does what these need, and reports on these.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
from pydantic import Field

from drillster_pipeline.resources import CAPTURED
from drillster_pipeline.settings import Settings
from drillster_pipeline.tables import DATA_TABLES, tables_of

from . import checks, metadata, specs
from .errors import StepContext, error_boundary
from .names import Names
from .resources import RESOURCE, RunContext

Result = dg.MaterializeResult[Any] | dg.AssetCheckResult

POOL = "drillster"
"""Of one slot. It is the only pool of an organization: with one for captures and another for loads, a run that needs
both is overtaken for as long as runs that need one of them follow each other."""
PROGRESS_EVERY_SECONDS = 30.0


class CaptureConfig(dg.Config):
    """Options of a capture, for one run."""

    capture_again: bool = Field(
        default=False,
        description=(
            "Ask Drillster anew, even where an earlier run's capture of the newest date still waits to be published, "
            "or where the events of a past date are in the archive."
        ),
    )


class PublishConfig(dg.Config):
    """Options of a publish, for one run."""

    allow_mass_delete: bool = Field(
        default=False,
        description=(
            "Publish even if more than 20 % of a table's present rows (and at least 10), or more than half of them (of "
            "at least 2), would be marked as deleted; rows whose group, objective, catalog or account is proven gone "
            "do not count. Set it for one run, after you have verified that they are really gone from Drillster. It "
            "does not publish a table of which no row fitted."
        ),
    )


_CAPTURES = {
    "snapshot": (
        "Captures the present state of everything in Drillster, into the archive. Only the newest date that has ended "
        "can be captured; a past date is replayed from its archive, or refused where there is none."
    ),
    "events": (
        "Fetches the objective events of the date and the day before. Works for past dates, too: of everything in "
        "Drillster, events alone carry their own dates."
    ),
}
_PUBLISH = (
    "Stages the newest sealed capture of the date, validates it, and publishes all tables in one transaction: readers "
    "see all of a load or nothing of it. Makes no request to Drillster."
)


def capture_assets(kind: str, names: Names, settings: Settings, **options: Any) -> dg.AssetsDefinition:
    """``capture_snapshot`` or ``capture_events``; ``options`` are those of :func:`_operation`."""
    resources = CAPTURED[kind]
    assets = [specs.resource_spec(kind, resource, settings) for resource in resources]

    @_operation(f"capture_{kind}", assets, names, settings, checks.capture_checks(resources), pool=POOL, **options)
    def capture(context: dg.AssetExecutionContext, config: CaptureConfig) -> Iterator[Result]:
        """Capture."""
        from drillster_pipeline.pipeline.capture import capture as capture_date

        with capturing(context, names) as (drillster, day):
            outcome = capture_date(drillster.pipeline, kind, day, again=config.capture_again)
            context.log.info("%s of %s: %s, capture %s", kind, day, outcome.how, outcome.capture.capture_id)
            for resource in resources:
                if names.key(specs.resource_key(resource)) in context.selected_asset_keys:
                    check = checks.complete(resource, outcome.capture.manifest)
                    yield from _selected(context, drillster, names, [metadata.captured(resource, outcome), check])

    return capture


@contextmanager
def capturing(context: StepContext, names: Names) -> Iterator[tuple[RunContext, date]]:
    """Around the work of a step that captures: what it works with, and the export date."""
    drillster = _run_context(context, names)
    _tag_run(context, names)
    with error_boundary(context, drillster, "capture"):
        day = specs.export_date(context.run.tags)
        drillster.pipeline.on_progress = _progress(context, drillster)
        drillster.pipeline.run_id = context.run.run_id
        drillster.pipeline.ended_well = partial(_ended_well, context.instance)
        yield drillster, day


def publish_assets(kind: str, names: Names, settings: Settings, **options: Any) -> dg.AssetsDefinition:
    """``publish_snapshot`` or ``publish_events``; ``options`` are those of :func:`_operation`."""
    tables = [DATA_TABLES[name] for name in tables_of(kind) if name in names.organization.tables]
    assets = [specs.table_spec(table, kind, settings) for table in tables]

    @_operation(f"publish_{kind}", assets, names, settings, checks.publish_checks(tables), pool=POOL, **options)
    def publish(context: dg.AssetExecutionContext, config: PublishConfig) -> Iterator[Result]:
        """Publish."""
        from drillster_pipeline.pipeline.publish import load_quality
        from drillster_pipeline.pipeline.publish import publish as publish_date

        drillster = _run_context(context, names)
        selected = [table for table in tables if names.key(specs.table_key(table.name)) in context.selected_asset_keys]
        started = time.monotonic()
        _tag_run(context, names)
        with error_boundary(context, drillster, "publish"):
            day = specs.export_date(context.run.tags)
            outcome = publish_date(
                drillster.pipeline,
                kind,
                day,
                run_id=context.run.run_id,
                tables=[table.name for table in selected],
                allow_mass_delete=config.allow_mass_delete,
            )
            quality = load_quality(drillster.pipeline, outcome)
            seconds = time.monotonic() - started
            load, rows = outcome.report.load_id, sum(table.rows_read for table in outcome.report.tables.values())
            context.log.info("%s of %s: load %s of %s rows, in %.1f s", kind, day, load, f"{rows:,}", seconds)
            if kind == "snapshot" and len(selected) == len(tables) and day == drillster.pipeline.newest_complete:
                _ping_heartbeat(context, drillster)
            for name, reason in outcome.unavailable.items():
                context.log.warning("Table %s stays as it is: %s", name, reason)
            for table in selected:
                found: list[Result] = []
                if table.name not in outcome.unavailable:  # its partition is as empty as it was
                    drillster.rows[table.name] = metadata.rows_of(outcome.report.tables[table.name])
                    found.append(metadata.published(table, outcome, quality, seconds))
                found += checks.published(table, outcome, quality)
                yield from _selected(context, drillster, names, found)

    return publish


def report_assets(names: Names, settings: Settings, **options: Any) -> dg.AssetsDefinition:
    """``write_report``; ``options`` are those of :func:`_operation`."""

    @_operation("write_report", [specs.report_spec(settings)], names, settings, **options)
    def write_report(context: dg.AssetExecutionContext) -> Iterator[Result]:
        """Write the page."""
        from drillster_pipeline.pipeline.report import write_report as write

        drillster = _run_context(context, names)
        with error_boundary(context, drillster, "report"):
            written = write(drillster.pipeline, specs.export_date(context.run.tags))
        yield from _selected(context, drillster, names, [metadata.reported(written)])

    return write_report


def _operation(
    name: str,
    assets: list[dg.AssetSpec],
    names: Names,
    settings: Settings,
    check_specs: list[dg.AssetCheckSpec] | None = None,
    *,
    priority: int,
    retry_policy: dg.RetryPolicy | None,
    pool: str | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """An operation of which some assets can be selected; the highest priority goes first."""
    return dg.multi_asset(
        name=names.of(name),
        specs=[names.spec(asset) for asset in assets],
        check_specs=[
            spec.replace_key(dg.AssetCheckKey(names.key(spec.asset_key), spec.name)) for spec in check_specs or ()
        ],
        partitions_def=specs.daily(settings),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        can_subset=check_specs is not None,
        pool=names.of(pool) if pool else None,
        required_resource_keys={names.of(RESOURCE)},
        op_tags=priority_tags(priority),
        retry_policy=retry_policy,
        description=_PUBLISH if name.startswith("publish") else _CAPTURES.get(name.removeprefix("capture_")),
    )


def priority_tags(priority: int) -> dict[str, str]:
    """Tags of an operation, for the executors that there are: the highest goes first."""
    return dict.fromkeys(("dagster/priority", "dagster-celery/priority"), str(priority))


def _run_context(context: StepContext, names: Names) -> RunContext:
    """The resource of the organization."""
    run: RunContext = getattr(context.resources, names.of(RESOURCE))
    return run


def _selected(
    context: dg.AssetExecutionContext, run: RunContext, names: Names, results: Iterable[Result]
) -> Iterator[Result]:
    """The results with the organization's keys, without the checks that were left out when the run was launched.

    Dagster refuses the result of such a check.
    """
    for result in results:
        assert result.asset_key is not None
        key = names.key(result.asset_key)
        if isinstance(result, dg.AssetCheckResult):
            assert result.check_name is not None
            if dg.AssetCheckKey(key, result.check_name) not in context.selected_asset_check_keys:
                continue
            if not result.passed:
                run.warnings.append(f"{key.to_user_string()} {result.check_name}: {result.description}")
        yield result._replace(asset_key=key)


def _tag_run(context: StepContext, names: Names) -> None:
    """Tag a run with what the page of runs does not show otherwise: the date of a backfill's, the organization."""
    tags = {name: value for name, value in names.run_tags.items() if name not in context.run.tags}
    if specs.PARTITION not in context.run.tags and (dates := specs.export_dates(context.run.tags)):
        tags["drillster/export_date"] = str(dates[0])
    if tags:
        context.instance.add_run_tags(context.run.run_id, tags)


def _ping_heartbeat(context: dg.AssetExecutionContext, run: RunContext) -> None:
    """Request DRILLSTER_HEARTBEAT_URL; a failure of it fails nothing."""
    from drillster_pipeline.alert_channels import ping

    url = run.pipeline.settings.heartbeat_url
    if url and (problem := ping(url.get_secret_value())):
        context.log.warning("DRILLSTER_HEARTBEAT_URL did not answer (%s): its service may raise an alarm.", problem)


def _ended_well(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run succeeded; one that is not known any more is assumed to have."""
    run = instance.get_run_by_id(run_id)
    return run is None or run.status is dg.DagsterRunStatus.SUCCESS


def _progress(context: StepContext, run: RunContext) -> Callable[[Any], None]:
    """Show each progress in the console, and one every half minute in Dagster's log."""
    last = time.monotonic()

    def progress(moment: Any) -> None:
        nonlocal last
        run.on_progress(moment)
        if time.monotonic() - last >= PROGRESS_EVERY_SECONDS:
            last = time.monotonic()
            context.log.info(str(moment))

    return progress
