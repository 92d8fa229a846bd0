from __future__ import annotations

import errno
import os
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import Archive, Capture, CaptureWriter, UnitFooter, local
from drillster_pipeline.errors import ArchiveCorrupt, Busy, Unavailable

DAY = date(2026, 1, 1)
NOW = datetime(2026, 1, 2, 1, 30, tzinfo=UTC)
DONE = UnitFooter(1, None)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path))


def begin(archive: Archive, **options: Any) -> CaptureWriter:
    return archive.begin(DAY, "snapshot", {"kind": "snapshot"}, NOW, **options)


def seal(writer: CaptureWriter, *resources: str) -> Capture:
    return writer.seal({"resources": {name: {} for name in resources or ("results",)}})


def put(writer: CaptureWriter, member: str, page: int = 1, *, footer: UnitFooter | None = DONE, **options: Any) -> None:
    body = f'{{"member":"{member}","page":{page}}}'.encode()
    writer.append("results", {"account_id": member}, page, NOW, body, footer=footer, **options)


def bodies(capture: Capture, resource: str = "results") -> list[tuple[str, int]]:
    return sorted((line.body["member"], line.body["page"]) for line in capture.pages(resource))


def test_what_was_written_is_read_after_the_seal(archive: Archive) -> None:
    writer = begin(archive)
    put(writer, "a", 1, footer=None)
    put(writer, "b")
    put(writer, "a", 2, footer=UnitFooter(2, 2))
    assert archive.newest_sealed(DAY, "snapshot") is None
    capture = seal(writer)
    assert bodies(capture) == [("a", 1), ("a", 2), ("b", 1)]
    found = archive.newest_sealed(DAY, "snapshot")
    assert found is not None
    assert found.manifest == capture.manifest
    assert list(capture.pages("accounts")) == []


def test_a_manifest_names_every_part_with_its_checksum(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.LocalStorage, "part_bytes", 200)
    writer = begin(archive)
    for number in range(50):
        put(writer, os.urandom(20).hex() + str(number))
    capture = seal(writer)
    parts = capture.manifest["resources"]["results"]["parts"]
    assert len(parts) > 5
    assert [part["name"] for part in parts] == [f"part-{number + 1:05d}.jsonl.gz" for number in range(len(parts))]
    assert sum(part["lines"] for part in parts) == 50
    assert len(bodies(capture)) == 50


def test_many_threads_may_write(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.LocalStorage, "part_bytes", 2000)
    writer = begin(archive)

    def work(name: str) -> None:
        for number in range(40):
            put(writer, f"{name}{number}", 1, footer=None)
            put(writer, f"{name}{number}", 2)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies(seal(writer)) == sorted((f"{name}{n}", page) for name in "abcd" for n in range(40) for page in (1, 2))


# -- going on after an interruption


def resumed(archive: Archive, writer: CaptureWriter) -> CaptureWriter:
    writer.abandon()
    return archive.resume(writer.ref)


def test_finished_units_are_kept_and_the_rest_is_begun_anew(archive: Archive) -> None:
    writer = begin(archive)
    put(writer, "a", 1, footer=None)
    put(writer, "a", 2, footer=None)
    put(writer, "b")
    again = resumed(archive, writer)
    assert again.finished("results", {"account_id": "b"})
    assert not again.finished("results", {"account_id": "a"})
    assert again.attempt("results", {"account_id": "a"}) == 2
    assert again.attempt("results", {"account_id": "c"}) == 1
    assert [line.unit["account_id"] for line in again.recovered("results", bodies=False)] == ["b"]
    assert [line.body for line in again.recovered("results", bodies=True)] == [{"member": "b", "page": 1}]
    put(again, "a", 1, attempt=2)
    capture = seal(again)
    assert bodies(capture) == [("a", 1), ("b", 1)]
    assert [line.attempt for line in capture.pages("results") if line.body["member"] == "a"] == [2]


def test_an_attempt_that_is_interrupted_twice_is_counted_on(archive: Archive) -> None:
    writer = begin(archive)
    for number in (1, 2, 3):
        attempt = writer.attempt("results", {"account_id": "a"})
        assert attempt == number
        put(writer, "a", 1, footer=None, attempt=attempt)
        put(writer, f"other{number}")  # so that the page before it leaves the process
        writer = resumed(archive, writer)
    put(writer, "a", 1, attempt=4)
    assert [page for page in bodies(seal(writer)) if page[0] == "a"] == [("a", 1)]


