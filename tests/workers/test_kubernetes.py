"""A capture in shards whose steps are jobs of Kubernetes; the cluster is :mod:`.kubernetes_api`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from kubernetes import client
from kubernetes.client.models import V1Job

from benchmarks.kill_grounds import Ground
from drillster_pipeline.dates import newest_complete
from tests.drillster import Faults, Sandbox
from tests.support.databases import execute
from tests.support.installation import AMSTERDAM, REPOSITORY, Installation
from tests.support.object_store import ObjectStore

from .cluster import requests_of
from .kubernetes_api import KubernetesApi, kubernetes_api

pytestmark = [pytest.mark.deep, pytest.mark.timeout(700)]
SCHEMA = "drillster"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    now = datetime.now(UTC)
    with Sandbox(accounts=60, seed=5, now=now, faults=Faults(latency=0.02)) as running:
        yield running


@pytest.fixture
def installation(
    tmp_path: Path, sandbox: Sandbox, store: ObjectStore, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """One whose processes share nothing but servers."""
    execute(postgresql_url, "CREATE DATABASE pods")
    url = postgresql_url.replace("/postgres?", "/pods?")
    with Installation(
        tmp_path,
        sandbox,
        now=sandbox.now,
        **store.environment,
        DRILLSTER_FIRST_EXPORT_DATE=str(newest_complete(sandbox.now, AMSTERDAM)),
        DRILLSTER_ARCHIVE_URL=f"s3://{store.bucket()}/archive",
        DRILLSTER_WAREHOUSE_URL=url,
        DRILLSTER_WAREHOUSE_SCHEMA=SCHEMA,
        DRILLSTER_EXECUTOR="k8s",
        DRILLSTER_CAPTURE_SHARDS="2",
        DAGSTER_POSTGRES_URL=url.replace("postgresql://", "postgresql+psycopg2://"),
    ) as made:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", made.environment["DAGSTER_POSTGRES_URL"])
        yield made
    execute(postgresql_url, "DROP DATABASE pods WITH (FORCE)")


@contextmanager
def run(installation: Installation, api: KubernetesApi) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a run of the job `events`, whose steps are jobs of Kubernetes; it is gone in the end."""
    launcher = {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {
            "job_namespace": "drillster",
            "job_image": "drillster-pipeline:test",
            "service_account_name": "dagster",
            "instance_config_map": "dagster-instance",
            "dagster_home": str(installation.home),
            "load_incluster_config": False,
            "kubeconfig_file": str(api.kubeconfig),
        },
    }
    shared = (REPOSITORY / "deploy" / "dagster.yaml").read_text()
    (installation.home / "dagster.yaml").write_text(shared + yaml.safe_dump({"run_launcher": launcher}))
    day = f'{{"dagster/partition": "{installation.day}"}}'
    command = ["job", "execute", "-m", "drillster_pipeline.definitions", "-j", "events"]
    with (
        (installation.folder / "run.log").open("ab") as log,
        subprocess.Popen(
            [str(Path(sys.executable).parent / "dagster"), *command, "--tags", day],
            cwd=installation.folder,
            env=installation.process_environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def unsharded(folder: Path, installation: Installation) -> tuple[dict[str, Any], Any]:
    """The tables that one process makes of the same, and its requests."""
    sandbox, url = installation.sandbox, installation.environment["DRILLSTER_WAREHOUSE_URL"]
    assert sandbox is not None
    place = {"DRILLSTER_WAREHOUSE_URL": url, "DRILLSTER_WAREHOUSE_SCHEMA": "alone"}
    with Installation(folder, sandbox, now=sandbox.now, **place) as alone:
        sandbox.clear()
        alone.load("events")
        asked = requests_of(sandbox)
        sandbox.clear()
    return Ground(folder, url, "alone", sandbox).content(), asked


def test_each_step_is_a_job_and_a_shard_that_is_gone_is_for_the_next_run(
    installation: Installation, tmp_path: Path
) -> None:
    sandbox = installation.sandbox
    assert sandbox is not None
    expected, asked = unsharded(tmp_path / "alone", installation)
    with kubernetes_api(tmp_path, installation.process_environment) as api:
        sandbox.change(latency=3.0)
        with run(installation, api) as first:
            name = until(lambda: next((name for name in api.jobs if "events_shard" in described(api.jobs[name])), None))
            time.sleep(6)
            api.delete(name)
            # Dagster finds it within half a minute, and would start it again after ten.
            with dg.DagsterInstance.from_config(str(installation.home)) as instance:
                until(lambda: retries(instance), seconds=180)
            first.send_signal(signal.SIGINT)
            first.wait(60)
        sandbox.change(latency=0.02)
        for each in api.jobs:
            api.delete(each)
        with run(installation, api) as second:
            assert second.wait(300) == 0, (installation.folder / "run.log").read_text()[-3000:]
        models = client.ApiClient()
        for job in api.jobs.values():
            models._ApiClient__deserialize_model(job, V1Job)  # it raises for what is no job
        steps = [described(job) for job in api.jobs.values()]
    assert sum("events_shard" in step for step in steps) >= 3
    warehouse = Ground(tmp_path, installation.environment["DRILLSTER_WAREHOUSE_URL"], SCHEMA, sandbox)
    assert warehouse.content() == expected
    assert not asked - requests_of(sandbox)


def described(job: dict[str, Any]) -> str:
    """The step of a job."""
    return str(job["metadata"]["labels"]["dagster/op"])


def retries(instance: dg.DagsterInstance) -> bool:
    """Whether Dagster means to start a step of the newest run again."""
    (run,) = instance.get_runs(limit=1)
    return bool(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY))


def until(condition: Any, *, seconds: float = 120.0) -> Any:
    """Wait for something to be so; what it is."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)
    return found
