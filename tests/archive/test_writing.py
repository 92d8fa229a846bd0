"""Writing a capture: many threads, interruptions, parts that cannot be closed, and locks that are lost."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import local
from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.archive.records import UnitFooter
from drillster_pipeline.errors import ArchiveCorrupt, Busy, Unavailable

from .conftest import DAY, LAST, NOW, PURPOSE, add, again, begin, finished, newest, pages, resume, seal


def test_pages_that_many_threads_write_are_read_after_the_seal(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.LocalStorage, "part_bytes", 2000)
    writer = begin(archive)

    def work(name: str) -> None:
        for number in range(40):
            add(writer, f"{name}{number}", 1, footer=None)
            add(writer, f"{name}{number}", 2)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, "abcd"))
    assert archive.newest_sealed(DAY, "snapshot") is None
    capture = seal(writer)
    assert pages(capture) == sorted((f"{name}{n}", page) for name in "abcd" for n in range(40) for page in (1, 2))
    assert newest(archive).manifest == capture.manifest
    assert list(capture.pages("accounts")) == []
    parts = capture.manifest["resources"]["results"]["parts"]
    assert len(parts) > 2
    assert [part["name"] for part in parts] == [f"part-{number + 1:05d}.jsonl.gz" for number in range(len(parts))]
    assert sum(part["lines"] for part in parts) == 320


def test_finished_units_are_kept_and_others_are_attempted_again(archive: Archive) -> None:
    writer = begin(archive)
    add(writer, "a", 1, footer=None)
    add(writer, "a", 2, footer=None)
    add(writer, "b")
    writer = resume(archive, writer)
    assert finished(writer, "ab") == {"a": False, "b": True}
    assert [writer.attempt("results", {"account_id": member}) for member in "ac"] == [2, 1]
    assert [record.unit["account_id"] for record in writer.recovered("results", bodies=False)] == ["b"]
    assert [record.body for record in writer.recovered("results", bodies=True)] == [{"member": "b", "page": 1}]
    again(writer, "a")
    capture = seal(writer)
    assert pages(capture) == [("a", 1), ("b", 1)]
    assert [record.attempt for record in capture.pages("results") if record.body["member"] == "a"] == [2]


def test_attempts_and_parts_are_counted_over_several_interruptions(archive: Archive) -> None:
    writer = begin(archive)
    for number in (1, 2, 3):
        assert writer.attempt("results", {"account_id": "a"}) == number
        again(writer, "a", footer=None)
        add(writer, f"other{number}")  # so that the page before it leaves the process
        writer = resume(archive, writer)
    again(writer, "a")
    capture = seal(writer)
    assert [page for page in pages(capture) if page[0] == "a"] == [("a", 1)]
    names = [part["name"] for part in capture.manifest["resources"]["results"]["parts"]]
    assert names == [f"part-{number:05d}.jsonl.gz" for number in (1, 2, 3, 4)]


def test_a_unit_that_was_finished_and_begun_again_under_one_number_is_attempted_again(archive: Archive) -> None:
    writer = begin(archive)
    add(writer, "a")
    add(writer, "a", footer=None)  # by a version that could queue a unit twice
    add(writer, "b")
    writer = resume(archive, writer)
    assert finished(writer, "ab") == {"a": False, "b": True}
    again(writer, "a")
    capture = seal(writer)
    assert pages(capture) == [("a", 1), ("b", 1)]
    assert [record.attempt for record in capture.pages("results") if record.body["member"] == "a"] == [2]


def test_a_unit_counts_as_finished_only_with_all_its_pages(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    # The part with page 1 is lost, however that came; the one with the end is there.
    monkeypatch.setattr(local.LocalStorage, "part_bytes", 1)
    writer = begin(archive)
    add(writer, "x")
    add(writer, "a", 1, footer=None)
    add(writer, "b")
    add(writer, "a", 2, footer=UnitFooter(2, 2))
    writer.abandon()
    (Path(archive.url) / writer.ref.folder / "results" / "part-00002.jsonl.gz").unlink()
    writer = archive.resume(writer.ref)
    assert finished(writer, "xa") == {"x": True, "a": False}
    again(writer, "a")
    assert ("a", 2) not in pages(seal(writer))


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_pages_of_a_unit_that_was_refused_later_do_not_count(archive: Archive, is_interrupted: bool) -> None:
    refused = UnitFooter(0, None, status=403)
    writer = begin(archive)
    add(writer, "a", 1, footer=None)
    writer.append("results", {"account_id": "a"}, 0, NOW, b"null", footer=refused)
    add(writer, "b")
    if is_interrupted:
        writer = resume(archive, writer)
        records = [record for record in writer.recovered("results", bodies=True) if record.footer]
        assert {record.unit["account_id"]: record.footer for record in records} == {"a": refused, "b": LAST}
    assert pages(seal(writer)) == [("b", 1)]


@pytest.mark.parametrize("damage", [b"", b"nonsense", None], ids=["emptied", "overwritten", "cut"])
def test_a_capture_with_a_damaged_part_cannot_be_resumed(archive: Archive, damage: bytes | None) -> None:
    writer = begin(archive)
    add(writer, "a")
    resume(archive, writer)
    part = Path(archive.url) / writer.ref.folder / "results" / "part-00001.jsonl.gz"
    part.write_bytes(part.read_bytes()[:-9] if damage is None else damage)
    with pytest.raises(ArchiveCorrupt, match=r"results/part-00001\.jsonl\.gz in the archive"):
        archive.resume(writer.ref)


def test_nothing_can_be_added_to_an_abandoned_capture(archive: Archive) -> None:
    writer = begin(archive)
    add(writer, "a")
    writer.abandon()
    for work in (lambda: add(writer, "b"), lambda: seal(writer)):
        with pytest.raises(Unavailable, match="run again to resume it"):
            work()
    assert archive.newest_sealed(DAY, "snapshot") is None


@pytest.mark.parametrize("step", ["sync", "publish_file"])
def test_nothing_follows_a_part_that_could_not_be_closed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    # Or a unit whose first page was in it would look finished by its last page in the next.
    monkeypatch.setattr(local.LocalStorage, "part_bytes", 60)
    writer = begin(archive)
    add(writer, "z")

    def broken(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(local, step, broken)
        add(writer, "a", 1, footer=None)
        with pytest.raises(Unavailable, match="no space is left"):
            add(writer, "b")
    with pytest.raises(Unavailable, match="stopped"):
        add(writer, "a", 2, footer=UnitFooter(2, 2))
    assert finished(resume(archive, writer), "zba") == {"z": True, "b": True, "a": False}


@pytest.mark.parametrize("is_everything_written", [False, True])
def test_a_capture_that_another_run_has_taken_over_is_not_sealed(archive: Archive, is_everything_written: bool) -> None:
    def check_lock() -> None:
        raise Busy("Another run has taken over")

    writer = begin(archive, **({} if is_everything_written else {"check_lock": check_lock}))
    add(writer, "a")
    if is_everything_written:
        writer.abandon()
        writer = archive.resume(writer.ref, check_lock=check_lock)
    with pytest.raises(Busy):
        seal(writer)
    assert archive.newest_sealed(DAY, "snapshot") is None
    assert archive.resumable(DAY, "snapshot", PURPOSE, NOW) == writer.ref
    writer.abandon()
