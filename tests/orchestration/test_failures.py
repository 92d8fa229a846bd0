"""When things go wrong: what a run says, and that it never says too much."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from drillster_pipeline.definitions import defs
from drillster_pipeline.orchestration.definitions import build_definitions
from drillster_pipeline.settings import SETTINGS
from tests.drillster import Failure, Faults, FieldFault, How, PageFault

from .houses import DAY, House, found_in, night_after, people_of, secrets_of

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

    monkeypatch.setattr("drillster_pipeline.pipeline.capture.capture", broken)
    night = house.night()
    assert (night.exit_code, night.unexpected) == (1, ("capture_snapshot", "capture_events"))
    (entry, _) = house.instance.all_logs(night.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    data = entry.dagster_event.step_failure_data  # type: ignore[union-attr]  # a failure has data
    assert "ValueError: its message is withheld, as it may quote data" in str(data.error_display_string)
    assert "in `broken`" in str(data.user_failure_data.metadata["where"].value)
    assert "jan@" not in str(house.instance.all_logs(night.run_id))


def test_an_unexpected_error_about_code_keeps_its_words(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("drillster_pipeline.pipeline.capture.CaptureOutcome")
    told = failures_of(house, house.night().run_id)["capture_snapshot"]
    assert "NameError: name 'CaptureOutcome' is not defined" in told


def test_the_gravest_of_known_and_unexpected_errors_decides_the_exit_code(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step fails unexpectedly, the second with an error that is known: each is told for what it is."""
    from drillster_pipeline.pipeline import capture as module

    capture = module.capture

    def half_broken(session: Any, kind: str, day: Any, **options: Any) -> Any:
        if kind == "snapshot":
            raise ValueError
        return capture(session, kind, day, **options)

    monkeypatch.setattr(module, "capture", half_broken)
    house.sandbox.faults = Faults(failures=(Failure(at="groups", statuses=(400,), error="nonsense"),))
    night = house.night()
    assert night.unexpected == ("capture_snapshot",)
    assert [error.exit_code for error in night.errors] == [6]
    assert night.exit_code == 1


class TestRetries:
    @pytest.fixture
    @staticmethod
    def outage(house: House) -> House:
        """Something that is needed does not answer: here the archive, which fails at once."""
        (house.folder / "file").write_text("in the way")
        house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / "file" / "archive"))
        return house

    def test_under_the_daemon_a_step_begins_again_twice_and_then_fails(self, outage: House) -> None:
        at_once = build_definitions(retry_policy=dg.RetryPolicy(max_retries=2))
        result = at_once.resolve_job_def("nightly").execute_in_process(
            instance=outage.instance, partition_key=str(DAY), raise_on_error=False
        )
        assert not result.success
        types = [event.event_type_value for event in result.all_events if event.step_key == "capture_events"]
        assert types.count("STEP_UP_FOR_RETRY") == 2
        assert types.count("STEP_FAILURE") == 1

    def test_in_the_console_nothing_waits(self, outage: House) -> None:
        night = outage.night()
        assert night.exit_code == 4
        types = [entry.dagster_event_type for entry in outage.instance.all_logs(night.run_id)]
        assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in types

    def test_a_refusal_is_not_tried_again(self, house: House) -> None:
        result = defs.resolve_job_def("nightly").execute_in_process(
            instance=house.instance, partition_key=str(DAY), raise_on_error=False
        )
        types = [event.event_type_value for event in result.all_events]
        assert "STEP_FAILURE" in types
        assert "STEP_UP_FOR_RETRY" not in types


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
