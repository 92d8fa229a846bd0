"""Machines that work on one organization: a code server, webserver and daemon on one, and workers of Celery on others.

They share an object store, PostgreSQL and a broker. Each has a home and a folder for temporary files of its own; where
this process may mount (as root), an empty disk lies over those of Dagster's processes for the workers.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import fsspec
import sqlalchemy as sa

from benchmarks.kill_grounds import Ground
from drillster_pipeline.archive.records import parse_line, read_lines
from drillster_pipeline.dates import newest_complete
from drillster_pipeline.resources import unit_of
from tests.drillster import Sandbox
from tests.orchestration.services import Services, free_port
from tests.support.databases import execute
from tests.support.installation import AMSTERDAM, REPOSITORY, Installation
from tests.support.object_store import ObjectStore

from .brokers import await_port, broker_of
from .programs import Program

SCHEMA = "drillster"
SHARDS = 4
LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
SCRIPTS = Path(sys.executable).parent


@cache
def may_unshare() -> bool:
    """Whether a process may have mounts of its own."""
    return subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0


def requests_of(sandbox: Sandbox) -> Counter[str]:
    """How often each address was requested."""
    return Counter(f"{record.path}?{record.query}" for record in sandbox.requests if record.method == "GET")


@dataclass
class Cluster:
    """All of it, running. ``broker``, ``daemon`` and ``workers`` may be killed, and are then started again."""

    sandbox: Sandbox
    folder: Path
    url: str
    """PostgreSQL, as its superuser."""
    broker: Program
    daemon: Program
    workers: list[Program]
    services: Services
    instance: dg.DagsterInstance
    settings: dict[str, str]
    bucket: str
    day: date

    def launch(self, **tags: str) -> str:
        """Launch a run as the UI does; its id. ``tags`` are further tags of Dagster's."""
        selector = {"repositoryLocationName": "drillster", "repositoryName": "__repository__", "jobName": "nightly"}
        tags = {"partition": str(self.day), **tags}
        metadata = {"tags": [{"key": f"dagster/{name}", "value": value} for name, value in tags.items()]}
        parameters = {"selector": selector, "runConfigData": {}, "executionMetadata": metadata}
        found = self.services.ask(LAUNCH, parameters=parameters)["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def attempts(self, run_id: str) -> list[dg.DagsterRun]:
        """The run and those that Dagster has launched after it failed, the oldest first."""
        again = self.instance.get_runs(dg.RunsFilter(tags={"dagster/root_run_id": run_id}))
        first = self.instance.get_run_by_id(run_id)
        assert first is not None
        return [first, *reversed(again)]

    def is_over(self, run_id: str) -> list[dg.DagsterRun] | None:
        """Its attempts, once nothing more follows."""
        attempts = self.attempts(run_id)
        last = attempts[-1]
        # Dagster decides within seconds whether it tries once more.
        is_undecided = last.is_failure and last.tags.get("dagster/will_retry", "true") == "true"
        return attempts if last.is_finished and not is_undecided else None

    def ended(self, run_id: str, *, seconds: float = 240.0) -> list[dg.DagsterRun]:
        """Its attempts, when nothing more follows."""
        attempts: list[dg.DagsterRun] = self.services.until(lambda: self.is_over(run_id), seconds=seconds)
        return attempts

    def orchestrator(self, run_id: str) -> int | None:
        """The process of a run that has started."""
        for entry in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_START):
            assert entry.dagster_event is not None
            return entry.dagster_event.pid
        return None

    def steps(self, run_id: str) -> list[tuple[str, str, int | None]]:
        """Type, step and process of the events of steps so far."""
        logs = self.instance.all_logs(run_id)
        events = [entry.dagster_event for entry in logs if entry.dagster_event and entry.step_key]
        return [(event.event_type_value, str(event.step_key), event.pid) for event in events]

    def errors(self, run_id: str) -> str:
        """What a run failed with."""
        found = [entry.dagster_event for entry in self.instance.all_logs(run_id) if entry.level >= 40]
        return "\n".join(str(event) for event in found)

    def await_idle(self) -> None:
        """Wait until all workers are there, and none has a task."""
        from celery import Celery

        def is_idle() -> bool:
            with Celery(broker=self.settings["DRILLSTER_CELERY_BROKER"]) as app, app.connection() as connection:
                try:
                    active = app.control.inspect(timeout=1.0, connection=connection).active() or {}
                except (*connection.connection_errors, *connection.channel_errors):
                    return False  # the broker is not back yet
            return len(active) == len(self.workers) and not any(active.values())

        self.services.until(is_idle)

    @property
    def ground(self) -> Ground:
        """The warehouse, to be compared."""
        return Ground(self.folder, self.settings["DRILLSTER_WAREHOUSE_URL"], SCHEMA, self.sandbox)

    def content(self) -> dict[str, Any]:
        """The rows of all tables, but for what differs from run to run."""
        return self.ground.content()

    def empty(self) -> None:
        """Remove archive and warehouse, and forget the requests."""
        store = fsspec.filesystem("s3")
        store.invalidate_cache()
        for name in store.find(self.bucket):
            store.rm_file(name)
        execute(self.settings["DRILLSTER_WAREHOUSE_URL"], f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        self.sandbox.clear()

    def stored(self) -> set[str]:
        """The addresses of what lies finished in the archive."""
        store = fsspec.filesystem("s3")
        store.invalidate_cache()
        found = set()
        for name in store.find(self.bucket):
            if "/part-" in name and name.endswith(".jsonl.gz"):
                for text in read_lines(store.cat_file(name)):
                    line = parse_line(text, body=False)
                    if line.footer is not None:
                        unit = unit_of(name.split("/")[-2], line.unit)
                        found.add(f"/api/2.1.1/{unit.endpoint.path.format(organization_id='self', **unit.params)}")
        return found

    def manifests(self) -> list[str]:
        """The manifests in the archive."""
        store = fsspec.filesystem("s3")
        store.invalidate_cache()
        return [name for name in store.find(self.bucket) if name.endswith("/manifest.json")]


@contextmanager
def cluster(
    folder: Path,
    sandbox: Sandbox,
    store: ObjectStore,
    postgresql: str,
    kind: str,
    *,
    workers: int = 4,
    worker_module: str = "tests.workers.celery_worker",
    dagster_yaml: Callable[[str], str] = lambda text: text,
    **settings: str,
) -> Iterator[Cluster]:
    """Start everything; ``dagster_yaml`` changes that of ``deploy/``."""
    sandbox.now = datetime.now(UTC)
    day = newest_complete(sandbox.now, AMSTERDAM)
    name = f"test{secrets.token_hex(4)}"
    databases = {part: f"{name}_{part}" for part in ("dagster", "results", "warehouse")}
    execute(postgresql, *(f"CREATE DATABASE {each}" for each in databases.values()))

    def url(part: str, driver: str = "postgresql") -> str:
        made = sa.make_url(postgresql).set(database=databases[part], drivername=driver)
        return made.render_as_string(hide_password=False)

    broker_port, bucket = free_port(), store.bucket()
    with ExitStack() as stack:
        broker, broker_url = broker_of(kind, folder / "broker", broker_port)
        stack.callback(broker.stop)
        broker.start()
        installation = Installation(folder / "head", sandbox, now=sandbox.now)
        installation.set(
            **store.environment,
            DRILLSTER_FIRST_EXPORT_DATE=str(day),
            DRILLSTER_ARCHIVE_URL=f"s3://{bucket}/archive",
            DRILLSTER_REPORTS_FOLDER=f"s3://{bucket}/reports",
            DRILLSTER_WAREHOUSE_URL=url("warehouse"),
            DRILLSTER_WAREHOUSE_SCHEMA=SCHEMA,
            DAGSTER_POSTGRES_URL=url("dagster", "postgresql+psycopg2"),
            DRILLSTER_EXECUTOR="celery",
            DRILLSTER_CAPTURE_SHARDS=str(SHARDS),
            DRILLSTER_CELERY_BROKER=broker_url,
            DRILLSTER_CELERY_BACKEND=url("results", "db+postgresql+psycopg"),
            DRILLSTER_CELERY_VISIBILITY_TIMEOUT="15",
            DAGSTER_CODE_HOST="127.0.0.1",
            DAGSTER_CODE_PORT=str(free_port()),
        )
        installation.set(**settings)
        shared = (REPOSITORY / "deploy" / "dagster.yaml").read_text()
        shared = dagster_yaml(shared.replace("poll_interval_seconds: 60", "poll_interval_seconds: 5"))

        def program(role: str, *command: str, alone: bool = False) -> Program:
            own = folder / role
            home = own / "dagster"
            home.mkdir(parents=True, exist_ok=True)
            (home / "dagster.yaml").write_text(shared)
            environment = {**installation.process_environment, "DAGSTER_HOME": str(home)}
            environment["PYTHONPATH"] = str(REPOSITORY)
            hidden = " && ".join(f"mount -t tmpfs tmpfs {folder / other}" for other in ("head", "web", "daemon"))
            wrapped = ["unshare", "-m", "sh", "-c", f'{hidden} && exec "$@"', "sh"] if alone and may_unshare() else []
            made = Program([*wrapped, *command], own, environment)
            stack.callback(made.stop)
            return made

        code = [str(SCRIPTS / "dagster"), "api", "grpc", "--module-name", "drillster_pipeline.definitions"]
        port = free_port()
        workspace = REPOSITORY / "deploy" / "workspace.yaml"
        head = [
            program("head", *code, "--host", "127.0.0.1", "--port", installation.environment["DAGSTER_CODE_PORT"]),
            program(
                "web", str(SCRIPTS / "dagster-webserver"), "--host", "127.0.0.1", "--port", str(port),
                "--workspace", str(workspace),
            ),
        ]  # fmt: skip
        daemon = program("daemon", str(SCRIPTS / "dagster-daemon"), "run", "--workspace", str(workspace))
        made = [
            program(
                f"worker{number}", sys.executable, "-m", worker_module, "-A", "drillster_pipeline", "worker",
                "--concurrency", "1", "--loglevel", "INFO", "--hostname", f"worker{number}@%h", alone=True,
            )
            for number in range(workers)
        ]  # fmt: skip
        await_port(broker_port)
        for each in (*head, daemon, *made):
            each.start()
        services = Services(port, folder, workspace)
        services.until(lambda: _is_ready(services), seconds=180)
        services.until(lambda: all("ready." in each.log.read_text() for each in made), seconds=180)
        os.environ["DAGSTER_POSTGRES_URL"] = installation.environment["DAGSTER_POSTGRES_URL"]
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(folder / "head" / "dagster")))
        yield Cluster(
            sandbox=sandbox, folder=folder, url=postgresql, broker=broker, daemon=daemon, workers=made,
            services=services, instance=instance, settings=installation.environment, bucket=bucket, day=day,
        )  # fmt: skip


def _is_ready(services: Services) -> bool:
    from tests.orchestration.services import READY

    try:
        entries = services.ask(READY)["workspaceOrError"]["locationEntries"]
    except (OSError, AssertionError):
        return False
    found = [(entry["locationOrLoadError"] or {}).get("__typename") for entry in entries]
    return found == ["RepositoryLocation"]


def unsharded(folder: Path, cluster: Cluster) -> tuple[dict[str, Any], Counter[str]]:
    """The tables that one process makes of the same in a schema of its own, and the requests it makes."""
    schema = "alone"
    with Installation(
        folder,
        cluster.sandbox,
        now=cluster.sandbox.now,
        DRILLSTER_FIRST_EXPORT_DATE=str(cluster.day),
        DRILLSTER_WAREHOUSE_URL=cluster.settings["DRILLSTER_WAREHOUSE_URL"],
        DRILLSTER_WAREHOUSE_SCHEMA=schema,
    ) as installation:
        cluster.sandbox.clear()
        installation.load_both()
        asked = requests_of(cluster.sandbox)
        cluster.sandbox.clear()
        return Ground(folder, cluster.settings["DRILLSTER_WAREHOUSE_URL"], schema, cluster.sandbox).content(), asked
