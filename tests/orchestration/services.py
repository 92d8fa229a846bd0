"""A real Dagster webserver and daemon, as processes of their own, and their GraphQL as the UI speaks it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import requests

from tests.support.installation import REPOSITORY, Installation

START_SECONDS = 180.0

LAUNCH_BACKFILL = """
mutation Launch($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message stack }
  }
}
"""
RUNS = """
query Runs { runsOrError(limit: 100) { ... on Runs { results {
  runId status startTime endTime tags { key value } parentRunId
} } } }
"""
READY = """
query Ready { workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }
"""


@dataclass
class Services:
    """A webserver and a daemon that share one Dagster home, on one workspace file."""

    port: int
    logs: Path
    workspace: Path = REPOSITORY / "workspace.yaml"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """What GraphQL answers."""
        body = {"query": query, "variables": variables}
        response = requests.post(f"http://127.0.0.1:{self.port}/graphql", json=body, timeout=30)
        assert response.ok, response.text
        assert "errors" not in response.json(), response.text
        return dict(response.json()["data"])

    def backfill(self, dates: Sequence[str], assets: Sequence[str]) -> str:
        """Launch a backfill as the UI does; returns its id."""
        parameters = {
            "partitionNames": list(dates),
            "assetSelection": [{"path": name.split("/")} for name in assets],
        }
        found = self.ask(LAUNCH_BACKFILL, parameters=parameters)["launchPartitionBackfill"]
        assert found["__typename"] == "LaunchBackfillSuccess", found
        return str(found["backfillId"])

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the oldest first; ``tags`` as a mapping."""
        results = self.ask(RUNS)["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in reversed(results)]

    def until(self, condition: Callable[[], Any], *, seconds: float = 180.0) -> Any:
        """Wait for something to be so; what it is."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited in vain; see {self.logs}"
            time.sleep(0.2)
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def webserver_of(installation: Installation, workspace: Path = REPOSITORY / "workspace.yaml") -> Iterator[Services]:
    """A webserver on a workspace file, ready when it is given."""
    services = Services(free_port(), installation.folder / "logs", workspace)
    services.logs.mkdir(exist_ok=True)
    command = ["dagster-webserver", "--host", "127.0.0.1", "--port", str(services.port)]
    with process_of(installation, services.logs, [*command, "--workspace", str(workspace)]):
        services.until(lambda: _ready(services), seconds=START_SECONDS)
        yield services


def make_pool(instance: dg.DagsterInstance) -> None:
    """Make the pool: Dagster does when it first launches runs of it, and does not yet count those."""
    instance.event_log_storage.initialize_concurrency_limit_to_default("drillster")


@contextmanager
def daemon_of(installation: Installation, services: Services) -> Iterator[None]:
    """A daemon beside it. It looks for backfills when it starts, and then every half minute."""
    with process_of(installation, services.logs, ["dagster-daemon", "run", "--workspace", str(services.workspace)]):
        yield


@contextmanager
def process_of(installation: Installation, logs: Path, command: list[str]) -> Iterator[None]:
    """A console script of the environment as a process of the installation; what it says goes to a file of its name."""
    with (logs / command[0]).open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            cwd=REPOSITORY,
            env=installation.process_environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ready(services: Services) -> bool:
    try:
        entries = services.ask(READY)["workspaceOrError"]["locationEntries"]
    except OSError:
        return False
    return [entry["locationOrLoadError"]["__typename"] for entry in entries] == ["RepositoryLocation"]
