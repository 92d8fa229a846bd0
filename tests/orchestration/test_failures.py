"""When a step fails: what an operator reads, whether it is retried, and what the run and the command make of it."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from drillster_pipeline.orchestration.definitions import definitions_of
from drillster_pipeline.orchestration.names import ALONE
from tests.drillster import Failure, Faults, Sandbox
from tests.support.installation import DAY, Installation
from tests.support.webhooks import Webhook

from .runs import evaluate, failures_of, launch, texts

CAPTURE = ["drillster/accounts"]


def test_an_unexpected_error_is_reported_by_its_place_and_without_its_message_and_an_alert_has_its_type(
    installation: Installation, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("could not read jan@example.org")

    monkeypatch.setattr("drillster_pipeline.pipeline.capture.capture", broken)
    run_id = launch(installation, CAPTURE).run_id
    (entry,) = installation.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    data = entry.dagster_event.step_failure_data
    assert "ValueError: its message is withheld, as it may quote data" in str(data.error_display_string)
    assert "in `broken`" in str(data.user_failure_data.metadata["where"].value)
    assert "jan@" not in str(installation.instance.all_logs(run_id))
    evaluate(installation)
    (text,) = texts(hook)
    assert text.endswith(f"An error that this program does not expect, ValueError: see run {run_id} in Dagster")


def test_a_step_that_is_started_after_its_run_has_ended_does_nothing_and_leaves_its_tags(
    installation: Installation, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(context: dg.AssetExecutionContext, _: object) -> None:
        context.instance.report_run_failed(context.run)

    monkeypatch.setattr("drillster_pipeline.orchestration.assets._tag_run", ends)
    run_id = launch(installation, CAPTURE).run_id
    (message,) = failures_of(installation.instance, run_id).values()
    assert "started again after its run had ended: nothing was done" in message
    assert not sandbox.requests
    run = installation.instance.get_run_by_id(run_id)
    assert run is not None
    assert "drillster/error_type" not in run.tags


def test_an_unexpected_error_about_code_keeps_its_message(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("drillster_pipeline.pipeline.capture.CaptureOutcome")
    (message,) = failures_of(installation.instance, launch(installation, CAPTURE).run_id).values()
    assert "NameError: name 'CaptureOutcome' is not defined" in message


def test_the_gravest_of_known_and_unexpected_errors_decides_the_exit_code(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step fails unexpectedly, the second with an error that is known."""
    from drillster_pipeline.pipeline import capture as module

    capture = module.capture

    def half_broken(context: Any, kind: str, day: Any, **options: Any) -> Any:
        if kind == "snapshot":
            raise ValueError
        return capture(context, kind, day, **options)

    monkeypatch.setattr(module, "capture", half_broken)
    installation.sandbox.faults = Faults(failures=(Failure(at="groups", statuses=(400,), error="nonsense"),))
    result = installation.run(DAY)
    assert result.unexpected == ("capture_snapshot",)
    assert [error.exit_code for error in result.errors] == [6]
    assert result.exit_code == 1


def test_an_outage_is_retried_by_the_daemon_and_a_refusal_is_not_and_the_command_does_not_wait(
    installation: Installation, hook: Webhook
) -> None:
    """Here the archive does not answer: a file is in its way."""
    job = definitions_of(ALONE, retry_policy=dg.RetryPolicy(max_retries=2)).resolve_job_def("events")

    def steps() -> tuple[int, int]:
        day, instance = str(DAY), installation.instance
        result = job.execute_in_process(instance=instance, partition_key=day, raise_on_error=False)
        types = [event.event_type_value for event in result.all_events]
        return types.count("STEP_UP_FOR_RETRY"), types.count("STEP_FAILURE")

    (installation.folder / "file").write_text("in the way")
    installation.set(DRILLSTER_ARCHIVE_URL=str(installation.folder / "file" / "archive"))
    assert steps() == (2, 1)
    evaluate(installation)
    (text,) = texts(hook)  # when the last attempt has failed
    assert text.startswith(f"The capture of {DAY} failed.")
    assert "The archive failed while" in text
    result = installation.run(DAY)
    assert result.exit_code == 4
    types = [entry.dagster_event_type for entry in installation.instance.all_logs(result.run_id)]
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in types
    installation.set(DRILLSTER_ARCHIVE_URL=str(installation.folder / "archive"), DRILLSTER_CLIENT_SECRET="x" * 32)
    assert steps() == (0, 1)
