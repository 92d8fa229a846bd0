"""The archive in a folder: atomic and durable writes, removals, and locks."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import local
from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.errors import Busy, Unavailable

from .conftest import check_storage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "archive")


def test_what_is_written_is_read_listed_and_removed(storage: LocalStorage) -> None:
    check_storage(storage)


@pytest.mark.parametrize("step", ["sync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    storage.write("file", b"old")

    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(*((local, "sync") if step == "sync" else (Path, "replace")), broken)
    with pytest.raises(Unavailable, match="The archive failed while writing: Input/output error"):
        storage.write("file", b"new")
    assert storage.read("file") == b"old"
    assert [path.name for path in storage.root.rglob("*") if path.is_file()] == ["file"]


WRITE = """
import sys
from pathlib import Path
from drillster_pipeline.archive.local import LocalStorage
storage = LocalStorage(Path(sys.argv[1]))
for _ in range(100):
    storage.write("folder/file", sys.argv[2].encode() * 50_000)
"""


@pytest.mark.slow
def test_two_processes_that_write_the_same_file_never_fail_and_never_leave_half_of_it(storage: LocalStorage) -> None:
    storage.write("folder/file", b"0" * 50_000)
    read = set()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(storage.root), letter], stderr=subprocess.PIPE)
        for letter in "ab"
    ]
    while any(writer.poll() is None for writer in writers):
        content = storage.read("folder/file")
        read.add((content[:1], len(content), content == content[:1] * 50_000))
        assert storage.names("folder") == ["file"]
    assert [writer.communicate()[1] for writer in writers] == [b"", b""]
    assert {letter for letter, *_ in read} >= {b"a", b"b"}
    assert {seen[1:] for seen in read} == {(50_000, True)}
    assert [path.name for path in storage.root.rglob("*") if path.is_file()] == ["file"]


def test_what_a_killed_writer_left_is_no_content_and_is_removed_after_a_while(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(local, "sync", killed)
        patched.setattr(Path, "unlink", lambda *_, **__: None)
        for name in ("old", "young"):
            with pytest.raises(KeyboardInterrupt):
                storage.write(name, b"half of")
    left = {path.suffix: path for path in storage.root.rglob("*") if path.is_file()}
    assert left.keys() == {".old", ".young"}
    assert storage.names("") == []
    os.utime(left[".old"], (0, 0))
    storage.finish_removals()
    assert [path for path in storage.root.rglob("*") if path.is_file()] == [left[".young"]]


def test_many_threads_can_remove_the_same_at_once(storage: LocalStorage) -> None:
    for number in range(20):
        storage.write(f"folder/{number}/inner/file", b"content")
    gate = threading.Barrier(4)

    def remove(_: int) -> None:
        gate.wait()
        for number in range(20):
            storage.remove(f"folder/{number}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(remove, range(4)))
    assert storage.names("folder") == []
    assert storage.names("") == ["folder"]


def test_content_and_names_reach_the_disk_in_that_order(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        aside = path.parent.name == ".writing"
        order.append(f"sync {'.writing/*' + path.suffix if aside else path.name}")
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        order.append(f"name {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    storage.write("folder/file", b"content")
    assert order[-3:] == ["sync .writing/*.file", "name file", "sync folder"]
    # The folder's own name is on the disk before anything is in it.
    assert order[:-3] == ["sync archive", f"sync {storage.root.parent.name}"]
    order.clear()
    sink = storage.sink("folder/part")
    sink.write(b"content")
    sink.publish()
    assert order == ["sync part.partial", "name part", "sync folder"]


def test_a_write_to_a_part_of_which_only_some_fits_is_an_error(storage: LocalStorage) -> None:
    sink = storage.sink("folder/part")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(Unavailable, match="The archive failed while writing: File too large"):
            sink.write(b"x" * 1001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sink.abandon()


def test_an_error_of_the_file_system_is_a_sentence_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "secret-name").write_bytes(b"")
    storage = LocalStorage(tmp_path / "secret-name")
    with pytest.raises(Unavailable, match="check DRILLSTER_ARCHIVE_URL and its permissions") as caught:
        storage.write("file", b"")
    assert "secret-name" not in str(caught.value)


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_taken_again(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    flock, calls = fcntl.flock, []

    def raced(descriptor: int, operation: int) -> None:
        if not calls:
            (storage.root / "x.lock").unlink()  # as the removal of an empty date does
        calls.append(operation)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", raced)
    with storage.locked("x", "working"):
        assert len(calls) == 2
        with pytest.raises(Busy), storage.locked("x", "working"):
            pass


def test_a_file_system_without_locks_is_not_taken_for_another_run(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with (
        pytest.raises(Unavailable, match="while locking: No locks available") as caught,
        storage.locked("x", "working"),
    ):
        pass
    assert not isinstance(caught.value, Busy)
