"""Runs as the UI, the daemon and the command make them, what Dagster is shown of them, and what alerts report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from drillster_pipeline.definitions import defs
from drillster_pipeline.orchestration import checks, metadata
from drillster_pipeline.orchestration.alerts import send_alerts
from drillster_pipeline.orchestration.definitions import definitions_of
from drillster_pipeline.orchestration.names import ALONE
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import load_quality
from drillster_pipeline.settings import read_settings
from drillster_pipeline.tables import DATA_TABLES, tables_of
from tests.support.installation import DAY, Installation
from tests.support.webhooks import Webhook

DEFINITIONS = definitions_of(ALONE, retry_policy=None)
"""Without waiting for another attempt."""


def launch(
    installation: Installation,
    assets: list[str],
    *,
    day: date = DAY,
    tags: dict[str, str] | None = None,
    checks: Any = None,
    **options: Any,
) -> dg.ExecuteInProcessResult:
    """A run for a selection of assets as the UI launches it."""
    selection = {dg.AssetKey(name.split("/")) for name in assets}
    job = DEFINITIONS.resolve_job_def("nightly").get_subset(asset_selection=selection, asset_check_selection=checks)
    run = installation.run_context()
    try:
        return job.execute_in_process(
            instance=installation.instance,
            raise_on_error=False,
            **{"resources": {"drillster": run}, **options},
            **({"tags": tags} if tags else {"partition_key": str(day)}),
        )
    finally:
        run.close()


def metadata_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, dict[str, Any]]:
    """Per asset that a run materialized, its metadata as plain values."""
    found = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        assert entry.dagster_event is not None
        materialization = entry.dagster_event.step_materialization_data.materialization
        found[materialization.asset_key.to_user_string()] = {
            name: value.value for name, value in materialization.metadata.items()
        }
    return found


def checks_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, bool]:
    """Per check that a run evaluated (``warehouse/results:no_rejects``), whether it passed."""
    found = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        assert entry.dagster_event is not None
        check = entry.dagster_event.asset_check_evaluation_data
        found[f"{check.asset_key.to_user_string()}:{check.check_name}"] = check.passed
    return found


def failures_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    """Per step that failed, what an operator reads."""
    return {
        entry.step_key or "": entry.dagster_event.step_failure_data.error_display_string
        for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    }


@dataclass(frozen=True)
class Shown:
    """What Dagster is shown of a capture and its load."""

    metadata: dict[str, dict[str, Any]]
    checks: dict[str, dg.AssetCheckResult]

    @property
    def warnings(self) -> dict[str, str]:
        """The checks that did not pass, and what they say."""
        return {name: str(check.description) for name, check in self.checks.items() if not check.passed}


def load_and_show(installation: Installation, kind: str = "snapshot", day: date | None = None) -> Shown:
    """Capture and load by function calls: what a run then gives to Dagster."""
    captured, outcome = installation.capture(kind, day), installation.publish(kind, day)
    quality = load_quality(installation.context, outcome)
    manifest = captured.capture.manifest
    results: list[Any] = []
    for resource in manifest["resources"]:
        results += [metadata.captured(resource, captured), checks.complete(resource, manifest)]
    for name in tables_of(kind):
        table = DATA_TABLES[name]
        if name not in outcome.unavailable:
            results.append(metadata.published(table, outcome, quality, 1.0))
        results += checks.published(table, outcome, quality)
    shown = Shown({}, {})
    for result in results:
        asset = result.asset_key.to_user_string()
        if isinstance(result, dg.AssetCheckResult):
            shown.checks[f"{asset}:{result.check_name}"] = result
        else:
            shown.metadata[asset] = {name: getattr(value, "value", value) for name, value in result.metadata.items()}
    return shown


def evaluate(installation: Installation, **options: Any) -> tuple[int, int]:
    """Send alerts, by the clock of the installation; ``pending`` is a date whose load is not expected yet."""
    settings, _ = read_settings(needs_api=False)
    with PipelineContext(settings=settings, now=lambda: installation.now) as context:
        return send_alerts(installation.instance, context, ALONE, **{"pending": DAY, **options})


def texts(hook: Webhook) -> list[str]:
    """The messages that a webhook got."""
    return [message["text"].removeprefix("drillster-pipeline: ") for message in hook.got]


def started(
    installation: Installation, day: date | None = DAY, job: str = "nightly", *, by_daemon: bool = False, **tags: str
) -> dg.DagsterRun:
    """A run that is under way; the daemon can retry those that it has launched."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="drillster_pipeline.definitions"))
    origin = RemoteJobOrigin(repository_origin=RemoteRepositoryOrigin(location, "__repository__"), job_name=job)
    return installation.instance.create_run_for_job(
        defs.resolve_job_def(job),
        status=dg.DagsterRunStatus.STARTED,
        tags={**({"dagster/partition": str(day)} if day else {}), **tags},
        remote_job_origin=origin if by_daemon else None,
    )


def failed(installation: Installation, day: date | None = DAY, *, by_daemon: bool = False, **tags: str) -> str:
    """A run that has failed without a step; its id."""
    run = started(installation, day, by_daemon=by_daemon, **tags)
    installation.instance.report_run_failed(run, "secret of a launcher")
    return run.run_id


def succeeded(installation: Installation, day: date | None, job: str = "nightly", **tags: str) -> None:
    """A run that has succeeded."""
    run = started(installation, day, job, **tags)
    event = dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name=job)
    installation.instance.report_dagster_event(event, run_id=run.run_id)
