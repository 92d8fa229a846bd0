"""The weekly job ``upkeep`` and the sensors that tell people of trouble.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from drillster_pipeline.errors import PipelineError, SettingsError

from .failures import ALERTED_AS
from .partitions import export_dates

if TYPE_CHECKING:
    from drillster_pipeline.export.session import Session

JOB = "upkeep"
CRON = "0 5 * * 0"
ALERTS_EVERY_SECONDS = 300


class UpkeepConfig(dg.Config):
    """What the upkeep may be told for one run."""

    keep_month_ends: bool = Field(
        default=False,
        description=(
            "Keep the last captured date of every month for ever, however old it is. For this run alone: to keep them "
            "every week, set DRILLSTER_KEEP_MONTH_ENDS=yes."
        ),
    )


def delete_old_runs(instance: dg.DagsterInstance, before: date, *, dry_run: bool = False) -> int:
    """Delete finished runs, with their events and logs, that were created before a date; returns how many."""
    finished = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    filters = dg.RunsFilter(statuses=finished, created_before=datetime.combine(before, time(0), tzinfo=UTC))
    records = instance.get_run_records(filters)
    for record in [] if dry_run else records:
        run_id = record.dagster_run.run_id
        # Dagster itself would leave what the steps have printed, and in SQLite the empty database of their events.
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
        for left in Path(instance.storage_directory()).parent.glob(f"history/runs/{run_id}.db*"):
            left.unlink()
    return len(records)


@dg.op(description="Removes captures older than DRILLSTER_ARCHIVE_DAYS, runs of that age, and old snapshots if wanted.")
def prune_archive_and_runs(context: dg.OpExecutionContext, config: UpkeepConfig) -> None:
    """Prune the archive and the runs; see ``drillster-pipeline prune``."""
    from drillster_pipeline.export.prune import prune

    try:
        with _session() as session:
            outcome = prune(session, keep_month_ends=config.keep_month_ends)
    except PipelineError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    for table, count in outcome.snapshot_rows.items():
        context.log.info("Removed %s rows of %s from before %s.", count, table, outcome.snapshots_before)
    runs = delete_old_runs(context.instance, outcome.before)
    context.log.info("Removed %s captures and %s runs from before %s.", len(outcome.captures), runs, outcome.before)


@dg.job(name=JOB, executor_def=dg.in_process_executor, description="Weekly: removes what is too old to keep.")
def upkeep() -> None:
    """The job of the upkeep."""
    prune_archive_and_runs()


def upkeep_schedule(timezone: str) -> dg.ScheduleDefinition:
    """Every Sunday at 05:00, on from the start."""
    return dg.ScheduleDefinition(
        name=JOB,
        job=upkeep,
        cron_schedule=CRON,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every Sunday at 05:00.",
    )


@dg.run_failure_sensor(
    name="failed_runs",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells DRILLSTER_ALERT_WEBHOOK of a night that failed, also when its process was killed.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Put an alert for a failed run into the outbox; a step that failed in our own hands has done so before."""
    from drillster_pipeline.export.alerts import Trouble, alert, deliver

    dates = export_dates(context.dagster_run.tags)
    if dates is None:
        return dg.SkipReason("The run was not for a date.")
    if any(_alerted(event) for event in context.get_step_failure_events()):
        return dg.SkipReason("The step that failed has told of it.")
    with _session(tolerant=True) as session:
        if session.settings.alert_webhook:
            alert(
                session,
                Trouble.FAILED,
                dates[0],
                f"Its run {context.dagster_run.run_id} ended before it was done: look at it in Dagster.",
            )
            deliver(session)
    return None


def _alerted(event: dg.DagsterEvent) -> bool:
    failure = event.step_failure_data.user_failure_data
    return failure is not None and ALERTED_AS in failure.metadata


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=ALERTS_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notices a stale warehouse, and sends alerts that could not be sent before.",
)
def alerts(_context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
    """Look, and send."""
    from drillster_pipeline.export.alerts import deliver, look_and_send

    try:
        with _session() as session:
            told = look_and_send(session)
    except SettingsError:
        # The nights fail, and who hears of that must not depend on the other settings.
        with _session(tolerant=True) as session:
            told = deliver(session)
    if not session.settings.alert_webhook:
        yield dg.SkipReason("DRILLSTER_ALERT_WEBHOOK is not set.")
    else:
        yield dg.SkipReason(f"{told.sent} sent, {told.waiting} waiting.")


def _session(*, tolerant: bool = False) -> "Session":
    from drillster_pipeline.export.session import Session
    from drillster_pipeline.settings import load_settings

    return Session(settings=load_settings(needs_api=False, tolerant=tolerant))
