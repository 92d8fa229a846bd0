"""Alerts of a real Dagster instance: what is reported of runs and backfills, once each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from drillster_pipeline.definitions import defs
from drillster_pipeline.errors import GuardRefused
from drillster_pipeline.orchestration.definitions import build_definitions
from drillster_pipeline.pipeline.capture import capture
from tests.drillster import Failure, Faults
from tests.support.webhooks import Webhook, running_webhook

from .alerted import begun, look, refused, succeeded, texts
from .houses import DAY, House, metadata_of, night_after

LATER = night_after(DAY + timedelta(days=3))
FORBIDDEN = Failure(at="organization", statuses=(403,))


class TestRuns:
    def test_a_refused_capture_is_reported_as_one_and_once(self, house: House, hook: Webhook) -> None:
        house.at(LATER)
        house.night()
        assert look(house) == (1, 0)
        (text,) = texts(hook)
        assert text.startswith(f"The capture of {DAY} was refused. {DAY} was never captured")
        house.night()
        assert look(house) == (0, 0)

    def test_a_second_and_different_failure_of_a_date_is_reported(
        self, house: House, hook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.set(DRILLSTER_CONCURRENCY="many")
        assert not house.night().success
        look(house)
        house.set(DRILLSTER_CONCURRENCY="4")

        def publish(*_: object, **__: object) -> None:
            raise GuardRefused("30 of 40 rows would be marked deleted")

        monkeypatch.setattr("drillster_pipeline.pipeline.publish.publish", publish)
        assert not house.night().success
        look(house)
        first, second = texts(hook)
        assert first.startswith(f"The capture of {DAY} failed. One setting is wrong")
        assert second == f"The publish of {DAY} was refused. 30 of 40 rows would be marked deleted"

    def test_of_an_unexpected_error_only_the_type_is_reported(
        self, house: House, hook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ValueError("could not read jan@example.org")

        monkeypatch.setattr("drillster_pipeline.pipeline.capture.capture", broken)
        run_id = house.night().run_id
        look(house)
        (text,) = texts(hook)
        assert text.endswith(f"An error that this program does not expect, ValueError: see run {run_id} in Dagster")

    def test_a_step_that_tries_again_by_itself_is_reported_when_it_has_failed(
        self, house: House, hook: Webhook
    ) -> None:
        (house.folder / "file").write_text("in the way")
        house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / "file"))
        at_once = build_definitions(retry_policy=dg.RetryPolicy(max_retries=2)).resolve_job_def("nightly")
        at_once.execute_in_process(instance=house.instance, partition_key=str(DAY), raise_on_error=False)
        look(house)
        (text,) = texts(hook)
        assert text.startswith(f"The capture of {DAY} failed.")
        assert "The archive failed while" in text

    def test_a_run_that_ended_before_any_step_is_reported(self, house: House, hook: Webhook) -> None:
        run = begun(house)
        house.instance.report_run_failed(run, "secret of a launcher")
        look(house)
        (text,) = texts(hook)
        assert text == (
            f"The run of {DAY} failed. Run {run.run_id} ended before it was done: it could not start, or was killed. "
            "See it in Dagster"
        )

    def test_a_run_that_fetches_events_of_a_past_date_is_reported(self, house: House, hook: Webhook) -> None:
        house.set(DRILLSTER_CONCURRENCY="many")
        job = defs.resolve_job_def("events")
        job.execute_in_process(instance=house.instance, partition_key=str(DAY), raise_on_error=False)
        assert (look(house), look(house)) == ((1, 0), (0, 0))
        assert texts(hook)[0].startswith(f"The capture of {DAY} failed. One setting is wrong")

    def test_a_message_is_as_long_as_slack_takes(
        self, house: House, hook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def publish(*_: object, **__: object) -> None:
            raise GuardRefused("x" * 100_000)

        monkeypatch.setattr("drillster_pipeline.pipeline.publish.publish", publish)
        house.night()
        look(house)
        assert 3_000 < len(texts(hook)[0]) < 3_100

    def test_runs_of_other_code_on_the_instance_are_not_reported(self, house: House, hook: Webhook) -> None:
        @dg.op
        def fail() -> None:
            raise ValueError

        @dg.job
        def theirs() -> None:
            fail()

        theirs.execute_in_process(instance=house.instance, raise_on_error=False)
        assert (look(house), hook.asked) == ((0, 0), 0)

    def test_what_failed_before_the_first_look_is_not_reported(self, house: House) -> None:
        house.instance.report_run_failed(begun(house))
        with running_webhook() as hook:
            house.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
            look(house)
            house.instance.report_run_failed(begun(house, DAY - timedelta(days=1)))
            look(house)
        assert [text[:21] for text in texts(hook)] == ["The run of 2026-06-08"]


class TestRetriesOfTheDaemon:
    @pytest.fixture(autouse=True)
    @staticmethod
    def instance(house: House, hook: Webhook) -> Iterator[None]:
        """One that begins crashed runs again, as the repository's dagster.yaml says."""
        with house.on_disk():
            look(house)
            yield
        del hook

    def test_a_run_that_is_begun_again_is_reported_when_its_retries_are_used_up(
        self, house: House, hook: Webhook
    ) -> None:
        first = begun(house)
        house.instance.report_run_failed(first)
        assert look(house) == (0, 0)
        second = begun(house)
        house.instance.add_run_tags(first.run_id, {"dagster/auto_retry_run_id": second.run_id})
        house.at(house.now + timedelta(hours=1))
        assert look(house) == (0, 0)
        house.instance.report_run_failed(second)
        house.instance.add_run_tags(second.run_id, {"dagster/will_retry": "false"})
        assert look(house) == (1, 0)
        assert second.run_id in texts(hook)[0]

    def test_a_run_that_no_daemon_begins_again_is_reported_after_a_while(self, house: House, hook: Webhook) -> None:
        house.instance.report_run_failed(begun(house))
        assert look(house) == (0, 0)
        house.at(house.now + timedelta(minutes=11))
        assert look(house) == (1, 0)
        assert look(house) == (0, 0)
        del hook

    def test_a_killed_run_of_the_console_is_reported_at_once(self, house: House, hook: Webhook) -> None:
        """No daemon can begin it again."""
        house.instance.report_run_failed(begun(house, launched=False))
        assert (look(house), len(hook.got)) == ((1, 0), 1)