def test_a_unit_counts_as_finished_only_with_all_its_pages(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    # The part with page 1 is lost, however that came; the one with the end is there.
    monkeypatch.setattr(local.LocalStorage, "part_bytes", 1)
    writer = begin(archive)
    put(writer, "x")
    put(writer, "a", 1, footer=None)
    put(writer, "b")
    put(writer, "a", 2, footer=UnitFooter(2, 2))
    writer.abandon()
    folder = Path(archive.url) / writer.ref.folder / "results"
    parts = sorted(path for path in folder.iterdir() if path.suffix == ".gz")
    parts[1].unlink()
    again = archive.resume(writer.ref)
    assert again.finished("results", {"account_id": "x"})
    assert not again.finished("results", {"account_id": "a"})
    put(again, "a", 1, attempt=again.attempt("results", {"account_id": "a"}))
    assert ("a", 2) not in bodies(seal(again))


def test_the_pages_of_a_unit_that_was_refused_later_do_not_count(archive: Archive) -> None:
    refused = UnitFooter(0, None, status=403)
    for interrupt in (False, True):
        writer = begin(archive)
        put(writer, "a", 1, footer=None)
        writer.append("results", {"account_id": "a"}, 0, NOW, b"null", footer=refused)
        put(writer, "b")
        if interrupt:
            writer = resumed(archive, writer)
            assert writer.finished("results", {"account_id": "a"})
            ends = {
                line.unit["account_id"]: line.footer for line in writer.recovered("results", bodies=True) if line.footer
            }
            assert ends == {"a": refused, "b": DONE}
        assert bodies(seal(writer)) == [("b", 1)]


def test_part_numbers_go_on_where_they_stopped(archive: Archive) -> None:
    writer = begin(archive)
    for name in "abc":
        put(writer, name)
        writer = resumed(archive, writer)
    capture = seal(writer)
    assert [part["name"] for part in capture.manifest["resources"]["results"]["parts"]] == [
        "part-00001.jsonl.gz",
        "part-00002.jsonl.gz",
        "part-00003.jsonl.gz",
    ]
    assert bodies(capture) == [("a", 1), ("b", 1), ("c", 1)]


@pytest.mark.parametrize("damage", [b"", b"nonsense", None], ids=["emptied", "overwritten", "cut"])
def test_a_finished_part_that_is_damaged_cannot_be_gone_on_with(archive: Archive, damage: bytes | None) -> None:
    writer = resumed(archive, begin(archive))
    put(writer, "a")
    resumed(archive, writer)
    part = Path(archive.url) / writer.ref.folder / "results" / "part-00001.jsonl.gz"
    part.write_bytes(part.read_bytes()[:-9] if damage is None else damage)
    with pytest.raises(ArchiveCorrupt, match=r"results/part-00001\.jsonl\.gz in the archive"):
        archive.resume(writer.ref)


def test_an_abandoned_capture_takes_nothing_more(archive: Archive) -> None:
    writer = begin(archive)
    put(writer, "a")
    writer.abandon()
    with pytest.raises(Unavailable, match="run again to resume it"):
        put(writer, "b")
    with pytest.raises(Unavailable, match="run again to resume it"):
        seal(writer)
    assert archive.newest_sealed(DAY, "snapshot") is None


# -- a full disk


def fill(writer: CaptureWriter) -> int:
    """Write until the disk is full; gives how many units were finished before."""
    done: list[int] = []

    def write() -> None:
        for number in range(10_000):
            body = f'{{"member":"{number}","page":1,"noise":"{os.urandom(800).hex()}"}}'.encode()
            writer.append("results", {"account_id": str(number)}, 1, NOW, body, footer=DONE)
            done.append(number)

    with pytest.raises(Unavailable, match=r"no space is left on the device: make room, then run again"):
        write()
    return len(done)


@pytest.mark.parametrize("space", [0, 1, 700, 5000])
def test_a_write_that_is_cut_short_by_a_full_disk_loses_no_finished_unit(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, space: int
) -> None:
    left = space
    write = local.LocalSink.write

    def full(sink: Any, chunk: bytes) -> None:
        nonlocal left
        write(sink, chunk[:left])
        if left < len(chunk):
            left = 0
            with local.explained("writing"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left -= len(chunk)

    writer = begin(archive)
    with monkeypatch.context() as patched:
        patched.setattr(local.LocalSink, "write", full)
        done = fill(writer)
    writer.abandon()
    again = archive.resume(writer.ref)
    assert sum(1 for _ in again.recovered("results", bodies=False)) == done


@pytest.mark.parametrize("step", ["sync", "publish_file"])
def test_nothing_follows_a_part_that_could_not_be_closed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    # Or a unit whose first page was in it would look finished by its last page in the next.
    monkeypatch.setattr(local.LocalStorage, "part_bytes", 60)
    writer = begin(archive)
    put(writer, "z")

    def broken(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(local, step, broken)
        put(writer, "a", 1, footer=None)
        with pytest.raises(Unavailable, match="no space is left"):
            put(writer, "b")
    with pytest.raises(Unavailable, match="stopped"):
        put(writer, "a", 2, footer=UnitFooter(2, 2))
    again = resumed(archive, writer)
    assert again.finished("results", {"account_id": "z"})
    assert again.finished("results", {"account_id": "b"})
    assert not again.finished("results", {"account_id": "a"})


def test_a_manifest_that_cannot_be_written_leaves_a_capture_to_go_on_with(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = begin(archive)
    put(writer, "a")
    real = local.publish_file

    def broken(aside: Path, path: Path) -> None:
        if path.name == "manifest.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(aside, path)

    with monkeypatch.context() as patched:
        patched.setattr(local, "publish_file", broken)
        with pytest.raises(Unavailable, match="check DRILLSTER_ARCHIVE_URL"):
            seal(writer)
    assert archive.newest_sealed(DAY, "snapshot") is None
    assert bodies(seal(resumed(archive, writer))) == [("a", 1)]


def test_a_capture_that_another_run_has_taken_over_is_not_written_to(archive: Archive) -> None:
    lost = threading.Event()

    def check_lock() -> None:
        if lost.is_set():
            raise Busy("Another run goes on with it")

    writer = begin(archive, check_lock=check_lock)
    put(writer, "a")
    lost.set()
    with pytest.raises(Busy):
        seal(writer)
    assert archive.newest_sealed(DAY, "snapshot") is None
    assert archive.resumable(DAY, "snapshot", {"kind": "snapshot"}, NOW + timedelta(hours=1)) == writer.ref
    writer.abandon()


def test_a_capture_that_another_run_has_taken_over_is_not_sealed_though_nothing_is_left_to_write(
    archive: Archive,
) -> None:
    writer = begin(archive)
    put(writer, "a")
    writer.abandon()

    def check_lock() -> None:
        raise Busy("Another run goes on with it")

    resumed = archive.resume(writer.ref, check_lock=check_lock)
    with pytest.raises(Busy):
        seal(resumed)
    assert archive.newest_sealed(DAY, "snapshot") is None
