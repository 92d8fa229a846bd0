"""When things go wrong: what a run says, whom it tells, and that it never says too much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from drillster_pipeline.definitions import defs
from drillster_pipeline.export import capture
from drillster_pipeline.export.alerts import Trouble, alert
from drillster_pipeline.orchestration import failures
from drillster_pipeline.orchestration.upkeep import alerts, failed_runs
from drillster_pipeline.sandbox import Failure, Faults, FieldFault, How, PageFault
from drillster_pipeline.settings import SETTINGS
from tests.webhooks import Webhook, running_webhook

from .houses import DAY, House, found_in, metadata_of, night_after, people_of, secrets_of

BY_JOB = {"dagster/partition": str(DAY)}
BY_BACKFILL = {"dagster/asset_partition_range_start": str(DAY), "dagster/asset_partition_range_end": str(DAY)}
LATER = night_after(DAY + timedelta(days=3))


def failures_of(house: House, run_id: str) -> dict[str, str]:
    """Per step that failed, what an operator reads."""
    return {
        entry.step_key or "": entry.dagster_event.step_failure_data.error_display_string  # type: ignore[union-attr]  # a failure has data
        for entry in house.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    }


def test_all_mistakes_in_the_settings_are_told_at_once(house: House) -> None:
    house.set(
        DRILLSTER_CLIENT_ID="",
        DRILLSTER_PRIVATE_KEY="no key",
        DRILLSTER_CONCURRENCY="many",
        DRILLSTER_WAREHOUSE_URL="warehouse",
    )
    night = house.night()
    assert night.exit_code == 2
    told = failures_of(house, night.run_id)["capture_snapshot"]
    for name in ("DRILLSTER_CLIENT_ID", "DRILLSTER_PRIVATE_KEY", "DRILLSTER_CONCURRENCY", "DRILLSTER_WAREHOUSE_URL"):
        assert f"- {name} " in told
    assert "4 settings are wrong" in told


def test_an_unexpected_error_is_told_by_its_place_and_not_by_its_words(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("could not read jan@example.org")

    monkeypatch.setattr("drillster_pipeline.export.capture", broken)
    night = house.night()
    assert (night.exit_code, night.unexpected) == (1, ("capture_snapshot", "capture_events"))
    (entry, _) = house.instance.all_logs(night.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    data = entry.dagster_event.step_failure_data  # type: ignore[union-attr]  # a failure has data
    assert "ValueError (its message is withheld: it may quote data)" in str(data.error_display_string)
    assert "in `broken`" in str(data.user_failure_data.metadata["where"].value)
    assert "jan@" not in str(house.instance.all_logs(night.run_id))


def test_an_unexpected_error_about_code_keeps_its_words(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("drillster_pipeline.export.captures.CaptureOutcome")
    told = failures_of(house, house.night().run_id)["capture_snapshot"]
    assert "NameError: name 'CaptureOutcome' is not defined" in told


def test_the_gravest_of_known_and_unexpected_errors_decides_the_exit_code(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step fails unexpectedly, the second with an error that is known: each is told for what it is."""
    from drillster_pipeline import export

    capture = export.capture

    def half_broken(session: Any, kind: str, day: Any, **options: Any) -> Any:
        if kind == "snapshot":
            raise ValueError
        return capture(session, kind, day, **options)

    monkeypatch.setattr(export, "capture", half_broken)
    house.sandbox.faults = Faults(failures=(Failure(at="groups", statuses=(400,), error="nonsense"),))
    night = house.night()
    assert night.unexpected == ("capture_snapshot",)
    assert [error.exit_code for error in night.errors] == [6]
    assert night.exit_code == 1


