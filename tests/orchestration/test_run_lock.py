"""Runs whose process was killed: they are noticed, and the next run finishes their night."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import dagster as dg
import pytest
import yaml

from drillster_pipeline.definitions import defs
from drillster_pipeline.orchestration.jobs import NIGHTLY
from drillster_pipeline.orchestration.resources import fail_dead_runs, run_lock
from drillster_pipeline.orchestration.sensors import lost_runs
from tests.drillster import Faults

from .houses import DAY, REPOSITORY, House, environment_of

HOLDS = """
import sys, time
from contextlib import ExitStack
import dagster as dg
from drillster_pipeline.orchestration.resources import run_lock
with dg.DagsterInstance.from_config(sys.argv[1]) as instance, run_lock(instance, sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""
NIGHT = """
import sys
from datetime import date, datetime
import dagster as dg
from drillster_pipeline.orchestration.in_process import run_nightly
from drillster_pipeline.orchestration.resources import RunContext
moment = datetime.fromisoformat(sys.argv[3])
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    run_nightly(instance, date.fromisoformat(sys.argv[2]), run=RunContext(now=lambda: moment))
"""


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(defs.resolve_job_def(NIGHTLY), status=dg.DagsterRunStatus.STARTED)


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_run_whose_process_was_killed_is_marked_as_failed(house: House) -> None:
    with house.on_disk() as instance:
        living, dead = started(instance), started(instance)
        command = [sys.executable, "-c", HOLDS, str(house.home), dead.run_id]
        with (
            run_lock(instance, living.run_id),
            subprocess.Popen(command, cwd=REPOSITORY, env=environment_of(house), stdout=subprocess.PIPE) as process,
        ):
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            assert fail_dead_runs(instance) == []
            process.send_signal(signal.SIGKILL)
            process.wait()
            context = dg.build_sensor_context(instance=instance)
            assert lost_runs(context).skip_message == "1 found."  # type: ignore[union-attr]  # it skips
            assert status_of(instance, dead) is dg.DagsterRunStatus.FAILURE
            assert status_of(instance, living) is dg.DagsterRunStatus.STARTED
            assert fail_dead_runs(instance) == []
        assert fail_dead_runs(instance) == []
        assert status_of(instance, living) is dg.DagsterRunStatus.STARTED  # it has let go of its lock by itself


def test_a_run_whose_container_was_replaced_is_marked_as_failed(house: House, tmp_path: Path) -> None:
    """Of a container's Dagster home, compose.yaml keeps ``storage``; ``history`` stands here for PostgreSQL."""
    with house.on_disk() as instance:
        dead, gone = started(instance), started(instance)
        command = [sys.executable, "-c", HOLDS, str(house.home), dead.run_id]
        with subprocess.Popen(command, cwd=REPOSITORY, env=environment_of(house), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            process.kill()
    volumes = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]["code"]["volumes"]
    assert "storage:/var/lib/dagster/storage" in volumes
    replaced = tmp_path / "replaced"
    replaced.mkdir()
    for name in ("dagster.yaml", "history", "storage"):
        (house.home / name).rename(replaced / name)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.from_config(str(replaced)) as instance:
        patch.setattr(socket, "gethostname", lambda: "another-container")
        assert fail_dead_runs(instance) == [dead.run_id]
        assert status_of(instance, dead) is dg.DagsterRunStatus.FAILURE
        # It may run elsewhere, in a place that does not share the folder.
        assert status_of(instance, gone) is dg.DagsterRunStatus.STARTED


def test_a_run_that_has_let_go_of_its_lock_and_is_about_to_end_is_not_judged(house: House) -> None:
    with house.on_disk() as instance:
        run = started(instance)
        opened = []

        def ends_meanwhile(file: IO[bytes]) -> bool:
            opened.append(file)
            if len(opened) == 1:  # the run's own
                return True
            lock.__exit__(None, None, None)
            return True

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"{run_lock.__module__}._try_lock", ends_meanwhile)
            lock = run_lock(instance, run.run_id)
            lock.__enter__()
            assert fail_dead_runs(instance) == []
        assert len(opened) == 2
        assert status_of(instance, run) is dg.DagsterRunStatus.STARTED


def test_a_lock_of_a_run_that_has_ended_or_is_not_known_is_cleared_away(house: House) -> None:
    with house.on_disk() as instance:
        ended = instance.create_run_for_job(defs.resolve_job_def(NIGHTLY), status=dg.DagsterRunStatus.SUCCESS)
        folder = Path(instance.storage_directory()) / "drillster_runs"
        folder.mkdir(parents=True)
        for name in (ended.run_id, "a-run-that-was-deleted"):
            (folder / name).touch()
        assert fail_dead_runs(instance) == []
        assert list(folder.iterdir()) == []
        assert status_of(instance, ended) is dg.DagsterRunStatus.SUCCESS


def test_a_night_whose_process_was_killed_is_finished_by_the_next(house: House) -> None:
    house.sandbox.faults = Faults(latency=0.1)
    command = [sys.executable, "-c", NIGHT, str(house.home), str(DAY), house.now.isoformat()]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment_of(house), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while len(house.sandbox.requests) < 40 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    house.sandbox.faults = Faults()
    with house.on_disk() as instance:
        (killed,) = instance.get_runs()
        assert killed.status is dg.DagsterRunStatus.STARTED
        assert house.night().success
        assert status_of(instance, killed) is dg.DagsterRunStatus.FAILURE
    asked = [f"{record.path}?{record.query}" for record in house.sandbox.requests if record.method == "GET"]
    assert len(asked) - len(set(asked)) <= 8  # those under way when it was killed
    assert house.rows("SELECT kind FROM loads ORDER BY kind") == [("events",), ("snapshot",)]
