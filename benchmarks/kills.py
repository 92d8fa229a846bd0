"""Kill work at random moments, over and over: every end state must equal that of an undisturbed run.

Each round runs a command in a child process that is killed with SIGKILL at a random moment, again and again until
one gets to its end. Then archive and warehouse must hold what an undisturbed run leaves, and nothing half-written.
A moment is drawn by step (capture or publish, of a snapshot or of events) and then within it: drawn by time alone, on a
machine with other work to do most would fall before the first request, or after all is done. Kills after that are not
counted.

run    capture, stage and publish both kinds: nothing that lay finished in the archive when a process was killed is
         requested again, and readers who polled all along, in single statements and in long transactions, never saw
         half a load
prune    removal of old captures: after each kill every manifest names only what is there
forget   erasure of a person, on an archive of several dates: the same, and no trace is left in the end

    python benchmarks/kills.py --kills 200
    python benchmarks/kills.py --kills 60 --warehouse postgresql
    python benchmarks/kills.py --kills 30 --work prune --work forget
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kill_grounds import MOMENT, Ground, Grounds, Moment, Reader
from tests.drillster import Faults, Sandbox

IN_FLIGHT = 8
"""Requests whose answers are lost when a process is killed: DRILLSTER_CONCURRENCY."""
OLD = 3
"""Dates before that one in the archive which is pruned, or which a person is taken out of."""
MOST_KILLS = 12
"""In one round; then the work is left in peace."""


@dataclass(frozen=True)
class Peace:
    """What undisturbed work leaves, how many requests it makes, and how many seconds it takes."""

    content: dict[str, Any]
    files: dict[str, str]
    requests: int
    steps: dict[str, float]

    def moment(self, chance: random.Random) -> Moment:
        """One to kill at: any step as often as any other."""
        step = chance.choice([step for step in self.steps if step != "done"])
        return step, chance.uniform(0.0, 1.0) * self.steps[step]


def undisturbed(grounds: Grounds, work: str, template: Path | None = None, about: str = "") -> Peace:
    """Do the work once, in peace."""
    with grounds.ground(template) as ground:
        prepared(ground, work)
        grounds.sandbox.clear()
        steps = ground.child(work, about=about)(None)
        assert steps is not None  # nobody kills it
        return Peace(ground.content(), ground.files(), requests_of(grounds.sandbox).total(), steps)


def prepared(ground: Ground, work: str) -> None:
    """Bring the warehouse to where the work begins: the dates of the template, where it needs one."""
    if work == "forget" and ground.schema is not None:
        ground.child("run")(None)


def round_of_kills(
    grounds: Grounds, work: str, peace: Peace, chance: random.Random, template: Path | None = None, about: str = ""
) -> int:
    """Kill the work until it is done, and compare; returns how often it was killed before that."""
    with grounds.ground(template) as ground:
        prepared(ground, work)
        grounds.sandbox.clear()
        child = ground.child(work, about=about)
        kills = 0
        finished: dict[str, int] = {}
        with Reader(ground) as reader:
            while (
                child(peace.moment(chance) if kills < MOST_KILLS and not is_done(ground, work, peace) else None) is None
            ):
                ground.check_captures()
                kills += not is_done(ground, work, peace)
                time.sleep(0.05)  # what the process has sent may still be on its way
                asked_before = len(grounds.sandbox.requests)
                for path in ground.finished_units():
                    finished.setdefault(path, asked_before)
        assert reader.halves == [], "a reader saw half a load"
        records = list(grounds.sandbox.requests)
        again = {path for path, number in finished.items() for record in records[number:] if record.path == path}
        # Whose data it is, each capture asks first, also one that is resumed.
        assert again <= {"/api/2.1.1/organization"}, "finished units were requested again"
        if work == "run":
            sent, most = requests_of(grounds.sandbox).total(), peace.requests + kills * (IN_FLIGHT + 1)
            assert sent <= most, f"{sent} requests, and at most {most} are explained"
            left = [str(path) for path in ground.folder.rglob("*.partial")]
            assert left == [], "half-written files were left"
        else:
            assert ground.files() == peace.files, "the archive differs from that of an undisturbed run"
        ground.check_captures()
        assert ground.content() == peace.content, "the end state differs from that of an undisturbed run"
        return kills


def is_done(ground: Ground, work: str, peace: Peace) -> bool:
    """Whether nothing is left to do, so that a kill would prove nothing."""
    if work == "run":
        return len(ground.loaded()) == 2
    return ground.files() == peace.files and ground.content() == peace.content


def requests_of(sandbox: Sandbox) -> Counter[str]:
    """How often each address was requested."""
    return Counter(f"{record.path}?{record.query}" for record in sandbox.requests if record.method == "GET")


def lived_in(grounds: Grounds, folder: Path) -> str:
    """Fill a folder with an archive (and an SQLite warehouse) of several dates; the account that will be forgotten."""
    sandbox = grounds.sandbox
    ground = Ground(folder, f"sqlite:///{folder}/warehouse.sqlite", None, sandbox)
    try:
        for back in range(OLD, -1, -1):
            sandbox.now = MOMENT - timedelta(days=2 * back)
            ground.child("run", moment=sandbox.now)(None)
    finally:
        sandbox.now = MOMENT
    query = "SELECT account_id FROM results GROUP BY account_id ORDER BY COUNT(*) DESC, account_id LIMIT 1"
    with ground.engine().connect() as connection:
        return str(connection.exec_driver_sql(query).scalar_one())


def main() -> None:
    """Kill as often as the options say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of each work")
    parser.add_argument("--work", action="append", choices=["run", "prune", "forget"])
    parser.add_argument("--warehouse", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with (
        Sandbox(accounts=60, seed=5, now=MOMENT, faults=Faults(latency=0.02)) as sandbox,
        Grounds(sandbox, options.warehouse) as grounds,
        tempfile.TemporaryDirectory() as name,
    ):
        about = ""
        for work in options.work or ["run", "prune", "forget"]:
            template = None if work == "run" else Path(name)
            if template is not None and not about:
                about = lived_in(grounds, template)
            peace = undisturbed(grounds, work, template, about)
            done = rounds = 0
            while done < options.kills:
                done += round_of_kills(grounds, work, peace, chance, template, about)
                rounds += 1
                print(f"{work}: {done} kills in {rounds} rounds, every end state as undisturbed", flush=True)


if __name__ == "__main__":
    main()