class TestRetries:
    @pytest.fixture
    @staticmethod
    def outage(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
        """Something that is needed does not answer: here the archive, which fails at once."""
        monkeypatch.setattr(failures, "OUTAGE_WAIT_SECONDS", 0)
        (house.folder / "file").write_text("in the way")
        house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / "file" / "archive"))
        return house

    def test_under_the_daemon_a_step_begins_again_twice_and_then_fails(self, outage: House) -> None:
        result = defs.resolve_job_def("nightly").execute_in_process(
            instance=outage.instance, partition_key=str(DAY), raise_on_error=False
        )
        assert not result.success
        types = [event.event_type_value for event in result.all_events if event.step_key == "capture_events"]
        assert types.count("STEP_UP_FOR_RETRY") == failures.OUTAGE_RETRIES == 2
        assert types.count("STEP_FAILURE") == 1

    def test_in_the_console_nothing_waits(self, outage: House) -> None:
        night = outage.night()
        assert night.exit_code == 4
        types = [entry.dagster_event_type for entry in outage.instance.all_logs(night.run_id)]
        assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in types

    def test_a_refusal_is_not_tried_again(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(failures, "OUTAGE_WAIT_SECONDS", 0)
        result = defs.resolve_job_def("nightly").execute_in_process(
            instance=house.instance, partition_key=str(DAY), raise_on_error=False
        )
        types = [event.event_type_value for event in result.all_events]
        assert "STEP_FAILURE" in types
        assert "STEP_UP_FOR_RETRY" not in types


class Texts(Sequence[str]):
    """What a webhook was told, as texts."""

    def __init__(self, hook: Webhook) -> None:
        self._hook = hook

    def __len__(self) -> int:
        return len(self._hook.got)

    def __getitem__(self, place: Any) -> Any:
        return [message["text"] for message in self._hook.got][place]


class TestAlerts:
    @pytest.fixture
    @staticmethod
    def got(house: House) -> Iterator[Sequence[str]]:
        """The texts that a webhook on a real socket got."""
        with running_webhook() as hook:
            house.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
            yield Texts(hook)

    def sensor(self, house: House, run_id: str) -> dg.SkipReason | None:
        (failure,) = house.instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        run = house.instance.get_run_by_id(run_id)
        assert run is not None
        assert failure.dagster_event is not None
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_runs",
            dagster_event=failure.dagster_event,
            dagster_instance=house.instance,
            dagster_run=run,
        ).for_run_failure()
        found = failed_runs(context)
        assert found is None or isinstance(found, dg.SkipReason)
        return found

    def test_a_refused_date_is_told_once_and_the_sensor_keeps_quiet(self, house: House, got: Sequence[str]) -> None:
        house.at(LATER)
        night = house.night()
        assert len(got) == 1
        assert got[0].startswith(f"drillster-pipeline: The publish of {DAY} was refused. {DAY} was never captured")
        assert self.sensor(house, night.run_id) is not None
        house.night()
        assert len(got) == 1

    def test_an_unavailable_resource_is_told(self, house: House, got: Sequence[str]) -> None:
        house.sandbox.faults = Faults(failures=(Failure(at="organization", statuses=(403,)),))
        assert house.night().success
        (text,) = got
        assert f"A resource was unavailable in the night of {DAY}. organization: the service account has no" in text

    def test_it_is_told_by_the_next_run_where_the_one_that_met_it_was_killed(
        self, house: House, got: Sequence[str]
    ) -> None:
        house.sandbox.faults = Faults(failures=(Failure(at="organization", statuses=(403,)),))
        with house.session() as session:
            capture(session, "snapshot", DAY)
        house.sandbox.faults = Faults()
        night = house.night()
        assert metadata_of(house.instance, night.run_id)["drillster/accounts"]["how"] == "kept"
        (text,) = got
        assert f"A resource was unavailable in the night of {DAY}. organization: the service account has no" in text

    @pytest.mark.parametrize("tags", [BY_JOB, BY_BACKFILL], ids=["job", "backfill"])
    def test_a_run_whose_process_died_is_told_by_the_sensor(
        self, house: House, got: Sequence[str], tags: dict[str, str]
    ) -> None:
        job = defs.resolve_job_def("nightly")
        run = house.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        house.instance.report_run_failed(run)
        assert self.sensor(house, run.run_id) is None
        (text,) = got
        assert f"The night of {DAY} failed. Its run {run.run_id} ended before it was done" in text

    def test_a_night_that_fails_for_its_settings_is_told(self, house: House, got: Sequence[str]) -> None:
        house.set(DRILLSTER_CONCURRENCY="many", DRILLSTER_WAREHOUSE_URL="warehouse", DRILLSTER_CLIENT_SECRET="")
        night = house.night()
        (text,) = got
        assert text.startswith(f"drillster-pipeline: The night of {DAY} failed. 3 settings are wrong")
        assert self.sensor(house, night.run_id) is not None
        assert not (house.folder / "warehouse.sqlite").exists()

    def test_a_night_that_fails_for_its_archive_is_told_once(self, house: House, got: Sequence[str]) -> None:
        (house.folder / "file").write_text("in the way")
        house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / "file"))
        night = house.night()
        (text,) = got
        assert "The archive failed while" in text
        assert self.sensor(house, night.run_id) is not None

    def test_what_could_neither_be_kept_nor_sent_is_left_to_the_sensor(self, house: House, got: Sequence[str]) -> None:
        (house.folder / "file").write_text("in the way")
        house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / "file"))
        url = house.environment["DRILLSTER_ALERT_WEBHOOK"]
        house.set(DRILLSTER_ALERT_WEBHOOK="http://127.0.0.1:9/nobody-listens")
        night = house.night()
        house.set(DRILLSTER_ALERT_WEBHOOK=url)
        assert self.sensor(house, night.run_id) is None
        (text,) = got
        assert f"The night of {DAY} failed. Its run {night.run_id} ended before it was done" in text

    def test_the_sensor_sends_what_waits_also_while_other_settings_are_wrong(
        self, house: House, got: Sequence[str]
    ) -> None:
        with house.session() as session:
            alert(session, Trouble.FAILED, DAY, "x")
        house.set(DRILLSTER_CONCURRENCY="many")
        (told,) = alerts(dg.build_sensor_context(instance=house.instance))
        assert told.skip_message == "1 sent, 0 waiting."
        assert len(got) == 1

    def test_a_webhook_that_is_down_fails_no_night(self, house: House) -> None:
        house.set(DRILLSTER_ALERT_WEBHOOK="http://127.0.0.1:9/nobody-listens")
        house.sandbox.faults = Faults(failures=(Failure(at="organization", statuses=(403,)),))
        assert house.night().success


