"""A capture that is killed at any moment is resumed, requests nothing twice, and ends as an undisturbed one."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import lease
from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.archive.object_store import RemoteStorage
from drillster_pipeline.errors import Busy, Unavailable
from drillster_pipeline.pipeline.capture import How, capture
from tests.api.crawling import TINY, expected, finished_paths, items_in
from tests.drillster import Faults, Sandbox
from tests.support.installation import DAY, NOW, Installation
from tests.support.object_store import ObjectStore

from .processes import capture_until, start

pytestmark = pytest.mark.slow
NEVER = 10_000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=TINY, seed=81, now=NOW, faults=Faults(clamped_sizes={"*": 10})) as running:
        yield running


@pytest.fixture
def installations(sandbox: Sandbox, tmp_path: Path) -> Iterator[Iterator[Installation]]:
    """As many as are needed, each with an archive of its own."""

    def more() -> Iterator[Installation]:
        for number in range(100):
            with Installation(tmp_path / str(number), sandbox, DRILLSTER_CONCURRENCY="4") as made:
                yield made

    yield (made := more())
    made.close()


def is_killed(installation: Installation, step: int, name: str = "", *, cut: int = 0) -> bool:
    """Whether a capture is killed at a step; then the end of what it was writing may be missing, too."""
    result = start(installation, capture_until, step, name).result()
    for path in (installation.folder / "archive").rglob("*.partial"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) - cut])
    return result is None


def finished(installation: Installation) -> set[str]:
    """The paths of units that are finished in a copy of the archive, as the next run will find them."""
    folder, copy = installation.folder / "archive", installation.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    folder.mkdir(exist_ok=True, parents=True)  # it may have been killed before that
    shutil.copytree(folder, copy)
    archive = Archive(str(copy))
    return {path for ref in archive.captures(DAY)[-1:] for path in finished_paths(archive, ref)}


def check_that_it_is_resumed(installation: Installation) -> None:
    """Run again: nothing that was finished is requested, and the capture is as it should be."""
    archive = installation.context.archive
    was_sealed = archive.newest_sealed(DAY, "snapshot") is not None
    done = finished(installation)
    installation.sandbox.clear()
    how, _ = start(installation, capture_until, NEVER).result()
    requested = {record.path for record in installation.sandbox.requests}
    if was_sealed:
        assert (how, requested) == ("kept", set())
    else:
        assert how in {"resumed", "captured"}
        # Whose data it is, each capture asks first.
        assert requested & done <= {"/api/2.1.1/organization"}
    found = archive.newest_sealed(DAY, "snapshot")
    wanted = expected(installation.sandbox)
    assert items_in(found) == wanted
    for resource, units in wanted.items():
        entry = found.manifest["resources"][resource]
        assert (entry["units"], entry["short"], entry["lost"]) == (len(units), [], []), resource
    assert list(installation.folder.glob("archive/**/*.partial")) == []


@pytest.fixture(scope="module")
def steps(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many steps an undisturbed capture takes: a few more or less, as the threads have it."""
    with Installation(tmp_path_factory.mktemp("undisturbed"), sandbox, DRILLSTER_CONCURRENCY="4") as installation:
        how, steps = start(installation, capture_until, NEVER).result()
    assert how == "captured"
    return steps


