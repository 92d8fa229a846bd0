"""Peak memory and seconds of a whole night (capture, normalize, stage, publish) over the number of result rows."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillster_pipeline.sandbox import Sandbox, Size

MOMENT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)


def _serve(connection: Any, size: Size) -> None:
    with Sandbox(size=size, now=MOMENT) as sandbox:
        connection.send(sandbox.environment())
        connection.recv()


def _night(connection: Any, environment: dict[str, str], folder: str) -> None:
    """In a process of its own, so that its peak is its own."""
    from drillster_pipeline.export import Session, capture, publish
    from drillster_pipeline.settings import load_settings

    settings = load_settings(
        {
            **environment,
            "DRILLSTER_ARCHIVE_URL": str(Path(folder) / "archive"),
            "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/warehouse.sqlite",
            "DRILLSTER_CONCURRENCY": "16",
        }
    )
    with Session(settings=settings, now=lambda: MOMENT) as session:
        started = time.perf_counter()
        capture(session, "snapshot", session.newest_complete)
        captured = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        report = publish(session, "snapshot", session.newest_complete, run_id="benchmark").report
        published = time.perf_counter()
    connection.send(
        {
            "result_rows": report.tables["results"].rows_inserted,
            "capture_seconds": round(captured - started, 1),
            "load_seconds": round(published - captured, 1),
            "capture_peak_mib": round(peak / 1024),
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
    )


def measure(members: int, drillables: int) -> dict[str, float]:
    """One night with ``members`` x ``drillables`` result rows."""
    context = multiprocessing.get_context("spawn")
    size = Size(
        accounts=members + 10,
        groups=max(1, members // 200),
        members_per_group=200,
        drillables_per_group=drillables,
        objectives_per_group=1,
        tests_per_group=0,
        stable=True,
    )
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, size))
    server.start()
    environment = ours.recv()
    with tempfile.TemporaryDirectory() as folder:
        here, there = context.Pipe()
        night = context.Process(target=_night, args=(there, environment, folder))
        night.start()
        while not here.poll(1):
            if not night.is_alive():
                raise RuntimeError("the night failed")
        found: dict[str, float] = here.recv()
        night.join()
    ours.send("stop")
    server.join(10)
    return found


def main() -> None:
    """Print a line of JSON per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="*", default=[50_000, 200_000, 1_000_000])
    for rows in parser.parse_args().rows:
        print(json.dumps(measure(members=max(200, rows // 100), drillables=100)), flush=True)


if __name__ == "__main__":
    main()