def _value(resource: str, field: str, value: object, every: int = 1) -> FieldFault:
    return FieldFault(resource=resource, field=field, what="value", value=value, every=every)


MISFORTUNES = {
    "personal fields of a wrong type, and fields named like people": Faults(
        fields=(
            _value("accounts", "account.name", {"private": "Private Person"}, 9),
            _value("accounts", "account.emailAddress", ["private.person@example.org"], 9),
            _value("accounts", "account.yearOfBirth", "private.person@example.org", 9),
            _value("accounts", "account.private_person@example", "x"),
        )
    ),
    "too many of them": Faults(fields=(_value("accounts", "account.name", {"private": "Private Person"}),)),
    "a list that never ends": Faults(
        clamped_sizes={"accounts": 4}, pages=(PageFault(resource="accounts", what="stuck"),)
    ),
    "a redirect": Faults(failures=(Failure(at="organizations/*/accounts", how=How.REDIRECT),)),
    "nothing may be read": Faults(failures=(Failure(statuses=(403,), error="no_permission"),)),
}


def test_dagster_never_holds_a_secret_or_a_person(house: House) -> None:
    """All that Dagster writes for runs of every kind, byte by byte: events, metadata, logs, compute logs."""
    assert {setting.name for setting in SETTINGS} > set(house.environment) - {"DAGSTER_HOME"}
    with house.on_disk():
        outcomes = {}
        for name, faults in MISFORTUNES.items():
            house.sandbox.faults = faults
            house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / f"archive-{len(outcomes)}"))  # nothing to go on with
            outcomes[name] = house.night().exit_code
        people = people_of(house)
        house.sandbox.faults = Faults()
        house.set(DRILLSTER_CLIENT_SECRET="another-secret-that-is-wrong")
        house.at(LATER)
        outcomes["a wrong secret, and no archive"] = house.night(DAY + timedelta(days=1)).exit_code
    assert list(outcomes.values()) == [0, 5, 6, 2, 3, 2], outcomes
    written = b"".join(path.read_bytes() for path in house.home.rglob("*") if path.is_file())
    assert len(written) > 1_000_000
    assert str(DAY).encode() in written
    own = ["another-secret-that-is-wrong", "Private Person", "person@example"]
    assert found_in(written, [*secrets_of(house), *people, *own]) == []
    assert len(people) > 40