@pytest.mark.deep
def test_one_that_is_killed_at_any_step_is_resumed(steps: int, installations: Iterator[Installation]) -> None:
    chance = random.Random(2026)
    for step in [1, 2, 4, 6, *chance.sample(range(7, steps * 3 // 4), 6)]:
        installation = next(installations)
        assert is_killed(installation, step, cut=chance.randrange(300))
        check_that_it_is_resumed(installation)


def test_one_that_is_killed_while_a_part_or_the_manifest_is_written_is_resumed(
    installations: Iterator[Installation],
) -> None:
    for moment, step, is_sealed in (
        ("part-00001.jsonl.gz.partial", 1, False),
        ("part-00002.jsonl.gz", 1, False),
        ("part-00002.jsonl.gz", 2, False),
        ("manifest.json", 1, False),
        ("manifest.json", 2, False),
        ("manifest.json", 3, True),
    ):
        installation = next(installations)
        assert is_killed(installation, step, moment)
        assert (installation.context.archive.newest_sealed(DAY, "snapshot") is not None) is is_sealed, (moment, step)
        check_that_it_is_resumed(installation)


def test_one_that_is_killed_again_and_again_is_finished_in_the_end(
    steps: int, installations: Iterator[Installation]
) -> None:
    installation, chance = next(installations), random.Random(3)
    progress = [0]
    for _ in range(6):
        is_killed(installation, chance.randint(steps // 12, steps // 5))
        progress.append(len(finished(installation)))
    assert progress == sorted(progress)
    assert len(installation.context.archive.captures(DAY)) == 1
    check_that_it_is_resumed(installation)


@pytest.mark.deep
class TestInAnObjectStore:
    """A lease stands for the lock."""

    @pytest.fixture
    def stored(
        self, installations: Iterator[Installation], store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Installation]:
        monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
        monkeypatch.setattr(lease, "PATIENCE_SECONDS", 1.0)
        installation = next(installations)
        installation.set(DRILLSTER_ARCHIVE_URL=f"s3://{store.bucket()}/archive")
        faults = installation.sandbox.faults
        yield installation
        installation.sandbox.faults = faults

    def test_one_that_is_alive_keeps_others_out_and_one_that_is_killed_is_resumed(self, stored: Installation) -> None:
        stored.sandbox.change(latency=0.1)
        stored.sandbox.clear()
        process = start(stored, capture_until, NEVER)
        while len(stored.sandbox.requests) < 24:
            time.sleep(0.01)
        with pytest.raises(Busy, match="Another run is capturing the snapshot"):
            stored.capture()
        process.process.kill()
        assert process.result() is None
        stored.sandbox.change(latency=0.0)
        before = {record.path for record in stored.sandbox.requests if record.status == 200}
        stored.sandbox.clear()
        outcome = stored.capture()
        assert outcome.how is How.RESUMED
        assert items_in(outcome.capture) == expected(stored.sandbox)
        # What was in flight, and on a busy machine what was not stored yet, is requested again.
        assert len({record.path for record in stored.sandbox.requests} & before) < len(before)
        assert stored.capture().how is How.KEPT
        assert len(stored.context.archive.captures(DAY)) == 1

    @pytest.mark.parametrize("resumed", [False, True])
    def test_one_whose_lease_another_run_has_taken_does_not_seal_what_it_has_read(
        self, stored: Installation, resumed: bool
    ) -> None:
        if resumed:
            stored.interrupt()
        storage = stored.context.archive.storage

        def take(_: object) -> None:  # called at the latest when all is read
            for name in storage.names(f"{DAY}/.snapshot.lease"):
                lease.break_stale_lease(storage, f"{DAY}/.snapshot.lease", name)

        with stored.new_context(on_progress=take) as context, pytest.raises(Busy, match="taken over"):
            capture(context, "snapshot", DAY)
        assert stored.context.archive.newest_sealed(DAY, "snapshot") is None

    def test_one_whose_upload_fails_is_resumed(self, stored: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
        write = RemoteStorage.write

        def failing(storage: Any, name: str, content: bytes) -> None:
            if "part-" in name and "results" in name:
                raise Unavailable("The archive's storage failed while writing")
            write(storage, name, content)

        with monkeypatch.context() as patched:
            patched.setattr(RemoteStorage, "write", failing)
            with pytest.raises(Unavailable, match="failed while writing"):
                stored.capture()
        outcome = stored.capture()
        assert outcome.how is How.RESUMED
        assert items_in(outcome.capture) == expected(stored.sandbox)
        storage = stored.context.archive.storage
        assert all(storage.names(f"{DAY}/{name}") == [] for name in storage.names(str(DAY)) if name.endswith(".lease"))
