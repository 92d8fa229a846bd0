"""Capture time against the ideal: requests x latency / concurrency, measured against a sandbox in its own process."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillster_pipeline.export import Session, capture
from drillster_pipeline.sandbox import Faults, Sandbox, Size
from drillster_pipeline.settings import load_settings

MOMENT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
SIZE = Size(accounts=302, groups=22, members_per_group=100, objectives_per_group=4, tests_per_group=1, stable=True)
"""About 2,500 requests."""


def _serve(connection: Any, latency: float) -> None:
    with Sandbox(size=SIZE, faults=Faults(latency=latency), now=MOMENT) as sandbox:
        connection.send(sandbox.environment())
        connection.recv()


def measure(environment: dict[str, str], latency: float, concurrency: int) -> dict[str, float]:
    """One capture into an empty archive."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            {
                **environment,
                "DRILLSTER_ARCHIVE_URL": str(Path(folder) / "archive"),
                "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/warehouse.sqlite",
                "DRILLSTER_CONCURRENCY": str(concurrency),
            }
        )
        with Session(settings=settings, now=lambda: MOMENT) as session:
            session.tokens.token()
            cpu = _cpu()
            started = time.perf_counter()
            outcome = capture(session, "snapshot", session.newest_complete)
            seconds = time.perf_counter() - started
            cpu = _cpu() - cpu
    requests = outcome.capture.manifest["walk"]["requests"]
    return {
        "requests": requests,
        "seconds": seconds,
        "ratio": seconds / (requests * latency / concurrency),
        "cpu_ms_per_request": cpu / requests * 1000,
    }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def series(latency: float, concurrency: int, runs: int) -> dict[str, float]:
    """Medians over several runs, but for the first, which warms the sandbox: its answers then cost it little."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, latency))
    server.start()
    try:
        environment = ours.recv()
        found = [measure(environment, latency, concurrency) for _ in range(runs + 1)][1:]
        ours.send("stop")
    finally:
        server.join(10)
    medians = {name: round(statistics.median(run[name] for run in found), 3) for name in found[0]}
    return {"latency": latency, "concurrency": concurrency, **medians}


def main() -> None:
    """Print medians as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    for latency, concurrency in ((0.05, 16), (0.02, 32)):
        print(json.dumps(series(latency, concurrency, options.runs)), flush=True)


if __name__ == "__main__":
    main()
