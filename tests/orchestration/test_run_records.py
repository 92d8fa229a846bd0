"""What Dagster keeps of runs: those whose process is gone are marked as failed, and nothing is left of old ones."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import IO

import dagster as dg
import pytest
import yaml

from drillster_pipeline.definitions import defs
from drillster_pipeline.orchestration.jobs import delete_old_runs, lost_runs
from drillster_pipeline.orchestration.names import ALONE
from drillster_pipeline.orchestration.resources import drillster, fail_dead_runs, run_lock
from drillster_pipeline.organization import Organization
from tests.drillster import Faults
from tests.support.installation import DAY, REPOSITORY, Installation

from .runs import started

pytestmark = pytest.mark.slow
LOCKED = """
import sys, time
import dagster as dg
from drillster_pipeline.orchestration.resources import run_lock
with dg.DagsterInstance.from_config(sys.argv[1]) as instance, run_lock(instance, sys.argv[2]):
    print("locked", flush=True)
    time.sleep(600)
"""
RUN = """
import sys
from datetime import date, datetime
import dagster as dg
from drillster_pipeline.orchestration.in_process import run_nightly
from drillster_pipeline.orchestration.resources import RunContext
moment = datetime.fromisoformat(sys.argv[3])
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    run_nightly(instance, date.fromisoformat(sys.argv[2]), run=RunContext(now=lambda: moment), only_events=True)
"""


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def process_of(installation: Installation, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", script, str(installation.home), *arguments]
    environment = installation.process_environment
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.mark.deep
def test_a_run_whose_process_was_killed_is_marked_as_failed_also_after_its_container_was_replaced(
    installation: Installation, tmp_path: Path
) -> None:
    """Of a container's Dagster home, compose.yaml keeps ``storage``; ``history`` stands here for PostgreSQL."""
    with installation.on_disk() as instance:
        working, dead, elsewhere = (started(installation) for _ in range(3))
        with run_lock(instance, working.run_id), process_of(installation, LOCKED, dead.run_id) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            assert fail_dead_runs(instance) == []
            process.kill()
            process.wait()
            volumes = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]["code"]["volumes"]
            assert "storage:/var/lib/dagster/storage" in volumes
            replaced = tmp_path / "replaced"
            replaced.mkdir()
            for name in ("dagster.yaml", "history", "storage"):
                (installation.home / name).rename(replaced / name)
            with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.from_config(str(replaced)) as another:
                patch.setattr(socket, "gethostname", lambda: "another-container")
                skipped = lost_runs(dg.build_sensor_context(instance=another))
                assert skipped.skip_message == "1 found."
                assert status_of(another, dead) is dg.DagsterRunStatus.FAILURE
                # One works; the other may run in a place that does not share the folder.
                for run in (working, elsewhere):
                    assert status_of(another, run) is dg.DagsterRunStatus.STARTED
                assert fail_dead_runs(another) == []


def test_a_run_that_has_released_its_lock_and_is_about_to_end_is_not_marked(installation: Installation) -> None:
    with installation.on_disk() as instance, pytest.MonkeyPatch.context() as patch:
        run = started(installation)
        opened = []

        def ends_meanwhile(file: IO[bytes]) -> bool:
            opened.append(file)
            if len(opened) == 2:  # the first is the run's own
                lock.__exit__(None, None, None)
            return True

        patch.setattr(f"{run_lock.__module__}._try_lock", ends_meanwhile)
        lock = run_lock(instance, run.run_id)
        lock.__enter__()
        assert fail_dead_runs(instance) == []
        assert len(opened) == 2
        assert status_of(instance, run) is dg.DagsterRunStatus.STARTED


@pytest.mark.parametrize("executor", ["in_process", "k8s"])
def test_a_step_elsewhere_does_not_hide_that_the_process_of_its_run_was_killed(
    installation: Installation, executor: str
) -> None:
    installation.set(DRILLSTER_EXECUTOR=executor)
    with installation.on_disk() as instance:
        run = started(installation)
        lock = Path(instance.storage_directory()) / "drillster_runs" / run.run_id
        lock.parent.mkdir(parents=True)
        lock.touch()
        with dg.build_resources({"drillster": drillster(Organization())}, instance=instance, dagster_run=run):
            pass
        assert fail_dead_runs(instance) == ([run.run_id] if executor == "k8s" else [])


def test_a_lock_of_a_run_that_has_ended_or_is_unknown_is_removed(installation: Installation) -> None:
    with installation.on_disk() as instance:
        job = defs.resolve_job_def("nightly")
        ended = instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS)
        folder = Path(instance.storage_directory()) / "drillster_runs"
        folder.mkdir(parents=True)
        for name in (ended.run_id, "a-run-that-was-deleted"):
            (folder / name).touch()
        assert fail_dead_runs(instance) == []
        assert list(folder.iterdir()) == []
        assert status_of(instance, ended) is dg.DagsterRunStatus.SUCCESS


@pytest.mark.deep
def test_a_run_whose_process_was_killed_is_finished_by_the_next(installation: Installation) -> None:
    sandbox = installation.sandbox
    sandbox.faults = Faults(latency=0.1)
    with process_of(installation, RUN, str(DAY), installation.now.isoformat()) as process:
        deadline = time.monotonic() + 100
        while len(sandbox.requests) < 12 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    sandbox.faults = Faults()
    with installation.on_disk() as instance:
        (killed,) = instance.get_runs()
        assert killed.status is dg.DagsterRunStatus.STARTED
        assert installation.run(DAY, only_events=True).success
        assert status_of(instance, killed) is dg.DagsterRunStatus.FAILURE
    requests = [f"{record.path}?{record.query}" for record in sandbox.requests if record.method == "GET"]
    assert len(requests) - len(set(requests)) <= 9  # those under way when it was killed, and the organization
    assert installation.query("SELECT kind FROM loads") == [("events",)]


def test_nothing_is_left_of_an_old_run(installation: Installation) -> None:
    with installation.on_disk() as instance:
        job = defs.resolve_job_def("upkeep")
        old = job.execute_in_process(instance=instance)
        printed = installation.home / "storage" / old.run_id / "compute_logs"
        assert any(printed.iterdir())
        record = instance.get_run_record_by_id(old.run_id)
        assert record is not None
        tomorrow = (record.create_timestamp + timedelta(days=1)).date()
        assert delete_old_runs(instance, tomorrow - timedelta(days=1), ALONE) == 0
        assert delete_old_runs(instance, tomorrow, ALONE, dry_run=True) == 1
        assert printed.exists()
        assert delete_old_runs(instance, tomorrow, ALONE) == 1
        assert instance.get_runs_count() == 0
    assert [path for path in installation.home.rglob("*") if old.run_id in str(path)] == []
