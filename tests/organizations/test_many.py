"""Twenty organizations in one Dagster instance, five of them broken, with a real webserver and daemon; a hundred."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from drillster_pipeline.dates import newest_complete
from tests.browser import chromium
from tests.drillster import Faults, Sandbox
from tests.orchestration.services import Services, daemon_of, webserver_of
from tests.support.installation import AMSTERDAM, Installation

from .projects import Project

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]
HEALTHY = [f"org{number:02}" for number in range(15)]
BROKEN = ("revoked", "incomplete", "unreachable", "unwritable", "slow")
LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""
RUNS = """
query { runsOrError { ... on Runs { results { runId status jobName creationTime startTime endTime } } } }
"""
FAILURES = """
query Failures($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  ... on ExecutionStepFailureEvent { failureMetadata { description } }
} } } }
"""


def launch(services: Services, job: str, day: str) -> str:
    """Put a run of a job into the queue; its id."""
    found = services.ask(
        LAUNCH,
        parameters={
            "selector": {"repositoryLocationName": "group", "repositoryName": "__repository__", "jobName": job},
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": day}]},
        },
    )["launchRun"]
    assert found["__typename"] == "LaunchRunSuccess", found
    return str(found["run"]["runId"])


def failure_of(services: Services, run: str) -> str:
    events = services.ask(FAILURES, run=run)["logsForRun"]["events"]
    return " ".join(event["failureMetadata"]["description"] for event in events if event.get("failureMetadata"))


def people_in(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM accounts WHERE is_managed").fetchone()[0])


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    with Installation(tmp_path / "dagster", monkeypatch=monkeypatch) as made:
        settings = yaml.safe_load((made.home / "dagster.yaml").read_text())
        settings["concurrency"]["runs"]["max_concurrent_runs"] = 20
        (made.home / "dagster.yaml").write_text(yaml.safe_dump(settings))
        yield made


def test_five_broken_organizations_of_twenty_hold_up_none_of_the_others(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = str(newest_complete(datetime.now(UTC), AMSTERDAM))
    project = Project(tmp_path / "project", monkeypatch)
    with ExitStack() as open_sandboxes:
        sandboxes = {
            name: open_sandboxes.enter_context(Sandbox(accounts=20, seed=number))
            for number, name in enumerate((*HEALTHY, *BROKEN))
        }
        sandboxes["slow"].faults = Faults(latency=10.0)
        broken: dict[str, dict[str, Any]] = {
            "revoked": {"client_secret": "revoked"},
            "incomplete": {"without": "client_secret"},
            "unreachable": {"base_url": "http://127.0.0.1:9"},
            "unwritable": {"warehouse_url": "postgresql+psycopg://nobody@127.0.0.1:9/none"},
        }
        for name, sandbox in sandboxes.items():
            project.add(name, sandbox, **{"first_export_date": day, **broken.get(name, {})})
        workspace = project.folder / "workspace.yaml"
        with webserver_of(installation, workspace) as services, daemon_of(installation, services):
            # Those that are broken go first: nobody waits behind them.
            runs = {name: launch(services, f"{name}_nightly", day) for name in (*BROKEN, *HEALTHY)}
            states = services.until(lambda: ended(services, [runs[name] for name in HEALTHY]), seconds=600)
            by_id = {run["runId"]: run for run in states}
            for name in HEALTHY:
                run = by_id[runs[name]]
                assert run["status"] == "SUCCESS", (name, failure_of(services, run["runId"]))
                assert people_in(project.folder / f"{name}.sqlite") == people_of(sandboxes[name])
            # All others have ended, and these go on: nobody has waited for them, however busy the machine is.
            assert {by_id[runs[name]]["status"] for name in ("slow", "unreachable", "unwritable")} == {"STARTED"}
            assert "401 invalid_client" in failure_of(services, runs["revoked"])
            assert "client_secret is empty" in failure_of(services, runs["incomplete"])


def people_of(sandbox: Sandbox) -> int:
    return len(sandbox.organization.at(datetime.now(UTC)).accounts().all())


def ended(services: Services, runs: list[str]) -> list[dict[str, Any]] | None:
    """All runs, once these have ended."""
    found: list[dict[str, Any]] = services.ask(RUNS)["runsOrError"]["results"]
    done = {run["runId"] for run in found if run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}}
    return found if done.issuperset(runs) else None


@pytest.mark.skipif(chromium.BINARY is None, reason="no chromium: tests/browser/install installs Debian's")
def test_a_hundred_organizations_fit_into_a_code_server_and_are_usable_in_the_ui(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "project", monkeypatch)
    for number in range(100):
        project.add(f"org{number:03}")
    with (
        webserver_of(installation, project.folder / "workspace.yaml") as services,
        chromium.running(tmp_path) as browser,
    ):
        found = services.ask("query { assetNodes { hasMaterializePermission assetChecksOrError { __typename } } }")
        assert len(found["assetNodes"]) == 3200
        page = browser.page()
        base = f"http://127.0.0.1:{services.port}"
        page.go(f"{base}/asset-groups", "org000", "32 assets")
        page.picture(tmp_path / "overview.png")
        page.go(f"{base}/assets/org042/warehouse/results", "results", "org042")
        page.picture(tmp_path / "asset.png")
        servers = list(code_servers(project.package))
        assert servers
        assert max(servers) < 400 * 1024


def code_servers(package: str) -> Iterator[int]:
    """The most memory, in KiB, that each process has had that serves a package."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, status = (process / "cmdline").read_text(), (process / "status").read_text()
        except OSError:
            continue  # it has ended
        if package in command and "api" in command:
            yield next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
