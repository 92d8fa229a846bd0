"""The weekly job ``upkeep`` and the sensors that report what goes wrong.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

from datetime import UTC, date, datetime, time
from pathlib import Path

import dagster as dg
from pydantic import Field

from drillster_pipeline.errors import PipelineError

from .alerting import send_alerts
from .keys import UPKEEP

JOB = UPKEEP
CRON = "0 5 * * 0"
ALERTS_EVERY_SECONDS = 60


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
    from drillster_pipeline.pipeline.context import PipelineContext
    from drillster_pipeline.pipeline.prune import prune
    from drillster_pipeline.settings import load_settings

    try:
        with PipelineContext(settings=load_settings(needs_api=False)) as session:
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


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=ALERTS_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports runs and backfills that failed, what could not be read, and a stale warehouse.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Report what is new, and send what could not be sent before; also while other settings are wrong."""
    from drillster_pipeline.pipeline.context import PipelineContext
    from drillster_pipeline.settings import read_settings

    settings, problems = read_settings(needs_api=False)
    with PipelineContext(settings=settings) as session:
        sent, waiting = send_alerts(context.instance, session, settings_error="; ".join(problems) or None)
    return dg.SkipReason(f"{sent} sent, {waiting} waiting.")