class TestUnavailableResources:
    def test_one_is_reported_once_though_the_run_succeeds(self, house: House, hook: Webhook) -> None:
        house.sandbox.faults = Faults(failures=(FORBIDDEN,))
        assert house.night().success
        look(house)
        house.night()
        look(house)
        (text,) = texts(hook)
        assert text.startswith(f"The capture of {DAY} could not read organization. organization: the service account")

    def test_it_is_reported_by_the_next_run_where_the_one_that_met_it_was_killed(
        self, house: House, hook: Webhook
    ) -> None:
        house.sandbox.faults = Faults(failures=(FORBIDDEN,))
        with house.session() as session:
            capture(session, "snapshot", DAY)
        house.sandbox.faults = Faults()
        night = house.night()
        assert metadata_of(house.instance, night.run_id)["drillster/accounts"]["how"] == "kept"
        look(house)
        assert len(texts(hook)) == 1

    def test_a_replay_does_not_report_it_again(self, house: House) -> None:
        house.sandbox.faults = Faults(failures=(FORBIDDEN,))
        house.night()
        house.at(LATER)
        with running_webhook() as hook:
            house.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
            look(house)
            assert house.night().success
            assert look(house) == (0, 0)


class TestRecovery:
    def test_the_job_works_again(self, house: House, hook: Webhook) -> None:
        house.instance.report_run_failed(begun(house, DAY, launched=False))
        look(house)
        succeeded(house, DAY - timedelta(days=1))
        succeeded(house, DAY, **{"dagster/backfill": "abc"})
        succeeded(house, None, "upkeep")
        look(house)
        assert len(hook.got) == 1
        succeeded(house, DAY + timedelta(days=1))
        succeeded(house, DAY + timedelta(days=2))
        look(house)
        assert texts(hook)[1:] == [
            "The job nightly works again. Its run of 2026-06-10 succeeded; before, it failed for 2026-06-09"
        ]

    def test_a_failure_after_it_is_news_again(self, house: House, hook: Webhook) -> None:
        for _ in range(2):
            house.instance.report_run_failed(begun(house, DAY, launched=False))
            succeeded(house, DAY)
            look(house)
        assert [text.split(".")[0] for text in texts(hook)] == [
            f"The run of {DAY} failed",
            "The job nightly works again",
        ] * 2

    def test_the_upkeep_fails_and_works_again(self, house: House, hook: Webhook) -> None:
        job = defs.resolve_job_def("upkeep")
        house.set(DRILLSTER_ARCHIVE_DAYS="many")
        job.execute_in_process(instance=house.instance, raise_on_error=False)
        look(house)
        house.set(DRILLSTER_ARCHIVE_DAYS="400")
        assert job.execute_in_process(instance=house.instance).success
        look(house)
        failed, again = texts(hook)
        assert failed.startswith("The job upkeep failed. One setting is wrong")
        assert "DRILLSTER_ARCHIVE_DAYS" in failed
        assert again.startswith("The job upkeep works again. Its run of ")


