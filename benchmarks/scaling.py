"""What a run costs by the size of an organization: slopes measured, and from them a table to ten million learners.

Each size is two runs against a sandbox, each run a process of its own; its requests are compared with those of the
formula. Run: ``python benchmarks/scaling.py [--write docs/scaling.md]`` (some minutes).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from drillster_pipeline.dates import midnight
from tests.drillster import Sandbox, Size

SIZES = (500, 2_000, 8_000)
LEARNERS = {1_000: (8, 1), 10_000: (8, 1), 100_000: (32, 1), 1_000_000: (64, 1), 10_000_000: (256, 4)}
"""DRILLSTER_CONCURRENCY and DRILLSTER_CAPTURE_SHARDS for so many learners."""
DAY = date(2026, 6, 9)
PAGE = 100
"""Items per page."""
ROUND_TRIP_SECONDS = 0.1
"""What the table takes for the time that Drillster needs for an answer."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one run of one size cost."""

    learners: int
    memberships: int
    groups: int
    objectives: int
    expected_requests: int
    requests: int
    received_mb: float
    archive_mb: float
    rows: int
    cpu_seconds: float
    peak_mib: float
    warehouse_mb: float


def night_after(day: date) -> datetime:
    return midnight(day + timedelta(days=1), ZoneInfo("Europe/Amsterdam")) + timedelta(hours=2, minutes=30)


def run_date(day: str) -> None:
    """In a process of its own: the job, as it runs at run."""
    import dagster as dg

    from drillster_pipeline.orchestration.in_process import run_nightly
    from drillster_pipeline.orchestration.resources import RunContext

    on = date.fromisoformat(day)
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_nightly(instance, on, run=RunContext(now=lambda: night_after(on))).success
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}))


