"""Kill Dagster's daemon, its code server and the run at once, as a power cut does; the next daemon must finish.

The run stays "started" in Dagster's records, and holds the slots of its pools. The sensor ``lost_runs`` of the next
daemon marks it as failed, Dagster starts it again, and that run requests nothing that was finished.

    python benchmarks/power_cut.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drillster_pipeline.dates import newest_complete
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Faults, Sandbox, Size
from tests.orchestration.services import daemon_of, webserver_of
from tests.support.installation import AMSTERDAM, REPOSITORY, Installation

ASSETS = [f"drillster/{name}" for name in RESOURCES] + [f"warehouse/{name}" for name in DATA_TABLES]
IN_FLIGHT = 8


def until(condition: Callable[[], bool], *, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def power_cut(installation: Installation) -> None:
    """A backfill of the newest date, a cut in the middle of its crawl, and another daemon."""
    sandbox, newest = installation.sandbox, newest_complete(installation.now, AMSTERDAM)
    installation.set(DRILLSTER_FIRST_EXPORT_DATE=str(newest - timedelta(days=3)))
    sandbox.faults = Faults(latency=1.0)
    with webserver_of(installation) as services:
        services.backfill([str(newest)], ASSETS)
        command = [str(Path(sys.executable).parent / "dagster-daemon"), "run"]
        with (services.logs / "cut").open("wb") as log:
            daemon = subprocess.Popen(
                [*command, "--workspace", str(REPOSITORY / "workspace.yaml")],
                cwd=REPOSITORY,
                env=installation.process_environment,
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        until(lambda: len(sandbox.requests) > 12)
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
        sandbox.faults = Faults()
        began = time.monotonic()
        with daemon_of(installation, services):
            until(lambda: [run["status"] for run in services.runs()] == ["FAILURE", "SUCCESS"])
    sent = [f"{record.path}?{record.query}" for record in sandbox.requests if record.method == "GET"]
    again = len(sent) - len(set(sent))
    assert again <= IN_FLIGHT, f"{again} requests were made twice"
    print(f"The export was complete {time.monotonic() - began:.0f} s after the restart; {again} requests made twice.")


def main() -> None:
    with (
        Sandbox(size=Size(accounts=20), seed=7) as sandbox,
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as monkeypatch,
        Installation(Path(folder), sandbox, monkeypatch=monkeypatch, now=datetime.now(UTC)) as installation,
    ):
        power_cut(installation)


if __name__ == "__main__":
    main()
