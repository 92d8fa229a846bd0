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


def _serve(connection: Any, latency: float, size: Size) -> None:
    with Sandbox(size=size, faults=Faults(latency=latency), now=datetime(2026, 3, 2, 1, 30, tzinfo=UTC)) as sandbox:
        connection.send(sandbox.environment())
        connection.recv()


def measure(latency: float, concurrency: int, size: Size) -> dict[str, float]:
    """One capture into an empty archive."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, latency, size))
    server.start()
    try:
        environment = ours.recv()
        with tempfile.TemporaryDirectory() as folder:
            settings = load_settings(
                {
                    **environment,
                    "DRILLSTER_ARCHIVE_URL": str(Path(folder) / "archive"),
                    "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/warehouse.sqlite",
                    "DRILLSTER_CONCURRENCY": str(concurrency),
                }
            )
            with Session(settings=settings, now=lambda: datetime(2026, 3, 2, 1, 30, tzinfo=UTC)) as session:
                session.tokens.token()
                cpu = _cpu()
                started = time.perf_counter()
                outcome = capture(session, "snapshot", session.newest_complete)
                seconds = time.perf_counter() - started
                cpu = _cpu() - cpu
        ours.send("stop")
    finally:
        server.join(10)
    requests = outcome.capture.manifest["walk"]["requests"]
    ideal = requests * latency / concurrency
    return {
        "requests": requests,
        "seconds": seconds,
        "ratio": seconds / ideal,
        "cpu_ms_per_request": cpu / requests * 1000,
    }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print medians as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    size = Size(accounts=2300, groups=40, members_per_group=50, drillables_per_group=20, tests_per_group=2)
    for latency, concurrency in ((0.05, 16), (0.02, 32)):
        runs = [measure(latency, concurrency, size) for _ in range(options.runs)]
        medians = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
        print(json.dumps({"latency": latency, "concurrency": concurrency, **medians}))


if __name__ == "__main__":
    main()
