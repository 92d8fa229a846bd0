"""A lease has at most one holder, and one whose holder was killed is taken over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest

from drillster_pipeline.archive import lease
from drillster_pipeline.archive.lease import leased
from drillster_pipeline.archive.object_store import RemoteStorage
from drillster_pipeline.errors import Busy, Unavailable

FOLDER = "2026-01-01/.snapshot.lease"


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteStorage]:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(lease, "PATIENCE_SECONDS", 0.2)
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield RemoteStorage("memory://leases")
    memory.store.clear()


def test_a_lease_that_is_renewed_excludes_others_however_long_they_wait(storage: RemoteStorage) -> None:
    with leased(storage, FOLDER, "capturing the snapshot of 2026-01-01") as check_lock:
        for _ in range(2):
            with (
                pytest.raises(Busy, match="Another run is capturing the snapshot of 2026-01-01 right now"),
                leased(storage, FOLDER, "capturing the snapshot of 2026-01-01"),
            ):
                pass
        check_lock()
        assert len(storage.names(FOLDER)) == 1
    assert storage.names(FOLDER) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_a_lease_that_is_not_renewed_is_taken_over(storage: RemoteStorage) -> None:
    storage.write(f"{FOLDER}/0011223344556677", b"41")
    began = time.monotonic()
    with leased(storage, FOLDER, "working"):
        assert [name for name in storage.names(FOLDER) if name.startswith("00112233")] == ["0011223344556677.dead"]
    assert time.monotonic() - began >= 0.2


def test_leases_of_shards_exclude_each_other_only_where_they_are_of_the_same_one(storage: RemoteStorage) -> None:
    with leased(storage, FOLDER, "working", 1) as check_lock, leased(storage, FOLDER, "working", 11):
        for shard in (1, 11, None):
            with pytest.raises(Busy), leased(storage, FOLDER, "working", shard):
                pass
        check_lock()
    with leased(storage, FOLDER, "working"), pytest.raises(Busy), leased(storage, FOLDER, "working", 2):
        pass


def test_of_many_requests_at_once_at_most_one_gets_the_lease(storage: RemoteStorage) -> None:
    at_once = threading.Semaphore(1)
    start = threading.Barrier(6)

    def acquire(_: int) -> bool:
        start.wait()
        try:
            with leased(storage, FOLDER, "working"):
                assert at_once.acquire(blocking=False)
                time.sleep(0.3)
                at_once.release()
        except Busy:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(acquire, range(6))) <= 1
    assert storage.names(FOLDER) == []


def test_a_holder_whose_lease_was_taken_over_learns_of_it_and_does_not_renew_it(storage: RemoteStorage) -> None:
    with leased(storage, FOLDER, "working") as check_lock:
        for name in storage.names(FOLDER):
            storage.remove(f"{FOLDER}/{name}")  # as a run does that watched in vain
        storage.write(f"{FOLDER}/another", b"0")
        with pytest.raises(Busy, match="taken over"):
            check_lock()
        time.sleep(0.1)
        assert storage.names(FOLDER) == ["another"]
    assert storage.names(FOLDER) == ["another"]


def test_a_heartbeat_that_fails_is_tried_again(storage: RemoteStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    write, failures = storage.write, []

    def flaky(name: str, content: bytes) -> None:
        if content == b"1":
            failures.append(name)
            raise Unavailable("for a moment")
        write(name, content)

    with leased(storage, FOLDER, "working") as check_lock:
        monkeypatch.setattr(storage, "write", flaky)
        (own,) = storage.names(FOLDER)
        deadline = time.monotonic() + 5
        while storage.read(f"{FOLDER}/{own}") in {b"0", b"1"} and time.monotonic() < deadline:
            time.sleep(0.01)
        assert storage.read(f"{FOLDER}/{own}") not in {b"0", b"1"}
        check_lock()
