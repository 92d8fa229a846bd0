"""What a capture in shards gains where it waits, and what it costs where it does not.

Each step is a process of its own; those of shards run at once. Run: ``python -m benchmarks.shards [--write
docs/scaling.md]`` (some minutes).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.shards import capture_shard, plan_capture, seal_capture
from drillster_pipeline.settings import load_settings
from tests.drillster import Faults, Sandbox, Size

from .processes import cpu_seconds, peak_mib
from .scaling import DAY, night_after, put, row, table

WAITING, IN_FLIGHT, LATENCY = 2_000, 8, 0.1
"""Accounts where waiting is the limit, requests in flight of each process, seconds of an answer."""


@dataclass(frozen=True)
class Captured:
    """A capture; its steps by name: ``alone``, or ``plan``, each shard and ``seal``."""

    requests: int
    seconds: float
    """From the first request to the last."""
    cpu: dict[str, float]
    peak: dict[str, float]


def step(name: str) -> None:
    """In a process of its own."""
    with PipelineContext(settings=load_settings(), now=lambda: night_after(DAY)) as context:
        if name == "alone":
            capture(context, "snapshot", DAY)
        elif name == "plan":
            plan_capture(context, "snapshot", DAY)
        elif name == "seal":
            seal_capture(context, "snapshot", DAY)
        else:
            capture_shard(context, "snapshot", DAY, int(name))
    print(json.dumps({"cpu": cpu_seconds(), "peak": peak_mib()}))


def captured(sandbox: Sandbox, shards: int, in_flight: int) -> Captured:
    """A capture by so many shards; by one process where that is 1."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DRILLSTER_", "DAGSTER_"))},
            **sandbox.environment(),
            "DRILLSTER_ARCHIVE_URL": f"{folder}/archive",
            "DRILLSTER_CAPTURE_SHARDS": str(shards),
            "DRILLSTER_EXECUTOR": "k8s" if shards > 1 else "in_process",
            "DRILLSTER_CONCURRENCY": str(in_flight),
        }
        cpu, peak = {}, {}

        def run(*names: str) -> None:
            started = {
                name: subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.shards", "--step", name],
                    env=environment,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for name in names
            }
            for name, process in started.items():
                printed, _ = process.communicate()
                assert process.returncode == 0
                used = json.loads(printed.splitlines()[-1])
                cpu[name], peak[name] = used["cpu"], used["peak"]

        sandbox.clear()
        if shards == 1:
            run("alone")
        else:
            run("plan")
            run(*map(str, range(shards)))
            run("seal")
        requests = [each for each in sandbox.requests if each.method == "GET"]
        return Captured(len(requests), requests[-1].at - requests[0].at, cpu, peak)


def report(accounts: int) -> str:
    with Sandbox(size=Size(accounts=WAITING), seed=7, now=night_after(DAY), faults=Faults(latency=LATENCY)) as sandbox:
        waiting = {shards: captured(sandbox, shards, IN_FLIGHT * shards) for shards in (1, 2, 4)}
        same = captured(sandbox, 4, IN_FLIGHT)
    with Sandbox(size=Size(accounts=accounts), seed=7, now=night_after(DAY)) as sandbox:
        night = {shards: captured(sandbox, shards, 32) for shards in (1, 4)}
    rates = [
        row(shards, in_flight, f"{each.requests:,}", f"{each.seconds:.1f} s", f"{each.requests / each.seconds:,.0f}")
        for shards, in_flight, each in [
            *((shards, IN_FLIGHT * shards, each) for shards, each in waiting.items()),
            (4, IN_FLIGHT, same),
        ]
    ]
    costs = [
        row(name, f"{seconds:.1f} s", f"{peak:,.0f} MiB")
        for each in night.values()
        for name, seconds, peak in [
            *(
                (f"shard {name}" if name.isdigit() else name, seconds, each.peak[name])
                for name, seconds in each.cpu.items()
            ),
            *([("all of them", sum(each.cpu.values()), max(each.peak.values()))] if len(each.cpu) > 1 else []),
        ]
    ]
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    where_it_waits = (
        f"Measured on {machine}, with answers of {LATENCY * 1000:.0f} ms: captures of {WAITING:,} accounts, from the "
        "first request to the last."
    )
    where_it_does_not = (
        f"A capture of {accounts:,} accounts, answered at once ({night[1].requests:,} requests by one process, "
        f"{night[4].requests:,} by shards): each process, its start and the imports included."
    )
    return "\n".join(
        [
            *(where_it_waits, ""),
            *table(("shards", "requests in flight", "requests", "time", "requests a second"), rates),
            *("", where_it_does_not, ""),
            *table(("process", "CPU", "peak memory"), costs),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--step")
    chosen = parser.parse_args()
    if chosen.step:
        step(chosen.step)
        return
    found = report(chosen.accounts)
    print(found)
    if chosen.write:
        put(chosen.write, "shards", found)


if __name__ == "__main__":
    main()
