"""What a person can select in the UI: an asset, a few, checks alone, a run over several dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from drillster_pipeline.definitions import defs
from drillster_pipeline.orchestration.resources import InProcessResource
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Sandbox

from .houses import DAY, House, checks_of, house_in, metadata_of

WHOLE_JOB = "__ASSET_JOB"


def launch(
    house: House, assets: list[str], *, tags: dict[str, str] | None = None, checks: Any = None, **options: Any
) -> dg.ExecuteInProcessResult:
    """A run as the UI launches it for a selection of assets."""
    job = defs.get_repository_def().get_job(WHOLE_JOB)
    selected = job.get_subset(
        asset_selection={dg.AssetKey(name.split("/")) for name in assets},
        asset_check_selection=checks,
    )
    run = house.run()
    try:
        return selected.execute_in_process(
            instance=house.instance,
            resources={"drillster": InProcessResource(run)},
            raise_on_error=False,
            **({"tags": tags} if tags else {"partition_key": str(DAY)}),
            **options,
        )
    finally:
        run.close()


@pytest.fixture(scope="module")
def shared(sandbox: Sandbox, first_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The archive of the first night; every test takes a warehouse of its own."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as monkeypatch, house_in(folder, monkeypatch, sandbox) as house:
        house.set(DRILLSTER_ARCHIVE_URL=str(first_night / "archive"))
        yield house


@pytest.mark.parametrize("name", ["organizations", "results", "test_result_scores", "objective_events"])
def test_each_table_alone_fills_an_empty_warehouse(shared: House, name: str) -> None:
    assert name in DATA_TABLES
    shared.use_warehouse(f"{name}.sqlite")
    result = launch(shared, [f"warehouse/{name}"])
    assert result.success
    assert set(metadata_of(shared.instance, result.run_id)) == {f"warehouse/{name}"}
    assert {key.split(":")[0] for key in checks_of(shared.instance, result.run_id)} == {f"warehouse/{name}"}
    assert all(passed for passed, _ in checks_of(shared.instance, result.run_id).values())
    assert shared.counts()[name] > 0


@pytest.mark.parametrize("name", ["organization", "results", "objective_events"])
def test_each_resource_alone_is_captured_with_all_of_its_kind(house: House, name: str) -> None:
    """One walk gives them all: the other resources are in the archive as well, and are not reported."""
    assert name in RESOURCES
    result = launch(house, [f"drillster/{name}"])
    assert result.success
    assert set(metadata_of(house.instance, result.run_id)) == {f"drillster/{name}"}
    with house.session() as session:
        kinds = [ref.kind for ref in session.archive.captures(DAY)]
    assert kinds == ["events" if name == "objective_events" else "snapshot"]


def test_a_table_with_its_resource_is_captured_and_published(house: House) -> None:
    result = launch(house, ["drillster/accounts", "warehouse/accounts"])
    assert result.success
    assert house.counts()["accounts"] > 0


def test_a_table_of_a_date_that_was_not_captured_is_refused_and_says_what_to_select(house: House) -> None:
    result = launch(house, ["warehouse/accounts"])
    assert not result.success
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert "select its capture assets (drillster/…) as well" in str(failure.step_failure_data.error_display_string)


def test_checks_can_be_left_out(shared: House) -> None:
    shared.use_warehouse("without-checks.sqlite")
    result = launch(shared, ["warehouse/organizations"], checks=set())
    assert result.success
    assert checks_of(shared.instance, result.run_id) == {}
    logged = [entry.message for entry in shared.instance.all_logs(result.run_id)]
    assert not any("not selected" in message for message in logged)


def test_checks_alone_say_that_they_come_with_their_asset(shared: House) -> None:
    check = dg.AssetCheckKey(dg.AssetKey(["warehouse", "results"]), "no_rejects")
    result = launch(shared, [], checks={check}, tags={"any": "thing"})
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert "checks are made when their asset is materialized" in str(failure.step_failure_data.error_display_string)


def test_a_run_that_spans_several_dates_is_refused(shared: House) -> None:
    tags = {
        "dagster/asset_partition_range_start": str(DAY - timedelta(days=1)),
        "dagster/asset_partition_range_end": str(DAY),
    }
    result = launch(shared, ["drillster/accounts"], tags=tags)
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert "launch a run for each" in str(failure.step_failure_data.error_display_string)


def test_a_run_of_a_backfill_knows_its_date_by_its_range(shared: House) -> None:
    shared.use_warehouse("range.sqlite")
    tags = {"dagster/asset_partition_range_start": str(DAY), "dagster/asset_partition_range_end": str(DAY)}
    assert launch(shared, ["warehouse/organizations"], tags=tags).success
    assert shared.rows("SELECT export_date FROM loads") == [(str(DAY),)]
    assert [run.tags["drillster/export_date"] for run in shared.instance.get_runs(limit=1)] == [str(DAY)]
