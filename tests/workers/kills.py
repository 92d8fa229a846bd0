"""Kill parts of a cluster at random moments, over and over: every end state must equal that of an undisturbed run.

In each round a run reads an organization in four shards on four workers, and some of these are killed with SIGKILL:

child          the process of a worker that has a step
worker         a worker that has a step, with its child
sealer         the same, while it seals a capture
broker         Redis or RabbitMQ, which is started again after up to three seconds
daemon         Dagster's daemon
orchestrator   the process of the run; the daemon's run retries begin another attempt

A supervisor starts again what was killed. The run, or an attempt that Dagster launches by itself, must end well; the
tables must hold what a single process loads, each capture is sealed once, and what lay in the archive when something
was killed is not requested again.

    python -m tests.workers.kills --rounds 40
    python -m tests.workers.kills --rounds 10 --broker rabbitmq --kind worker
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from tests.drillster import Faults, Sandbox
from tests.support.databases import execute, postgresql_server
from tests.support.object_store import object_store

from .cluster import SCHEMA, Cluster, cluster, requests_of, unsharded
from .programs import Program

KINDS = ("child", "worker", "sealer", "broker", "daemon", "orchestrator")
STEP_SECONDS, SEAL_SECONDS = 5.0, 1.0
DOWN_SECONDS = 3.0
ENDED = {"STEP_SUCCESS", "STEP_FAILURE", "STEP_UP_FOR_RETRY"}


@dataclass
class Round:
    """One run, and what is killed of it."""

    cluster: Cluster
    chance: random.Random
    kinds: Sequence[str]
    events: int
    """Of the steps of a run; each kill comes up to five seconds after one that is drawn."""
    killed: list[tuple[str, float]] = field(default_factory=list)
    _stored: dict[str, int] = field(default_factory=dict)
    """Addresses that lay in the archive when something was killed, with the number of requests until then."""
    _restarts: list[tuple[float, Program]] = field(default_factory=list)

    def run(self) -> list[dg.DagsterRun]:
        """Launch the run and kill what is due, until its last attempt has ended; its attempts."""
        run_id = self.cluster.launch()
        self.cluster.services.until(lambda: self._orchestrator(run_id))
        started = time.monotonic()
        after = {kind: self.chance.randrange(self.events) for kind in self.kinds if kind != "sealer"}
        due: dict[str, float] = {}
        seal = self.chance.choice(["seal_snapshot", "seal_events"]) if "sealer" in self.kinds else None
        attempts: list[dg.DagsterRun] | None = None
        while attempts is None:
            now = time.monotonic()
            steps = self._steps(run_id)
            seen = sum(len(self.cluster.steps(attempt.run_id)) for attempt in self.cluster.attempts(run_id))
            reached = [kind for kind, number in after.items() if seen > number]
            if seal and any(kind == "STEP_START" and seal in step for kind, step, _ in steps):
                reached.append("sealer")
                seal = None
            for kind in reached:
                after.pop(kind, None)
                due[kind] = now + self.chance.uniform(0.0, SEAL_SECONDS if kind == "sealer" else STEP_SECONDS)
            for kind in [kind for kind, moment in due.items() if moment <= now]:
                if self._kill(kind, run_id):  # else nothing of the kind has work in this moment
                    del due[kind]
                    self.killed.append((kind, now - started))
                    self._note_stored()
            self._restart(now)
            attempts = self.cluster.is_over(run_id)
            assert now - started < 400, f"the run does not end after {self.killed}"
            time.sleep(0.1)
        self._restart(float("inf"))
        self.events = len(self._steps(run_id))
        return attempts

    def requested_again(self) -> set[str]:
        """What was requested though the archive had it when something was killed before."""
        records = list(self.cluster.sandbox.requests)
        return {path for path, number in self._stored.items() for record in records[number:] if record.path == path}

    def _steps(self, run_id: str) -> list[tuple[str, str, int | None]]:
        return self.cluster.steps(self.cluster.attempts(run_id)[-1].run_id)

    def _orchestrator(self, run_id: str) -> int | None:
        return self.cluster.orchestrator(self.cluster.attempts(run_id)[-1].run_id)

    def _kill(self, kind: str, run_id: str) -> bool:
        """Kill it, if it is there."""
        if kind in {"broker", "daemon"}:
            self._kill_program(getattr(self.cluster, kind))
            return True
        if kind == "orchestrator":
            pid = self._orchestrator(run_id)
            return pid is not None and _sigkill(pid)
        pids = self._busy(run_id, "seal_" if kind == "sealer" else "")
        if not pids:
            return False
        pid = self.chance.choice(pids)
        if kind == "child":
            return _sigkill(pid)
        worker = next((each for each in self.cluster.workers if pid in each), None)
        if worker is None:
            return False
        self._kill_program(worker)
        return True

    def _busy(self, run_id: str, step: str) -> list[int]:
        """The processes that have a step now."""
        under_way: dict[tuple[str, int], None] = {}
        for kind, name, pid in self._steps(run_id):
            if kind == "STEP_START" and pid is not None and step in name:
                under_way[name, pid] = None
            elif kind in ENDED and pid is not None:
                under_way.pop((name, pid), None)
        return [pid for _, pid in under_way if any(pid in worker for worker in self.cluster.workers)]

    def _kill_program(self, program: Program) -> None:
        program.kill()
        self._restarts.append((time.monotonic() + self.chance.uniform(0.0, DOWN_SECONDS), program))

    def _restart(self, now: float) -> None:
        for each in [each for each in self._restarts if each[0] <= now]:
            self._restarts.remove(each)
            each[1].start()

    def _note_stored(self) -> None:
        time.sleep(0.05)  # what was sent may still be on its way
        number = len(self.cluster.sandbox.requests)
        for path in self.cluster.stored():
            self._stored.setdefault(path, number)


def _sigkill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Kills:
    """Round after round on one cluster."""

    cluster: Cluster
    folder: Path
    chance: random.Random
    events: int = 1

    def __post_init__(self) -> None:
        self.alone, self.asked = unsharded(self.folder / "alone", self.cluster)
        killed, attempts, extra = self.round([])
        assert (killed, attempts, extra) == ([], 1, 0), f"{extra} requests too many"

    def round(self, kinds: Sequence[str]) -> tuple[list[tuple[str, float]], int, int]:
        """What was killed and when, how many attempts, and requests beyond those of one process."""
        self.cluster.await_idle()
        self.cluster.empty()
        made = Round(self.cluster, self.chance, kinds, self.events)
        attempts = made.run()
        self.events = self.events if kinds else made.events
        last = attempts[-1]
        where = (
            f"{[(kind, round(moment, 1)) for kind, moment in made.killed]}, attempts {[run.run_id for run in attempts]}"
        )
        assert last.is_success, f"{where}: {self.cluster.errors(last.run_id)}"
        assert self.cluster.content() == self.alone, f"{where}: the tables differ"
        # A publish that is killed when all is written is done once more, of the same capture.
        ledger = f"SELECT DISTINCT kind, capture_id FROM {SCHEMA}.loads"
        loads = execute(self.cluster.settings["DRILLSTER_WAREHOUSE_URL"], ledger)
        assert len(loads) == 2, f"{where}: {loads}"
        assert len(self.cluster.manifests()) == 2, f"{where}: {self.cluster.manifests()}"
        # Whose data it is, a capture that is begun or resumed asks first.
        again = made.requested_again() - {"/api/2.1.1/organization"}
        assert not again, f"{where}: what was stored is requested again: {again}"
        sent = requests_of(self.cluster.sandbox)
        assert not self.asked - sent, f"{where}: not requested: {self.asked - sent}"
        return made.killed, len(attempts), (sent - self.asked).total()


def main(say: Callable[[str], object] = sys.stdout.write) -> int:
    """Kill as often as the options say; 1 if a round failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--broker", choices=["redis", "rabbitmq"], default="redis")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this; may be repeated")
    parser.add_argument("--at-once", type=int, default=2, help="kills in a round")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all processes are stopped
    kinds = options.kind or KINDS
    chance, done, failed = random.Random(options.seed), Counter[str](), 0
    with (
        tempfile.TemporaryDirectory() as name,
        Sandbox(accounts=60, seed=5, faults=Faults(latency=0.3)) as sandbox,
        object_store() as store,
        postgresql_server() as postgresql,
        cluster(Path(name), sandbox, store, postgresql, options.broker) as running,
    ):
        kills = Kills(running, Path(name), chance)
        for number in range(1, options.rounds + 1):
            # What was killed least goes first.
            drawn = sorted(chance.sample(kinds, len(kinds)), key=lambda kind: done[kind])[: options.at_once]
            started = time.monotonic()
            try:
                killed, attempts, extra = kills.round(drawn)
            except AssertionError as error:
                failed += 1
                say(f"round {number} FAILED: {error}\n")
                continue
            done.update(kind for kind, _ in killed)
            shown = ", ".join(f"{kind} at {moment:.1f} s" for kind, moment in killed) or "nothing"
            say(
                f"round {number}: {shown}; attempts {attempts}, requests +{extra}, {time.monotonic() - started:.0f} s; "
                f"so far {dict(done)}, {failed} rounds failed\n"
            )
            sys.stdout.flush()
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