class TestBackfills:
    def of(self, house: House, status: BulkActionStatus) -> PartitionBackfill:
        backfill = PartitionBackfill(
            "abcdefgh", status, False, {}, time.time(), asset_selection=[dg.AssetKey(["warehouse", "results"])]
        )
        if house.instance.get_backfill("abcdefgh") is None:
            house.instance.add_backfill(backfill)
        else:
            house.instance.update_backfill(backfill)
        return backfill

    def test_one_message_tells_which_dates_failed_and_why(self, house: House, hook: Webhook) -> None:
        tags = {"dagster/backfill": "abcdefgh"}
        house.at(LATER)
        self.of(house, BulkActionStatus.REQUESTED)
        for days in (1, 0):
            assert not refused(house, DAY - timedelta(days=days), **tags).success
        house.instance.report_run_failed(begun(house, DAY + timedelta(days=1), **tags))
        succeeded(house, DAY + timedelta(days=2), **tags)
        house.instance.report_run_failed(begun(house, DAY + timedelta(days=3), **tags))
        succeeded(house, DAY + timedelta(days=3), **tags)
        late = begun(house, DAY + timedelta(days=4), **tags)
        assert look(house) == (0, 0)
        self.of(house, BulkActionStatus.COMPLETED_FAILED)
        assert look(house) == (0, 0)  # a run of it goes on
        house.instance.report_run_canceled(late)
        assert look(house) == (1, 0)
        assert look(house) == (0, 0)
        (text,) = texts(hook)
        assert text.startswith(
            "The backfill abcdefgh failed for 3 of 6 dates. 2026-06-08, 2026-06-09: 2026-06-08 was never captured"
        )
        assert "2026-06-10: Run " in text
        assert "2026-06-12" not in text

    def test_one_that_the_daemon_could_not_carry_out_is_reported(self, house: House, hook: Webhook) -> None:
        self.of(house, BulkActionStatus.FAILED)
        look(house)
        assert texts(hook)[0].startswith("The backfill abcdefgh failed. Dagster's daemon could not carry it out")

    def test_one_that_succeeded_or_is_old_is_not_reported(self, house: House) -> None:
        self.of(house, BulkActionStatus.FAILED)
        with running_webhook() as hook:
            house.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
            look(house)
            house.instance.add_backfill(
                PartitionBackfill("other", BulkActionStatus.COMPLETED_SUCCESS, False, {}, time.time())
            )
            assert look(house) == (0, 0)
