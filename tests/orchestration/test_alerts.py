"""Alerts of a real Dagster instance: what is reported of runs, backfills and the warehouse, and its delivery."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from drillster_pipeline.definitions import defs
from drillster_pipeline.errors import GuardRefused
from drillster_pipeline.orchestration.alert_state import RECORD
from drillster_pipeline.orchestration.definitions import definitions_of
from drillster_pipeline.orchestration.jobs import alerts_sensor
from drillster_pipeline.orchestration.names import ALONE
from tests.drillster import Failure, Faults
from tests.support.installation import DAY, Installation, night_after
from tests.support.webhooks import Webhook

from .runs import evaluate, failed, launch, started, succeeded, texts

LATER = night_after(DAY + timedelta(days=3))
FORBIDDEN = Faults(failures=(Failure(at="organization", statuses=(403,)),))
CAPTURE = ["drillster/organization", "drillster/accounts"]


def fail(installation: Installation, job: str = "nightly", **settings: str) -> None:
    """A run of a job that fails at once by wrong settings."""
    before = {name: installation.environment.get(name, "") for name in settings}
    installation.set(**settings)
    days = {} if job == "upkeep" else {"partition_key": str(DAY)}
    defs.resolve_job_def(job).execute_in_process(instance=installation.instance, raise_on_error=False, **days)
    installation.set(**before)


class TestRuns:
    def test_a_refused_capture_is_reported_as_one_and_once(self, installation: Installation, hook: Webhook) -> None:
        installation.at(LATER)
        for sent in (1, 0):
            launch(installation, CAPTURE)
            assert evaluate(installation) == (sent, 0)
        (text,) = texts(hook)
        assert text.startswith(f"The capture of {DAY} was refused. {DAY} was never captured")

    def test_a_failed_capture_in_shards_is_called_a_capture(self, installation: Installation, hook: Webhook) -> None:
        installation.set(DRILLSTER_EXECUTOR="k8s", DRILLSTER_CAPTURE_SHARDS="2")
        installation.at(LATER)
        job = definitions_of(ALONE, retry_policy=None).resolve_job_def("nightly")
        run = installation.run_context()
        job.execute_in_process(
            instance=installation.instance,
            raise_on_error=False,
            resources={"drillster": run},
            partition_key=str(DAY),
        )
        run.close()
        evaluate(installation)
        (text,) = texts(hook)
        assert text.startswith(f"The capture of {DAY} was refused. {DAY} was never captured")

    def test_a_second_and_different_failure_of_a_date_is_reported_as_long_as_slack_takes(
        self, installation: Installation, hook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def publish(*_: object, **__: object) -> None:
            raise GuardRefused("x" * 100_000)

        fail(installation, "events", DRILLSTER_CONCURRENCY="many")
        evaluate(installation)
        monkeypatch.setattr("drillster_pipeline.pipeline.publish.publish", publish)
        launch(installation, ["warehouse/accounts"])
        evaluate(installation)
        first, second = texts(hook)
        assert first.startswith(f"The capture of {DAY} failed. One setting is wrong")
        assert second.startswith(f"The publish of {DAY} was refused. xxx")
        assert 3_000 < len(second) < 3_100

    def test_a_run_that_ended_before_any_step_is_reported(self, installation: Installation, hook: Webhook) -> None:
        run_id = failed(installation)
        evaluate(installation)
        (text,) = texts(hook)
        assert text == (
            f"The run of {DAY} failed. Run {run_id} ended before it was done: it could not start, or was killed. "
            "See it in Dagster"
        )

    def test_neither_runs_of_other_code_nor_those_before_the_first_evaluation_are_reported(
        self, installation: Installation
    ) -> None:
        @dg.op
        def raises() -> None:
            raise ValueError

        @dg.job
        def theirs() -> None:
            raises()

        failed(installation)
        with Webhook() as hook:
            installation.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
            evaluate(installation)
            theirs.execute_in_process(instance=installation.instance, raise_on_error=False)
            failed(installation, DAY - timedelta(days=1))
            evaluate(installation)
        assert [text[:21] for text in texts(hook)] == ["The run of 2026-06-08"]

    @pytest.mark.deep
    def test_a_run_that_the_daemon_retries_is_reported_with_its_last_attempt_or_after_a_while(
        self, installation: Installation, hook: Webhook
    ) -> None:
        with installation.on_disk() as instance:  # with the run_retries of the repository's dagster.yaml
            evaluate(installation)
            first = failed(installation, by_daemon=True)
            assert evaluate(installation) == (0, 0)
            second = started(installation, by_daemon=True)
            instance.add_run_tags(first, {"dagster/auto_retry_run_id": second.run_id})
            installation.at(installation.now + timedelta(hours=1))
            assert evaluate(installation) == (0, 0)
            instance.report_run_failed(second)
            instance.add_run_tags(second.run_id, {"dagster/will_retry": "false"})
            assert evaluate(installation) == (1, 0)
            assert second.run_id in texts(hook)[0]

            failed(installation, DAY - timedelta(days=1), by_daemon=True)
            assert evaluate(installation) == (0, 0)
            installation.at(installation.now + timedelta(minutes=11))
            assert [evaluate(installation) for _ in range(2)] == [(1, 0), (0, 0)]
            failed(installation, DAY - timedelta(days=2))  # the daemon cannot retry a run of the command
            assert evaluate(installation) == (1, 0)


class TestUnavailableResources:
    def test_one_is_reported_once_by_the_run_that_captured_it_or_keeps_its_capture(
        self, installation: Installation, hook: Webhook
    ) -> None:
        installation.sandbox.faults = FORBIDDEN
        installation.capture()  # by a run that was killed
        for sent in (1, 0):
            assert launch(installation, CAPTURE).success
            assert evaluate(installation) == (sent, 0)
        (text,) = texts(hook)
        assert text.startswith(f"The capture of {DAY} could not read organization. organization: the service account")

    def test_a_replay_does_not_report_it(self, installation: Installation, hook: Webhook) -> None:
        installation.sandbox.faults = FORBIDDEN
        installation.capture()
        installation.at(LATER)
        assert launch(installation, CAPTURE).success
        assert (evaluate(installation), hook.asked) == ((0, 0), 0)


class TestRecovery:
    def test_a_job_that_works_again_is_reported_and_a_later_failure_is_news(
        self, installation: Installation, hook: Webhook
    ) -> None:
        failed(installation)
        evaluate(installation)
        succeeded(installation, DAY - timedelta(days=1))
        succeeded(installation, DAY, **{"dagster/backfill": "abc"})
        succeeded(installation, None, "upkeep")
        assert evaluate(installation) == (0, 0)
        for days in (1, 2):
            succeeded(installation, DAY + timedelta(days=days))
        assert evaluate(installation) == (1, 0)
        assert texts(hook)[1:] == [
            "The job nightly works again. Its run of 2026-06-10 succeeded; before, it failed for 2026-06-09"
        ]
        failed(installation)
        assert evaluate(installation) == (1, 0)

    def test_the_upkeep_fails_and_works_again(self, installation: Installation, hook: Webhook) -> None:
        fail(installation, "upkeep", DRILLSTER_ARCHIVE_DAYS="many")
        evaluate(installation)
        installation.set(DRILLSTER_ARCHIVE_DAYS="400")
        assert defs.resolve_job_def("upkeep").execute_in_process(instance=installation.instance).success
        evaluate(installation)
        first, again = texts(hook)
        assert first.startswith("The job upkeep failed. One setting is wrong")
        assert "DRILLSTER_ARCHIVE_DAYS" in first
        assert again.startswith("The job upkeep works again. Its run of ")


def test_alerts_are_in_the_language_of_the_settings_around_a_cause_in_english(
    installation: Installation, hook: Webhook
) -> None:
    installation.set(DRILLSTER_LANGUAGE="nl")
    fail(installation, "events", DRILLSTER_CONCURRENCY="many")
    for days in range(11):
        failed(installation, DAY + timedelta(days=days))
    succeeded(installation, DAY + timedelta(days=11))
    evaluate(installation)
    refused, *_, again = texts(hook)
    assert refused.startswith("Het ophalen van 09-06-2026 is mislukt. One setting is wrong")
    assert again.startswith(
        "De job nightly werkt weer. De run van 20-06-2026 is gelukt; daarvoor mislukte de job voor 09-06-2026, 10-06"
    )
    assert again.endswith("18-06-2026 en nog 1")


class TestBackfills:
    ID = "abcdefgh"

    def set(self, installation: Installation, status: BulkActionStatus) -> None:
        assets = [dg.AssetKey(["warehouse", "results"])]
        backfill = PartitionBackfill(self.ID, status, False, {}, time.time(), asset_selection=assets)
        if installation.instance.get_backfill(self.ID) is None:
            installation.instance.add_backfill(backfill)
        else:
            installation.instance.update_backfill(backfill)

    def test_one_message_says_which_dates_failed_and_why(self, installation: Installation, hook: Webhook) -> None:
        tags = {"dagster/backfill": self.ID}
        installation.at(LATER)
        self.set(installation, BulkActionStatus.REQUESTED)
        for days in (1, 0):
            day = str(DAY - timedelta(days=days))
            assert not launch(installation, CAPTURE, tags={**tags, "dagster/partition": day}).success
        for days, run in ((1, failed), (2, succeeded), (3, failed), (3, succeeded)):
            run(installation, DAY + timedelta(days=days), **tags)
        late = started(installation, DAY + timedelta(days=4), **tags)
        assert evaluate(installation) == (0, 0)
        self.set(installation, BulkActionStatus.COMPLETED_FAILED)
        assert evaluate(installation) == (0, 0)  # one of its runs has not ended
        installation.instance.report_run_canceled(late)
        assert [evaluate(installation) for _ in range(2)] == [(1, 0), (0, 0)]
        (text,) = texts(hook)
        assert text.startswith(
            f"The backfill {self.ID} failed for 3 of 6 dates. 2026-06-08, 2026-06-09: 2026-06-08 was never captured"
        )
        assert "2026-06-10: Run " in text

    def test_one_that_the_daemon_could_not_carry_out_is_reported_unless_it_is_old(
        self, installation: Installation, hook: Webhook
    ) -> None:
        self.set(installation, BulkActionStatus.FAILED)
        assert [evaluate(installation) for _ in range(2)] == [(1, 0), (0, 0)]
        assert texts(hook)[0].startswith(f"The backfill {self.ID} failed. Dagster's daemon could not carry it out")
        installation.instance.daemon_cursor_storage.set_cursor_values({RECORD: ""})  # as before the first evaluation
        assert [evaluate(installation) for _ in range(2)] == [(0, 0), (0, 0)]

    def test_one_that_an_earlier_version_has_reported_is_not_reported_again_whatever_is_reported_after_it(
        self, installation: Installation, hook: Webhook
    ) -> None:
        """That version kept their ids in a list of its own."""
        cursors = installation.instance.daemon_cursor_storage

        def change_state(**changes: list[str]) -> None:
            state = json.loads(cursors.get_cursor_values({RECORD})[RECORD])
            cursors.set_cursor_values({RECORD: json.dumps({**state, **changes})})

        self.set(installation, BulkActionStatus.FAILED)
        change_state(backfills=[self.ID])
        assert evaluate(installation) == (0, 0)
        change_state(reported=[f"backfill|{self.ID}|", *(f"nightly|{DAY}|cause {number}" for number in range(2_000))])
        assert [evaluate(installation) for _ in range(2)] == [(0, 0), (0, 0)]
        assert hook.asked == 0


class TestDelivery:
    def test_a_message_waits_while_the_webhook_is_down(self, installation: Installation, hook: Webhook) -> None:
        hook.status = 503
        for waiting in (1, 2):
            failed(installation, DAY - timedelta(days=waiting))
            assert evaluate(installation) == (0, waiting)
        record = installation.instance.daemon_cursor_storage.get_cursor_values({RECORD})[RECORD]
        assert "The run of" in record
        assert "very-secret" not in record
        hook.status = 200
        assert [evaluate(installation) for _ in range(2)] == [(2, 0), (0, 0)]
        assert len(hook.got) == 2

    def test_of_two_channels_only_the_one_that_failed_gets_it_again_also_under_another_url(
        self, installation: Installation, hook: Webhook
    ) -> None:
        installation.set(DRILLSTER_ALERT_URLS="json://127.0.0.1:9/very-secret")
        failed(installation)
        assert [evaluate(installation) for _ in range(2)] == [(0, 1), (0, 1)]
        with Webhook() as other:
            installation.set(DRILLSTER_ALERT_URLS=other.url.replace("http", "json", 1))
            assert [evaluate(installation) for _ in range(2)] == [(1, 0), (0, 0)]
            assert (len(hook.got), len(other.got)) == (1, 1)

    def test_nothing_is_lost_where_delivery_ends_in_an_error(
        self, installation: Installation, hook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: object) -> None:
            raise OSError("the disk is gone")

        failed(installation)
        with monkeypatch.context() as broken:
            broken.setattr("drillster_pipeline.orchestration.alerts._deliver", down)
            with pytest.raises(OSError, match="gone"):
                evaluate(installation)
        assert (evaluate(installation), len(hook.got)) == ((1, 0), 1)

    def test_a_sensor_and_cron_at_once_report_once(self, installation: Installation, hook: Webhook) -> None:
        failed(installation)
        hook.held.clear()
        found = []
        first = threading.Thread(target=lambda: found.append(evaluate(installation)))
        first.start()
        while not hook.asked:
            assert first.is_alive()

        def answer(_seconds: float) -> None:
            hook.held.set()
            first.join()

        found.append(evaluate(installation, sleep=answer))
        assert (sorted(found), hook.asked) == ([(0, 0), (1, 0)], 1)

    def test_the_sensor_reports_also_while_other_settings_are_wrong_or_the_warehouse_is_down(
        self, installation: Installation, hook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(installation.folder)
        context = dg.build_sensor_context(instance=installation.instance)
        wrong = {"DRILLSTER_CONCURRENCY": "many", "DRILLSTER_WAREHOUSE_URL": "x", "DRILLSTER_CLIENT_SECRET": ""}
        fail(installation, "events", **wrong)
        installation.set(**wrong)
        result = alerts_sensor(ALONE)(context)
        assert isinstance(result, dg.SkipReason)
        assert result.skip_message == "1 sent, 0 waiting."
        assert texts(hook)[0].startswith(f"The capture of {DAY} failed. 3 settings are wrong")
        assert not (installation.folder / "data").exists()  # the default of the setting that is wrong
        installation.set(DRILLSTER_CONCURRENCY="4", DRILLSTER_WAREHOUSE_URL="postgresql://a:very-secret@127.0.0.1:9/c")
        failed(installation)
        assert evaluate(installation, pending=None) == (1, 0)

    def test_without_channels_nothing_is_kept(self, installation: Installation) -> None:
        failed(installation)
        alerts_sensor(ALONE)(dg.build_sensor_context(instance=installation.instance))
        assert installation.instance.daemon_cursor_storage.get_cursor_values({RECORD}) == {}


@pytest.fixture
def watched(loaded: Installation) -> Iterator[Webhook]:
    with Webhook() as hook:
        loaded.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
        yield hook


@pytest.mark.slow
def test_a_stale_warehouse_is_reported_once_and_then_when_it_is_up_to_date_again(
    loaded: Installation, watched: Webhook
) -> None:
    missing = DAY + timedelta(days=1)
    loaded.at(night_after(missing))
    evaluate(loaded, pending=None)
    loaded.at(loaded.now + timedelta(hours=7))
    evaluate(loaded, pending=missing)
    assert watched.asked == 0
    loaded.sandbox.faults = FORBIDDEN
    for _ in range(2):
        evaluate(loaded, pending=None)
        loaded.load()  # but not complete
    loaded.sandbox.faults = Faults()
    assert evaluate(loaded, pending=missing) == (0, 0)
    loaded.capture(again=True)
    loaded.publish()
    for pending in (missing, None):
        evaluate(loaded, pending=pending)
    stale, healed = texts(watched)
    assert stale.startswith(
        f"The warehouse is stale: there is no complete load of {missing}. The newest complete load describes {DAY}. "
    )
    assert healed == f"The warehouse is up to date again. Its newest complete load describes {missing} or later"
