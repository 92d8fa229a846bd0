"""The image and compose.yaml in real containers: whatever happens to them, the warehouse ends as an undisturbed one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
import sqlalchemy as sa

from benchmarks.kill_grounds import Ground
from drillster_pipeline.dates import newest_complete
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import Warehouse
from tests.drillster import Sandbox
from tests.support.databases import execute, postgresql_engine
from tests.support.disks import Disk, small_disk
from tests.support.installation import AMSTERDAM, Installation, night_after
from tests.support.object_store import ObjectStore, object_store
from tests.support.tls import self_signed

from .deployment import GATEWAY, USER, Deployment

pytestmark = pytest.mark.timeout(3600)
ASSETS = [f"drillster/{name}" for name in RESOURCES] + [f"warehouse/{name}" for name in DATA_TABLES]
LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchPipelineExecution(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
LOGS = """
query Logs($run: ID!) {
  logsForRun(runId: $run) {
    ... on EventConnection { events { ... on ExecutionStepUpForRetryEvent { error { cause { message } } } } }
  }
}
"""
SERVICES = ("code", "webserver", "daemon")
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
SLOW = 1.5
"""Seconds that an answer takes while something is to happen in the middle of a capture."""
FREED_SECONDS = 120
"""After so long at most, a run whose container is gone has failed, so that its pool is free."""


class TlsSandbox(Sandbox):
    """By TLS, as the settings take plain http for a loopback address alone."""

    def __init__(self, certificate: Path, **options: Any) -> None:
        super().__init__(**options)
        self._certificate = certificate

    def _prepare(self) -> Any:
        server, listener = super()._prepare()
        server.config.ssl_certfile = self._certificate
        return server, listener

    @property
    def base_url(self) -> str:
        return super().base_url.replace("http:", "https:")


class Site:
    """A deployment, the Drillster that it exports from, and what an undisturbed warehouse has in the end."""

    def __init__(self, deployment: Deployment, sandbox: Sandbox, folder: Path) -> None:
        self.deployment, self.sandbox = deployment, sandbox
        self.services, self.until = deployment.services, deployment.until
        self.schema = "undisturbed"
        self.day = newest_complete(datetime.now(UTC), AMSTERDAM)
        self.before = [self.day - timedelta(days=2), self.day - timedelta(days=1)]
        self.archived = folder / "archive"
        """The archive of the days before: they can't be captured any more."""
        warehouse = {
            "DRILLSTER_WAREHOUSE_URL": deployment.database("warehouse"),
            "DRILLSTER_WAREHOUSE_SCHEMA": self.schema,
        }
        first = {"DRILLSTER_FIRST_EXPORT_DATE": str(self.before[0])}
        with Installation(folder, sandbox, **warehouse, **first) as undisturbed:
            for day in self.before:
                undisturbed.at(night_after(day))
                undisturbed.load_both(day)
            undisturbed.at(datetime.now(UTC))
            undisturbed.set(DRILLSTER_ARCHIVE_URL=str(folder / "newest"))
            sandbox.clear()
            undisturbed.load_both(self.day)
        self.requests = sandbox.count("GET")
        """Of an undisturbed night."""
        self.settings = {**sandbox.environment(), **first, "DRILLSTER_TIMEZONE": "Europe/Amsterdam"}
        self.content = self._content()

    def start(self, schema: str, **settings: str) -> None:
        """Start the services with a schema of their own, and further settings."""
        self.schema = schema
        values = {**self.settings, "DRILLSTER_WAREHOUSE_SCHEMA": schema, **settings}
        self.deployment.configure(values, values.pop("DRILLSTER_PRIVATE_KEY"))
        for container in filter(None, map(self.deployment.container, SERVICES)):
            self.deployment.engine("rm", "--force", container)  # it has other settings
        with Warehouse(self.deployment.database("warehouse"), schema=schema) as warehouse:
            warehouse.prepare()
        self.deployment.start(*SERVICES)
        self.sandbox.clear()

    def upgrade(self, tag: str) -> None:
        """Build and start another version, as docs/deployment.md says."""
        self.deployment.environment["TAG"] = tag
        self.deployment.compose("build", "code")
        self.deployment.compose("up", "-d")
        assert self.deployment.inspect("code")["Config"]["Image"].endswith(f":{tag}")

    def launch(self, day: date) -> str:
        """Launch the night of a date, as the UI does; the id of the run."""
        selector = {"repositoryLocationName": "drillster", "repositoryName": "__repository__", "jobName": "nightly"}
        tags = [{"key": "dagster/partition", "value": str(day)}]
        parameters = {"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}}
        found = self.services.ask(LAUNCH, parameters=parameters)["launchPipelineExecution"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def ended(self, run_id: str) -> str:
        """How a run has ended, when it has."""
        return str(self.until(lambda: self._ended(run_id), f"run {run_id} ends"))

    def messages(self, run_id: str) -> str:
        """Why steps of a run wait for another attempt."""
        return str(self.services.ask(LOGS, run=run_id))

    def _ended(self, run_id: str) -> str | None:
        (status,) = [run["status"] for run in self.services.runs() if run["runId"] == run_id]
        return status if status in ENDED else None

    def retried(self, run_id: str) -> str:
        """The run that the daemon has launched in the place of one that failed."""

        def launched() -> list[str]:
            return [run["runId"] for run in self.services.runs() if run["parentRunId"] == run_id]

        return str(self.until(launched, "a retry")[0])

    def backfill(self, disturb: Callable[[], None] = lambda: None) -> None:
        """A backfill of the days before, from the archive."""
        before = len(self.services.runs())
        self.services.backfill([str(day) for day in self.before], ASSETS)
        disturb()
        runs = self.until(lambda: self._all_ended(before + 2), "the backfill ends")
        assert [run["status"] for run in runs[before:]].count("SUCCESS") == 2

    def _all_ended(self, least: int) -> list[dict[str, Any]]:
        runs = self.services.runs()
        return runs if len(runs) >= least and all(run["status"] in ENDED for run in runs) else []

    def blocked(self, while_blocked: Callable[[], Any]) -> Any:
        """Do something while a publish is halfway, and waits for a table that somebody else has locked."""
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        warehouse = self.deployment.database("warehouse")
        intruder = postgresql_engine(warehouse).connect()
        try:
            intruder.exec_driver_sql("BEGIN")
            intruder.exec_driver_sql(f"LOCK TABLE {self.schema}.results IN ACCESS EXCLUSIVE MODE")
            self.until(lambda: execute(warehouse, waiting)[0][0], "a publish waits")
            return while_blocked()
        finally:
            with suppress(sa.exc.OperationalError):  # the server may have been restarted
                intruder.close()

    def differences(self) -> list[str]:
        """The tables that differ from those of the undisturbed warehouse."""
        found = self._content()
        return [name for name in found.keys() | self.content.keys() if found.get(name) != self.content.get(name)]

    def _content(self) -> dict[str, Any]:
        return Ground(Path(), self.deployment.database("warehouse"), self.schema, self.sandbox).content()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drillster")


@pytest.fixture(scope="module")
def disk(folder: Path) -> Iterator[Disk]:
    """Where the volume of the archive lies."""
    with small_disk(folder / "archive", "100m") as mounted:
        os.chown(mounted.path, USER, USER)
        yield mounted


@pytest.fixture(scope="module")
def site(folder: Path, disk: Disk) -> Iterator[Site]:
    deployment = Deployment(folder)
    certificate = self_signed(folder, "authority", host=GATEWAY)
    deployment.configure({}, "")
    deployment.compose("down", "--volumes", check=False)  # what a run left that was killed
    try:
        deployment.compose("build", "code")
        deployment.start("postgres")
        with (
            TlsSandbox(certificate, accounts=120, seed=11, host=GATEWAY) as sandbox,
            pytest.MonkeyPatch.context() as patched,
        ):
            patched.setenv("REQUESTS_CA_BUNDLE", str(certificate))
            yield Site(deployment, sandbox, folder / "undisturbed")
    finally:
        (folder / "services.log").write_text(deployment.compose("logs", check=False))
        deployment.compose("down", "--volumes", check=False)


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with object_store(GATEWAY) as running:
        yield running


def kill(site: Site, run_id: str) -> str:
    """Kill the container of the code, with the run that is under way; the run that takes its place."""
    site.deployment.kill("code")
    killed = time.monotonic()
    assert site.ended(run_id) == "FAILURE"
    freed = time.monotonic() - killed
    print(f"The pool was free {freed:.0f} s after the container was killed.")
    assert freed < FREED_SECONDS
    return site.retried(run_id)


CONFINEMENT = """
id -u; grep -E 'CapEff|NoNewPrivs' /proc/self/status; touch /opt/x /var/lib/dagster/x 2>&1 | grep -c Read-only
stat -c '%u %a' /run/secrets/* 2>/dev/null; command -v pip gcc pytest
"""


def assert_confined(deployment: Deployment) -> None:
    """No container can do more than its process needs, and the code's alone has the private key."""
    for service in SERVICES:
        said = deployment.inside(service, "sh", "-c", f"{CONFINEMENT}true").split("\n")
        key = [f"{USER} 400"] if service == "code" else []
        assert said == [str(USER), "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "2", *key, ""]
        assert deployment.inspect(service)["HostConfig"]["Memory"] >= 2**30


def test_a_night_whose_container_is_killed_and_a_backfill_whose_database_restarts(
    site: Site, store: ObjectStore
) -> None:
    archive = f"s3://{store.bucket()}/nights"
    files = fsspec.filesystem("s3", use_listings_cache=False)
    files.put(f"{site.archived}/", archive, recursive=True)
    reports = {"DRILLSTER_REPORTS_FOLDER": f"{archive}/reports"}
    site.start("killed", **store.environment, **reports, DRILLSTER_ARCHIVE_URL=archive)
    assert_confined(site.deployment)
    site.sandbox.change(latency=SLOW)
    night = site.launch(site.day)
    site.until(lambda: files.glob(f"{archive}/{site.day}/*/*/part-*"), "a part of the capture is stored")
    again = kill(site, night)
    site.sandbox.change(latency=0.0)
    last = site.blocked(lambda: kill(site, again))
    assert site.ended(last) == "SUCCESS"
    assert site.sandbox.count("GET") < 1.9 * site.requests, "the capture began anew"

    site.backfill(
        lambda: site.blocked(lambda: site.deployment.engine("restart", site.deployment.container("postgres")))
    )
    assert site.differences() == []


def test_a_night_whose_disk_is_full_and_whose_image_is_upgraded(site: Site, disk: Disk) -> None:
    shutil.copytree(site.archived, disk.path, dirs_exist_ok=True)
    site.deployment.owned(disk.path)
    site.start("upgraded")
    site.sandbox.change(latency=SLOW)
    night = site.launch(site.day)
    site.until(lambda: site.sandbox.count("GET") > 20, "a capture is under way")
    disk.fill()
    site.until(lambda: "no space is left on the device: make room" in site.messages(night), "the disk is full")
    disk.make_room()

    # The run would try again by itself in ten minutes. It is cut off by a new version; its retry, by the way back.
    site.upgrade("second")
    assert site.ended(night) == "FAILURE"
    again, asked = site.retried(night), site.sandbox.count("GET")
    site.until(lambda: site.sandbox.count("GET") > asked + 20, "the capture is resumed")
    site.upgrade("first")
    site.sandbox.change(latency=0.0)
    assert site.ended(again) == "FAILURE"
    assert site.ended(site.retried(again)) == "SUCCESS"
    site.backfill()
    assert site.differences() == []
