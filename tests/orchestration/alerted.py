"""Runs as a daemon makes them, and rounds of the alerts about them."""

from __future__ import annotations

from datetime import date
from typing import Any

import dagster as dg
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from drillster_pipeline.definitions import defs
from drillster_pipeline.orchestration.alerts import send_alerts
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import load_settings
from tests.support.webhooks import Webhook

from .houses import DAY, House


def look(house: House, **options: Any) -> tuple[int, int]:
    """A round, by the clock of the house."""
    settings = load_settings(needs_api=False, tolerant=True)
    with PipelineContext(settings=settings, now=lambda: house.now) as session:
        return send_alerts(house.instance, session, **{"pending": DAY, **options})


def texts(hook: Webhook) -> list[str]:
    return [message["text"].removeprefix("drillster-pipeline: ") for message in hook.got]


def begun(house: House, day: date | None = DAY, job: str = "nightly", *, launched: bool = True, **tags: str) -> Any:
    """A run that is under way; one that was ``launched`` by a daemon can be begun again by it."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="drillster_pipeline.definitions"))
    origin = RemoteJobOrigin(repository_origin=RemoteRepositoryOrigin(location, "__repository__"), job_name=job)
    return house.instance.create_run_for_job(
        defs.resolve_job_def(job),
        status=dg.DagsterRunStatus.STARTED,
        tags={**({"dagster/partition": str(day)} if day else {}), **tags},
        remote_job_origin=origin if launched else None,
    )


def refused(house: House, day: date, **tags: str) -> dg.ExecuteInProcessResult:
    """A run of the job for a date that was never captured."""
    house.set(DRILLSTER_FIRST_EXPORT_DATE="2026-01-01")
    job = defs.resolve_job_def("nightly")
    return job.execute_in_process(instance=house.instance, partition_key=str(day), raise_on_error=False, tags=tags)


def succeeded(house: House, day: date | None, job: str = "nightly", **tags: str) -> None:
    run = begun(house, day, job, **tags)
    house.instance.report_dagster_event(
        dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name=job), run_id=run.run_id
    )
