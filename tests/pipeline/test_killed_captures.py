"""A capture that is killed at any moment is gone on with, asks for nothing twice, and ends as an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from drillster_pipeline.archive import Archive
from drillster_pipeline.dates import events_window
from drillster_pipeline.resources import CAPTURED, unit_of
from tests.api.walking import DAY, NIGHT, TINY, expected, expected_events, held, unit
from tests.drillster import Faults, Sandbox

ROOT = Path(__file__).parents[2]


class Victims:
    """Runs captures in processes of their own, and kills them."""

    def __init__(self, sandbox: Sandbox, process: subprocess.Popen[str]) -> None:
        self.sandbox = sandbox
        self._process = process

    def run(self, archive: str, **order: Any) -> dict[str, Any]:
        environment = {
            **self.sandbox.environment(),
            "DRILLSTER_ARCHIVE_URL": archive,
            "DRILLSTER_WAREHOUSE_URL": "sqlite:////dev/null/no-warehouse.sqlite",
            "DRILLSTER_TIMEZONE": "UTC",
            "DRILLSTER_CONCURRENCY": "4",
        }
        assert self._process.stdin
        assert self._process.stdout
        message = {"environment": environment, "now": NIGHT.isoformat(), "date": str(DAY)} | order
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    with (
        Sandbox(size=TINY, seed=81, now=NIGHT) as sandbox,
        subprocess.Popen(
            [sys.executable, "-m", "tests.pipeline.victim"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        sandbox.faults = Faults(clamped_sizes={"*": 10})
        yield Victims(sandbox, process)
        process.stdin.close()


@pytest.fixture(scope="module")
def steps(victims: Victims, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many steps on files an undisturbed capture takes."""
    outcome = victims.run(str(tmp_path_factory.mktemp("undisturbed")))
    assert outcome["how"] == "captured"
    return outcome["steps"]


def finished(folder: Path, scratch: Path) -> set[str]:
    """The addresses of units that are finished in a copy of the archive, as the next run will find them."""
    shutil.rmtree(scratch, ignore_errors=True)
    folder.mkdir(exist_ok=True)  # it may have been killed before that
    shutil.copytree(folder, scratch)
    archive = Archive(str(scratch))
    paths = set()
    for ref in archive.captures(DAY)[-1:]:
        writer = archive.resume(ref)
        for resource in CAPTURED["snapshot"]:
            for line in writer.recovered(resource, bodies=False):
                if line.footer is not None:
                    found = unit_of(resource, line.unit)
                    path = found.endpoint.path.format(organization_id="self", **found.params)
                    paths.add(f"/api/2.1.1/{path}")
    return paths


def check_that_it_goes_on(victims: Victims, folder: Path, scratch: Path) -> None:
    """Run again: nothing that was finished is asked for, and the whole is as it should be."""
    archive = Archive(str(folder))
    sealed_before = archive.newest_sealed(DAY, "snapshot") is not None
    done = finished(folder, scratch)
    victims.sandbox.clear()
    outcome = victims.run(str(folder))
    asked = {record.path for record in victims.sandbox.requests}
    if sealed_before:
        assert outcome["how"] == "kept"
        assert asked == set()
    else:
        assert outcome["how"] in {"resumed", "captured"}
        assert asked & done == set()
    capture = archive.newest_sealed(DAY, "snapshot")
    assert capture is not None
    assert held(capture) == expected(victims.sandbox)
    for resource, units in expected(victims.sandbox).items():
        entry = capture.manifest["resources"][resource]
        assert entry["units"] == len(units), resource
        assert entry["short"] == entry["lost"] == [], resource
    assert [path.name for path in folder.rglob("*.partial")] == []


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one: what a process leaves behind is the same, and a disk is slow to sync."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder that is made there is ours alone
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def test_a_capture_that_is_killed_at_any_step_is_gone_on_with(victims: Victims, steps: int, place: Path) -> None:
    # How many steps there are varies a little with the threads: three in four are always reached.
    chance = random.Random(2026)
    for number, at in enumerate([1, 2, 4, 6, *chance.sample(range(7, steps * 3 // 4), 8)]):
        folder = place / str(at)
        assert victims.run(str(folder), kill_at=at, seed=number)["killed"]
        check_that_it_goes_on(victims, folder, place / "scratch")


@pytest.mark.parametrize(
    "moment",
    [
        "jsonl.gz.partial: before",  # of a sync: a part is about to be closed
        "jsonl.gz.partial: after",
        "part-00002.jsonl.gz: before",  # of its new name
        "part-00002.jsonl.gz: after",
        "manifest.json: before",
        ".manifest.json: after",  # of a sync
        ".manifest.json manifest.json: before",
        ".manifest.json manifest.json: after",
    ],
)
def test_a_capture_that_is_killed_while_a_part_or_the_manifest_is_written_is_gone_on_with(
    victims: Victims, place: Path, moment: str
) -> None:
    folder = place / "archive"
    assert victims.run(str(folder), kill_on=moment)["killed"]
    sealed = Archive(str(folder)).newest_sealed(DAY, "snapshot") is not None
    assert sealed == (moment == ".manifest.json manifest.json: after")
    check_that_it_goes_on(victims, folder, place / "scratch")


def test_a_capture_that_is_killed_at_random_moments_is_gone_on_with(victims: Victims, place: Path) -> None:
    chance = random.Random(7)
    for number in range(6):
        folder = place / str(number)
        victims.run(str(folder), kill_after=chance.uniform(0.0, 0.3))
        check_that_it_goes_on(victims, folder, place / "scratch")


def test_a_capture_that_is_killed_again_and_again_is_finished_in_the_end(
    victims: Victims, steps: int, place: Path
) -> None:
    folder = place / "archive"
    chance = random.Random(3)
    progress = [0]
    for number in range(6):
        victims.run(str(folder), kill_at=chance.randint(steps // 12, steps // 5), seed=number)
        progress.append(len(finished(folder, place / "scratch")))
    assert progress == sorted(progress)
    assert len(Archive(str(folder)).captures(DAY)) == 1
    check_that_it_goes_on(victims, folder, place / "scratch")


def test_events_that_are_killed_are_gone_on_with(victims: Victims, place: Path) -> None:
    folder = place / "archive"
    victims.run(str(folder))
    victims.run(str(folder), kind="events", kill_at=25)
    assert Archive(str(folder)).newest_sealed(DAY, "events") is None
    victims.sandbox.clear()
    assert victims.run(str(folder), kind="events")["how"] == "resumed"
    capture = Archive(str(folder)).newest_sealed(DAY, "events")
    assert capture is not None
    window = events_window(DAY, ZoneInfo("UTC"))
    assert held(capture) == expected_events(victims.sandbox, window)
    asked = victims.sandbox.count("GET", "/api/2.1.1/objectives/*/events")
    assert asked < capture.manifest["resources"]["objective_events"]["units"]


def test_one_of_two_captures_at_the_same_time_is_told_to_wait(victims: Victims, place: Path) -> None:
    with Archive(str(place)).locked(DAY, "snapshot"):
        outcome = victims.run(str(place))
        assert outcome["error"] == "Busy"
        assert f"capturing the snapshot of {DAY}" in outcome["message"]
    assert victims.run(str(place))["how"] == "captured"
    assert unit() in held(Archive(str(place)).newest_sealed(DAY, "snapshot"))["accounts"]
