"""The job, in this process and on a real instance: what a night writes, and what it tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from drillster_pipeline.dates import newest_complete
from drillster_pipeline.definitions import defs
from drillster_pipeline.errors import GuardRefused, PastDateRefused
from drillster_pipeline.orchestration.in_process import RunResult
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Failure, Faults, FieldFault, PageFault, Sandbox, closed

from .houses import AMSTERDAM, DAY, NOW, House, checks_of, house_in, metadata_of, night_after

BEFORE = DAY - timedelta(days=1)
NEXT = DAY + timedelta(days=1)


@dataclass
class Told:
    """What Dagster keeps of a run."""

    night: RunResult
    metadata: dict[str, dict[str, object]]
    checks: dict[str, tuple[bool, str]]
    tags: dict[str, str]
    events: int

    @property
    def warnings(self) -> dict[str, str]:
        return {name: told for name, (passed, told) in self.checks.items() if not passed}


def told_of(house: House, night: RunResult) -> Told:
    run = house.instance.get_run_by_id(night.run_id)
    assert run is not None
    return Told(
        night,
        metadata_of(house.instance, night.run_id),
        checks_of(house.instance, night.run_id),
        dict(run.tags),
        len(house.instance.all_logs(night.run_id)),
    )


class TestAWholeNight:
    @pytest.fixture(scope="class")
    @staticmethod
    def whole(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Told]]:
        folder = tmp_path_factory.mktemp("whole")
        with (
            pytest.MonkeyPatch.context() as monkeypatch,
            house_in(folder, monkeypatch, sandbox) as house,
            house.on_disk(),
        ):
            yield house, told_of(house, house.night())

    def test_it_succeeds_without_a_warning(self, whole: tuple[House, Told]) -> None:
        _, told = whole
        assert (told.night.success, told.night.exit_code, told.warnings) == (True, 0, {})
        assert (told.night.errors, told.night.unexpected, told.night.warnings) == ((), (), ())

    def test_every_resource_tells_what_was_captured(self, whole: tuple[House, Told]) -> None:
        house, told = whole
        for resource in RESOURCES:
            metadata = told.metadata[f"drillster/{resource}"]
            assert metadata["how"] == "captured"
            assert metadata["export_date"] == str(DAY)
            assert metadata["status"] == "captured"
        walked = told.metadata["drillster/accounts"]["capture_requests"], told.metadata["drillster/objective_events"]
        assert walked[0] + walked[1]["capture_requests"] == house.sandbox.count(path="/api/*")  # type: ignore[operator,index]  # numbers
        assert house.sandbox.grants == 1

    def test_every_table_tells_what_was_written(self, whole: tuple[House, Told]) -> None:
        house, told = whole
        counts = house.counts()
        for name in DATA_TABLES:
            metadata = told.metadata[f"warehouse/{name}"]
            assert metadata["dagster/partition_row_count"] == metadata["rows_inserted"] == counts[name]
            assert (metadata["rows_deleted"], metadata["rows_rejected"]) == (0, 0)
        assert told.night.rows == counts
        assert told.metadata["warehouse/groups"]["complete"] == (
            "Yes: everything was read. Rows that are gone from Drillster were marked deleted."
        )
        assert told.metadata["warehouse/results"]["complete"] == (
            "Yes: everything was read. All rows of the date were replaced."
        )
        assert told.metadata["warehouse/test_results"]["complete"] == (
            "Yes: everything that Drillster gives was read. Events are never deleted."
        )

    def test_assets_name_the_load_and_the_capture(self, whole: tuple[House, Told]) -> None:
        house, told = whole
        loads = dict(house.rows("SELECT kind, load_id FROM loads"))
        for kind in ("snapshot", "events"):
            name = "objective_events" if kind == "events" else "results"
            assert told.metadata[f"warehouse/{name}"]["load_id"] == loads[kind]
            assert f"-{kind}-" in str(told.metadata[f"drillster/{name}"]["capture_id"])
        assert told.tags["dagster/partition"] == str(DAY)

    def test_the_ledger_names_the_run(self, whole: tuple[House, Told]) -> None:
        house, told = whole
        assert house.rows("SELECT DISTINCT run_id FROM loads") == [(told.night.run_id,)]

    def test_it_costs_no_more_events_than_there_is_to_tell(self, whole: tuple[House, Told]) -> None:
        _, told = whole
        assert told.events < 3 * (len(told.metadata) + len(told.checks)) + 25


def test_a_past_night_is_replayed_into_an_empty_warehouse_without_a_request(lived_in: House) -> None:
    house = lived_in
    before = house.counts()
    house.at(NOW + timedelta(days=30))
    house.use_warehouse("new.sqlite")
    house.sandbox.clear()
    told = told_of(house, house.night())
    assert told.night.success
    assert house.sandbox.requests == []
    assert house.counts() == before
    assert {metadata["how"] for name, metadata in told.metadata.items() if name.startswith("drillster/")} == {
        "replayed"
    }
    assert told.warnings == {}
    assert "capture_requests" not in told.metadata["drillster/accounts"]


def test_replaying_an_old_night_changes_nothing_and_warns_of_nothing(lived_in: House) -> None:
    house = lived_in
    house.at(night_after(NEXT))
    house.night(NEXT)
    columns = {
        name: ", ".join(c.name for c in table.all_columns if c.name not in {"load_id", "loaded_at"})
        for name, table in DATA_TABLES.items()
    }
    before = {name: sorted(house.rows(f"SELECT {columns[name]} FROM {name}"), key=str) for name in DATA_TABLES}
    told = told_of(house, house.night(DAY))
    assert {name: sorted(house.rows(f"SELECT {columns[name]} FROM {name}"), key=str) for name in DATA_TABLES} == before
    assert told.warnings == {}
    assert f"Not compared: this table is as of {NEXT}" in told.checks["warehouse/accounts:agrees_with_drillster"][1]


def test_a_past_date_without_an_archive_gets_its_events_and_a_refusal_of_the_rest(house: House) -> None:
    house.at(NOW + timedelta(days=3))
    told = told_of(house, house.night(DAY))
    assert (told.night.success, told.night.exit_code) == (False, 5)
    (error,) = told.night.errors
    assert isinstance(error, PastDateRefused)
    assert f"{DAY} was never captured" in str(error)
    assert "What can still be done" in str(error)
    assert set(told.metadata) == {"drillster/objective_events", "warehouse/objective_events"}
    assert house.rows("SELECT kind, export_date FROM loads") == [("events", str(DAY))]
    assert house.counts()["groups"] == 0
    windows = {record.query.split("fromDate=")[1][:10] for record in house.sandbox.requests if "/events" in record.path}
    assert windows == {str(BEFORE - timedelta(days=1))}  # 22:00 UTC of the day before the day before


def test_a_date_that_has_not_ended_is_refused(house: House) -> None:
    house.at(night_after(BEFORE))
    night = house.night(DAY)
    assert night.exit_code == 5
    assert "has not ended yet" in str(night.errors[0])


def test_events_that_can_not_be_read_do_not_hold_up_the_snapshot(house: House) -> None:
    house.sandbox.faults = Faults(failures=(Failure(at="objectives/*/events", statuses=(400,), error="no_such_thing"),))
    told = told_of(house, house.night())
    assert not told.night.success
    assert {name for name in told.metadata if name.startswith("warehouse/")} == {
        f"warehouse/{name}" for name in DATA_TABLES if name != "objective_events"
    }


def test_an_unavailable_resource_leaves_its_tables_alone_and_is_told(lived_in: House) -> None:
    house = lived_in
    before = house.rows("SELECT * FROM catalog_playables")
    house.sandbox.faults = Faults(failures=(Failure(at="organization/*/catalogs", statuses=(403,)),))
    house.at(night_after(NEXT))
    told = told_of(house, house.night(NEXT))
    assert told.night.exit_code == 0
    assert house.rows("SELECT * FROM catalog_playables") == before
    assert set(told.warnings) == {
        "drillster/catalogs:complete",
        "drillster/catalog_content:complete",
        "warehouse/catalogs:no_rejects",
        "warehouse/catalog_playables:no_rejects",
    }
    assert "no permission for it" in told.warnings["drillster/catalogs:complete"]
    assert all("`drillster-pipeline check` shows" in warning for warning in told.warnings.values())
    assert "The table stays as it is" in told.warnings["warehouse/catalog_playables:no_rejects"]
    assert "warehouse/catalog_playables" not in told.metadata  # nothing of that date is in it
    assert len(told.night.warnings) == 4


def test_a_short_read_deletes_nothing_and_says_what_is_missing(lived_in: House) -> None:
    house = lived_in
    house.at(night_after(NEXT))
    house.sandbox.faults = Faults(
        clamped_sizes={"accounts": 4},
        pages=(
            PageFault(resource="accounts", what="shrink", n=3),
            PageFault(resource="accounts", what="total_off", n=9),
        ),
    )
    told = told_of(house, house.night(NEXT))
    assert told.night.success
    assert "rows that are missing are not marked deleted" in told.warnings["drillster/accounts:complete"]
    assert str(told.metadata["warehouse/account_external_ids"]["complete"]).startswith("No. Not read: accounts list: ")
    assert house.rows("SELECT count(*) FROM accounts WHERE deleted_on IS NOT NULL AND is_managed") == [(0,)]


def test_one_account_that_is_counted_and_not_given_stays_as_it_was(lived_in: House) -> None:
    house = lived_in
    people = "SELECT account_id, is_managed, locale, deleted_on FROM accounts WHERE is_managed ORDER BY account_id"
    unmanaged = "SELECT account_id FROM accounts_history WHERE NOT is_managed AND valid_from = :day"
    before = house.rows(people)
    house.at(night_after(NEXT))
    house.sandbox.faults = Faults(pages=(PageFault(resource="accounts", what="short", n=1),))
    told = told_of(house, house.night(NEXT))
    assert told.night.success
    assert "rows that are missing are not marked deleted" in told.warnings["drillster/accounts:complete"]
    assert set(before) <= set(house.rows(people))
    assert not {row[0] for row in before} & {row[0] for row in house.rows(unmanaged, day=str(NEXT))}


def test_what_a_group_hides_by_404_stays_and_is_told_as_hidden(lived_in: House) -> None:
    house = lived_in
    (group,) = house.rows("SELECT group_id FROM group_staff LIMIT 1")[0]
    house.at(night_after(NEXT))
    house.sandbox.faults = Faults(failures=closed(group, what="staff", status=404, error="not_found"))
    told = told_of(house, house.night(NEXT))
    assert told.night.success
    assert f"group {group} is not to be found (404); rows" in told.warnings["drillster/group_staff:complete"]
    assert house.rows("SELECT count(*) FROM group_staff WHERE group_id = :g AND deleted_on IS NULL", g=group) > [(0,)]


def test_rows_of_a_closed_group_stay_and_the_group_is_named(lived_in: House) -> None:
    house = lived_in
    (group,) = house.rows("SELECT group_id FROM group_members GROUP BY group_id ORDER BY count(*) DESC LIMIT 1")[0]
    before = house.rows("SELECT count(*) FROM group_members WHERE group_id = :g", g=group)
    house.sandbox.faults = Faults(failures=closed(group), unlisted_groups=frozenset({group}))
    house.at(night_after(NEXT))
    told = told_of(house, house.night(NEXT))
    assert told.night.success
    assert f"group {group} is closed to the service account" in told.warnings["drillster/groups:complete"]
    assert f"groups of group {group}: 403" in str(told.metadata["warehouse/group_members"]["complete"])
    present = "SELECT count(*) FROM group_members WHERE group_id = :g AND deleted_on IS NULL"
    assert house.rows(present, g=group) == before


def test_unknown_fields_are_told_by_path_and_cost_nothing_else(house: House) -> None:
    fault = FieldFault(resource="accounts", field="account.nickname", what="value", value="Sjors", every=3)
    house.sandbox.faults = Faults(fields=(fault,))
    told = told_of(house, house.night())
    assert told.night.success
    assert set(told.warnings) == {"warehouse/accounts:no_unknown_fields"}
    assert "accounts[].account.nickname" in told.warnings["warehouse/accounts:no_unknown_fields"]
    assert "Sjors" not in str(told.checks)


def test_some_rejects_are_borne_and_told(house: House) -> None:
    fault = FieldFault(resource="group_staff", field="user.id", what="missing", every=50)
    house.sandbox.faults = Faults(fields=(fault,))
    told = told_of(house, house.night())
    assert told.night.success
    warning = told.warnings["warehouse/group_staff:no_rejects"]
    assert "rows did not fit and were left out: account_id: " in warning
    assert "The table rejected_rows has them all, under load_id" in warning
    rejected = told.metadata["warehouse/group_staff"]["rows_rejected"]
    assert house.rows("SELECT count(*) FROM rejected_rows") == [(rejected,)]


def test_percentages_with_a_fraction_are_rounded_and_counted(house: House) -> None:
    fault = FieldFault(resource="objective_evaluations", field="proficiency", what="value", value=66.5)
    house.sandbox.faults = Faults(fields=(fault,))
    told = told_of(house, house.night())
    assert (told.night.success, told.warnings) == (True, {})
    query = "SELECT count(*), min(proficiency), max(proficiency) FROM objective_evaluations"
    ((evaluations, *spread),) = house.rows(query)
    assert spread == [67, 67]
    _, words = told.checks["warehouse/objective_evaluations:no_rejects"]
    assert f"rows fitted. Rounded, as they had a fraction: proficiency ({evaluations:,})" in words


def test_too_many_rejects_refuse_the_load_of_the_snapshot_alone(house: House) -> None:
    fault = FieldFault(resource="results", field="timeSpent", what="value", value="long")
    house.sandbox.faults = Faults(fields=(fault,))
    told = told_of(house, house.night())
    assert told.night.exit_code == 5
    assert isinstance(told.night.errors[0], GuardRefused)
    assert "rows did not fit" in str(told.night.errors[0])
    assert set(told.night.rows) == {"objective_events"}
    assert house.rows("SELECT kind FROM loads") == [("events",)]


def test_a_mass_deletion_is_refused_once_and_published_with_the_override(lived_in: House) -> None:
    house = lived_in
    before = house.counts()
    groups = frozenset(group for (group,) in house.rows("SELECT group_id FROM groups"))
    house.sandbox.faults = Faults(hidden_groups=groups)
    house.at(night_after(NEXT))
    refused = told_of(house, house.night(NEXT))
    assert refused.night.exit_code == 5
    assert "allow_mass_delete in the launchpad" in str(refused.night.errors[0])
    assert house.rows("SELECT count(*) FROM group_members WHERE deleted_on IS NOT NULL") == [(0,)]
    allowed = told_of(house, house.night(NEXT, allow_mass_delete=True))
    assert allowed.night.exit_code == 0
    assert allowed.metadata["warehouse/group_members"]["rows_deleted"] == before["group_members"]
    assert house.rows("SELECT count(*) FROM groups WHERE deleted_on IS NULL") == [(0,)]


def test_a_capture_that_was_not_published_is_published_by_the_next_run_without_a_request(house: House) -> None:
    house.use_warehouse("broken.sqlite")
    (house.folder / "broken.sqlite").write_bytes(b"This is no database. " * 100)
    broken = house.night()
    assert (broken.exit_code, broken.unexpected) == (2, ())
    house.use_warehouse("warehouse.sqlite")
    house.sandbox.clear()
    told = told_of(house, house.night())
    assert told.night.success
    assert house.sandbox.requests == []
    assert told.metadata["drillster/results"]["how"] == "kept"


def test_a_night_is_captured_anew_when_that_is_asked_for(lived_in: House) -> None:
    assert lived_in.night(capture_again=True).success
    assert lived_in.sandbox.count(path="/api/2.1.1/groups") == 1


def test_the_job_works_with_the_resource_of_the_definitions_too(house: House) -> None:
    """As Dagster runs it: on the clock of the world, and with nothing that the console passes in."""
    now = datetime.now(UTC)
    day = newest_complete(now, AMSTERDAM)
    house.at(now)
    assert defs.resolve_job_def("nightly").execute_in_process(instance=house.instance, partition_key=str(day)).success
    assert house.rows("SELECT DISTINCT export_date FROM loads") == [(str(day),)]
