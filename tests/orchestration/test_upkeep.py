"""The weekly job, and what it leaves of old runs: nothing."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from drillster_pipeline.definitions import defs
from drillster_pipeline.orchestration.jobs import delete_old_runs

from .houses import House


def test_the_job_is_scheduled_every_week_and_on_from_the_start() -> None:
    schedule = defs.resolve_schedule_def("upkeep")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.cron_schedule == "0 5 * * 0"


def test_nothing_is_left_of_an_old_run_and_all_of_a_young_one(house: House) -> None:
    with house.on_disk() as instance:
        job = defs.resolve_job_def("upkeep")
        old, young = (job.execute_in_process(instance=instance, raise_on_error=False) for _ in range(2))
        assert old.success
        printed = house.home / "storage" / old.run_id / "compute_logs"
        assert any(printed.iterdir())
        record = instance.get_run_record_by_id(young.run_id)
        assert record is not None
        tomorrow = (record.create_timestamp + timedelta(days=1)).date()
        assert delete_old_runs(instance, tomorrow - timedelta(days=1)) == 0
        assert delete_old_runs(instance, tomorrow, dry_run=True) == 2
        assert printed.exists()
        assert delete_old_runs(instance, tomorrow) == 2
        assert instance.get_runs_count() == 0
    left = [path for path in house.home.rglob("*") if old.run_id in str(path)]
    assert left == []


def test_wrong_settings_fail_it_with_what_to_mend(house: House) -> None:
    house.set(DRILLSTER_ARCHIVE_DAYS="many")
    result = defs.resolve_job_def("upkeep").execute_in_process(instance=house.instance, raise_on_error=False)
    (failed,) = (event for event in result.all_events if event.is_step_failure)
    assert "DRILLSTER_ARCHIVE_DAYS" in failed.step_failure_data.error_display_string
    assert failed.step_failure_data.user_failure_data is not None
