"""Kill a night at random moments, over and over: every end state must equal that of an undisturbed one.

Each round runs a night (capture, stage, publish, both kinds) in a child process that is killed with SIGKILL after a
random time, again and again until one gets to its end. Then the warehouse must hold what an undisturbed night
wrote, no finished unit may have been asked for twice, nothing half-written may be left, and a reader that
polled all along must never have seen half a night.

    python benchmarks/kills.py --kills 200
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from drillster_pipeline.sandbox import Faults, Sandbox

MOMENT = datetime(2026, 6, 10, 0, 30, tzinfo=UTC)
_NIGHT = """
import json, os, sys
from datetime import datetime
from drillster_pipeline.export import Session, capture, publish
from drillster_pipeline.settings import load_settings
moment = datetime.fromisoformat(sys.argv[1])
print("started", flush=True)
settings = load_settings(json.loads(sys.argv[2]))
with Session(settings=settings, now=lambda: moment, run_id=str(os.getpid()), ended_well=lambda _: False) as session:
    for kind in ("snapshot", "events"):
        capture(session, kind, session.newest_complete)
        publish(session, kind, session.newest_complete, run_id="kills")
"""
IN_FLIGHT = 8
"""Requests whose answers are lost when a process dies: DRILLSTER_CONCURRENCY."""
MOST_KILLS = 12
"""In one round; then the night is left in peace."""
_VARYING = {"load_id", "loaded_at", "captured_at"}


def settings_in(folder: Path, sandbox: Sandbox) -> dict[str, str]:
    """Settings of a night whose archive and warehouse lie in a folder."""
    return {
        **sandbox.environment(),
        "DRILLSTER_ARCHIVE_URL": str(folder / "archive"),
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/warehouse.sqlite",
    }


def run_night(settings: dict[str, str], *, kill_after: float | None = None) -> float | None:
    """Run a night in a child process; its seconds, or None if it was killed. RuntimeError if it failed by itself."""
    command = [sys.executable, "-c", _NIGHT, MOMENT.isoformat(), json.dumps(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()  # Python and the settings are there: the night begins now
        started = time.monotonic()
        if kill_after is not None:
            try:
                child.wait(kill_after)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
        _, errors = child.communicate()
    if child.returncode not in {0, -signal.SIGKILL}:
        raise RuntimeError(f"a night failed by itself: {errors}")
    return time.monotonic() - started if child.returncode == 0 else None


def content_of(folder: Path) -> dict[str, Any]:
    """What the warehouse holds, but for what differs from run to run."""
    connection = sqlite3.connect(folder / "warehouse.sqlite")
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        leftovers = [name for name in names if "staging" in name]
        if leftovers:
            raise AssertionError(f"staging tables were left: {leftovers}")
        content = {}
        for name in names:
            if name in {"loads", "load_tables", "rejected_rows", "load_exceptions", "view_definitions", "erasures"}:
                continue
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            kept = ", ".join(column for column in columns if column not in _VARYING)
            content[name] = sorted(connection.execute(f"SELECT {kept} FROM {name}").fetchall(), key=repr)
        return content
    finally:
        connection.close()


class Reader:
    """Polls the warehouse and remembers whether it ever saw half a night."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "warehouse.sqlite"
        self.halves: list[tuple[int, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def _poll(self) -> None:
        while not self._stop.wait(0.01):
            if not self.file.exists():
                continue
            connection = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=5)
            try:
                loads, accounts, results = connection.execute(
                    "SELECT (SELECT COUNT(*) FROM loads WHERE kind = 'snapshot'), (SELECT COUNT(*) FROM accounts), "
                    "(SELECT COUNT(*) FROM results)"
                ).fetchone()
                if (loads > 0) != (results > 0) or (loads > 0) != (accounts > 0):
                    self.halves.append((accounts, results))
            except sqlite3.OperationalError:
                pass  # the tables are not there yet
            finally:
                connection.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def round_of_kills(
    sandbox: Sandbox, expected: dict[str, Any], whole: int, seconds: float, chance: random.Random
) -> int:
    """Kill nights until one gets to its end, and compare; returns how many were killed.

    ``whole``: how many requests an undisturbed night makes.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = settings_in(folder, sandbox)
        sandbox.clear()
        kills = 0
        with Reader(folder) as reader:
            while (
                run_night(settings, kill_after=chance.uniform(0.02, 0.98) * seconds if kills < MOST_KILLS else None)
                is None
            ):
                kills += 1
        asked = requests_of(sandbox).total()
        if asked > (most := whole + kills * IN_FLIGHT):
            raise AssertionError(f"{asked} requests, and at most {most} are explained: finished units were asked again")
        if reader.halves:
            raise AssertionError(f"a reader saw half a night: {reader.halves[:3]}")
        if content_of(folder) != expected:
            raise AssertionError("the end state differs from that of an undisturbed night")
        left = [path.name for path in (folder / "archive").rglob("*.partial")]
        if left:
            raise AssertionError(f"half-written parts were left: {left}")
        return kills


def requests_of(sandbox: Sandbox) -> Counter[str]:
    """How often each address was asked for."""
    return Counter(f"{record.path}?{record.query}" for record in sandbox.requests if record.method == "GET")


def main() -> None:
    """Kill as many nights as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with Sandbox(accounts=60, seed=5, now=MOMENT, faults=Faults(latency=0.02)) as sandbox:
        expected, whole, seconds = undisturbed(sandbox)
        done = rounds = 0
        while done < options.kills:
            done += round_of_kills(sandbox, expected, whole, seconds, chance)
            rounds += 1
            print(f"{done} kills in {rounds} rounds, every end state as undisturbed", flush=True)


def undisturbed(sandbox: Sandbox) -> tuple[dict[str, Any], int, float]:
    """What an undisturbed night writes, how many requests it makes, and how long it takes."""
    with tempfile.TemporaryDirectory() as name:
        sandbox.clear()
        seconds = run_night(settings_in(Path(name), sandbox))
        assert seconds is not None  # nobody kills it
        return content_of(Path(name)), requests_of(sandbox).total(), seconds


if __name__ == "__main__":
    main()