def pages(items: int) -> int:
    return max(1, -(-items // PAGE))


def formula(of: Mapping[str, int]) -> int:
    """Requests of a run: of lists that fit on a page each, which holds for all but accounts and groups."""
    return (
        4  # the access token, the organization: of each capture, and as a resource
        + pages(of["accounts"])
        + 1
        + 2 * of["catalogs"]
        + pages(of["groups"])
        + 5 * of["groups"]  # itself, its members, staff, drillables and objectives
        + 2 * of["objectives"]  # its evaluations, its events
        + of["tests"]  # one in one group
        + of["memberships"]  # results of a member
    )


_COUNTS = {
    "accounts": "SELECT count(*) FROM accounts WHERE is_managed AND deleted_on IS NULL",
    "catalogs": "SELECT count(*) FROM catalogs WHERE deleted_on IS NULL",
    "groups": "SELECT count(*) FROM groups WHERE deleted_on IS NULL",
    "objectives": "SELECT count(*) FROM objectives WHERE deleted_on IS NULL",
    "tests": "SELECT count(*) FROM (SELECT group_id, playable_id FROM group_playables"
    " WHERE type = 'TEST' AND deleted_on IS NULL UNION SELECT group_id, playable_id FROM objectives"
    " JOIN objective_playables USING (objective_id) JOIN playables USING (playable_id)"
    " WHERE playables.type = 'TEST' AND objectives.deleted_on IS NULL AND objective_playables.deleted_on IS NULL)",
    "memberships": "SELECT count(*) FROM group_members WHERE account_id IS NOT NULL AND deleted_on IS NULL",
    "learners": "SELECT count(DISTINCT account_id) FROM group_members WHERE deleted_on IS NULL",
    "rows": "SELECT sum(rows_read) FROM load_tables JOIN loads USING (load_id) WHERE export_date = '{day}'",
}


def counts(file: Path, day: date) -> dict[str, int]:
    """What a warehouse has of a date, for the formula."""
    with closing(sqlite3.connect(file)) as connection:
        return {key: connection.execute(query.format(day=day)).fetchone()[0] for key, query in _COUNTS.items()}


def measure(accounts: int) -> Cost:
    """Two runs of an organization; what the second cost, which is what every run after it costs."""
    with tempfile.TemporaryDirectory() as name, Sandbox(size=Size(accounts=accounts), seed=7) as sandbox:
        folder = Path(name)
        file, grown = folder / "warehouse.sqlite", 0
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DRILLSTER_", "DAGSTER_"))},
            **sandbox.environment(),
            "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{file}",
            "DRILLSTER_ARCHIVE_URL": str(folder / "archive"),
        }
        for day in (DAY, DAY + timedelta(days=1)):
            sandbox.now = night_after(day)
            sandbox.clear()
            before = grown
            done = subprocess.run(
                [sys.executable, __file__, "--date", str(day)],
                check=True,
                capture_output=True,
                text=True,
                env=environment,
                cwd=folder,
            )
            used = json.loads(done.stdout.splitlines()[-1])
            grown = sum(path.stat().st_size for path in folder.glob("warehouse.sqlite*"))
        manifests = [json.loads(path.read_text()) for path in (folder / "archive" / str(day)).glob("*/manifest.json")]
        archived = sum(p.stat().st_size for p in (folder / "archive" / str(day)).rglob("part-*"))
        found = counts(file, day)
        return Cost(
            learners=found["learners"],
            memberships=found["memberships"],
            groups=found["groups"],
            objectives=found["objectives"],
            expected_requests=formula(found),
            requests=len(sandbox.requests),
            received_mb=sum(one["walk"]["received_bytes"] for one in manifests) / 1e6,
            archive_mb=archived / 1e6,
            rows=found["rows"],
            cpu_seconds=used["cpu"],
            peak_mib=used["peak"],
            warehouse_mb=(grown - before) / 1e6,
        )


def line(runs: Sequence[Cost], value: str) -> tuple[float, float]:
    """Intercept and slope of a cost over learners, by least squares."""
    slope, intercept = np.polyfit([run.learners for run in runs], [getattr(run, value) for run in runs], 1)
    return max(0.0, float(intercept)), float(slope)


def duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def size(megabytes: float) -> str:
    return f"{megabytes:,.1f} MB" if megabytes < 1_000 else f"{megabytes / 1_000:,.1f} GB"


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def table(heads: Sequence[str], rows: Sequence[str]) -> list[str]:
    return [row(*heads), row(*["---:"] * len(heads)), *rows]


def report(runs: Sequence[Cost]) -> str:
    costs = ("requests", "received_mb", "archive_mb", "rows", "cpu_seconds", "warehouse_mb")
    lines = {cost: line(runs, cost) for cost in costs}
    more = {cost: 1_000 * slope for cost, (_, slope) in lines.items()}
    measured = [
        row(
            *(f"{count:,}" for count in (n.learners, n.memberships, n.groups, n.objectives)),
            *(f"{count:,}" for count in (n.requests, n.expected_requests)),
            *(size(n.received_mb), size(n.archive_mb), f"{n.rows:,}"),
            *(f"{n.cpu_seconds:.1f} s", f"{n.peak_mib:.0f} MiB", size(n.warehouse_mb)),
        )
        for n in runs
    ]
    expected = [
        row(
            *(f"{learners:,}", f"{cost['requests']:,.0f}", in_flight, shards),
            duration(cost["requests"] * ROUND_TRIP_SECONDS / in_flight),
            f"{in_flight / ROUND_TRIP_SECONDS:,.0f}",
            duration(cost["cpu_seconds"]),
            *(size(cost["received_mb"]), size(cost["archive_mb"]), size(365 * cost["archive_mb"])),
            *(f"{cost['rows']:,.0f}", size(365 * cost["warehouse_mb"])),
        )
        for learners, (in_flight, shards) in LEARNERS.items()
        for cost in [{name: intercept + slope * learners for name, (intercept, slope) in lines.items()}]
    ]
    slopes = ", ".join(
        (
            *(f"{more['requests']:,.0f} requests", f"{size(more['received_mb'])} received"),
            *(f"{size(more['archive_mb'])} of archive", f"{more['rows']:,.0f} rows read"),
            *(f"{more['cpu_seconds']:.1f} s of CPU", f"{size(more['warehouse_mb'])} of warehouse"),
        )
    )
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    heads = ("learners", "memberships", "groups", "objectives", "requests, by the log", "by the formula", "received")
    return "\n".join(
        [
            f"Measured on {machine}, with SQLite: the second run of each size.",
            "",
            *table((*heads, "archived", "rows", "CPU", "peak memory", "warehouse grows by"), measured),
            "",
            f"A thousand learners more cost {slopes} a run.",
            "",
            f"Calculated from that, with {ROUND_TRIP_SECONDS * 1000:.0f} ms an answer:",
            "",
            *table(
                (
                    *("learners", "requests", "`DRILLSTER_CONCURRENCY`", "`DRILLSTER_CAPTURE_SHARDS`"),
                    *("waiting for Drillster", "requests a second", "CPU", "received", "archive a run"),
                    *("archive a year", "rows read", "warehouse a year"),
                ),
                expected,
            ),
        ]
    )


def put(page: Path, name: str, found: str) -> None:
    """Put what was found into a page, between the comments of a name."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = page.read_text()
    head, tail = text.split(start)[0], text.split(end)[1]
    page.write_text(f"{head}{start}\n{found}\n{end}{tail}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--date")
    chosen = parser.parse_args()
    if chosen.date:
        run_date(chosen.date)
        return
    found = report([measure(accounts) for accounts in chosen.sizes])
    print(found)
    if chosen.write:
        put(chosen.write, "measured", found)


if __name__ == "__main__":
    main()
