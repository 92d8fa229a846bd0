"""Which captures count, which may be resumed, what is damaged, and how captures are removed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import local
from drillster_pipeline.archive.archive import RESUMABLE_FOR, Archive
from drillster_pipeline.archive.captures import CaptureRef
from drillster_pipeline.archive.redaction import redact
from drillster_pipeline.errors import ArchiveCorrupt, ContractError, Interrupted

from .conftest import DAY, NOW, PURPOSE, add, begin, newest, pages, sealed


def unsealed(archive: Archive) -> CaptureRef:
    writer = begin(archive)
    add(writer, "a")
    writer.abandon()
    return writer.ref


def folder(archive: Archive, ref: CaptureRef) -> Path:
    return Path(archive.url) / ref.folder


def test_the_capture_that_was_sealed_last_counts_whatever_the_clock_was(archive: Archive) -> None:
    moments = [NOW, NOW - timedelta(days=3), NOW, NOW + timedelta(microseconds=5), NOW - timedelta(hours=1)]
    refs = [sealed(archive, now=moment).ref for moment in moments]
    assert archive.captures(DAY) == refs
    unsealed(archive)
    assert newest(archive).ref == refs[-1]
    assert archive.newest_sealed(DAY, "events") is None
    assert archive.newest_sealed(DAY + timedelta(days=1), "snapshot") is None


def test_only_folders_of_dates_and_captures_count(archive: Archive) -> None:
    sealed(archive, day=DAY + timedelta(days=2))
    ref = sealed(archive).ref
    for name in ("alerts", "2026-01-02-copy", "2026-02-30", "2026-13-01", "0000-01-01"):
        (Path(archive.url) / name).mkdir()
    for name in (".snapshot.lock", "20260102T013000Z-snapshot-0b2bf1e0.bak", "notes.txt", "x-snapshot-0b2bf1e0"):
        (folder(archive, ref).parent / name).mkdir()
    assert archive.dates() == [DAY, DAY + timedelta(days=2)]
    assert archive.captures(DAY) == [ref]
    assert Archive(f"{archive.url}/nowhere").dates() == []


@pytest.mark.parametrize("scheme", ["file", "local"])
def test_a_url_with_a_scheme_for_files_is_a_folder(tmp_path: Path, scheme: str) -> None:
    archive = Archive(f"{scheme}://{tmp_path}/my%20archive")
    sealed(archive)
    assert type(archive.storage) is local.LocalStorage
    assert Archive(str(tmp_path / "my archive")).dates() == [DAY]


@pytest.mark.parametrize(
    ("after", "may"),
    [
        (timedelta(0), True),
        (RESUMABLE_FOR, True),
        (RESUMABLE_FOR + timedelta(seconds=1), False),
        (-timedelta(hours=2), True),
        (-timedelta(days=30), False),
    ],
    ids=["at once", "after 12 hours", "later", "clock set back", "clock was far ahead"],
)
def test_a_capture_may_be_resumed_for_a_while(archive: Archive, after: timedelta, may: bool) -> None:
    ref = unsealed(archive)
    assert archive.resumable(DAY, "snapshot", PURPOSE, NOW + after) == (ref if may else None)


@pytest.mark.parametrize(
    "content",
    [
        lambda begun: begun | {"purpose": PURPOSE | {"organization_id": "another"}},
        lambda begun: begun | {"purpose": PURPOSE | {"window": {"from": "x"}}},
        lambda begun: begun | {"format": 2},
        lambda begun: begun | {"started_at": 5},
        lambda _: {"format": 1},
        lambda _: [],
        lambda _: b"",
        lambda _: b"\xff",
    ],
    ids=["purpose", "window", "format", "moment", "incomplete", "no object", "empty", "no text"],
)
def test_a_capture_whose_description_does_not_fit_is_not_resumed(archive: Archive, content: Any) -> None:
    path = folder(archive, unsealed(archive)) / "capture.json"
    changed = content(json.loads(path.read_text()))
    path.write_bytes(changed if isinstance(changed, bytes) else json.dumps(changed).encode())
    assert archive.resumable(DAY, "snapshot", PURPOSE, NOW) is None


def test_a_capture_that_was_killed_before_it_was_described_is_removed(archive: Archive) -> None:
    ref = unsealed(archive)
    empty = Path(archive.url) / str(DAY) / "20260102T013500Z-snapshot-0b2bf1e0"
    empty.mkdir()
    assert archive.resumable(DAY, "snapshot", PURPOSE, NOW) == ref
    assert not empty.exists()


@pytest.mark.parametrize("damage", ["missing", "flipped", "swapped"])
def test_a_damaged_part_is_named_when_it_is_read(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(local.LocalStorage, "part_bytes", 1)
    capture = sealed(archive, "a", "b", "c")
    first, second, _ = sorted((folder(archive, capture.ref) / "results").glob("part-*.gz"))
    content = second.read_bytes()
    if damage == "missing":
        second.unlink()
    else:
        flipped = content[:30] + bytes([content[30] ^ 1]) + content[31:]
        second.write_bytes(flipped if damage == "flipped" else first.read_bytes())
    records = newest(archive).pages("results")
    assert next(records).body["member"] == "a"
    with pytest.raises(ArchiveCorrupt, match=rf"{capture.ref.folder}/results/part-00002\.jsonl\.gz.*restore it from a"):
        next(records)


@pytest.mark.parametrize("content", [b"", b"null", b'{"format": 1, "resources"', b"\xff\xfe"], ids=repr)
def test_a_damaged_manifest_is_named(archive: Archive, content: bytes) -> None:
    ref = sealed(archive).ref
    (folder(archive, ref) / "manifest.json").write_bytes(content)
    with pytest.raises(ArchiveCorrupt, match=rf"{ref.folder}/manifest\.json in the archive is no valid JSON"):
        newest(archive)


def test_a_manifest_of_a_newer_version_is_refused(archive: Archive) -> None:
    path = folder(archive, sealed(archive).ref) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    with pytest.raises(ContractError, match=r"format 9.*or a newer one"):
        newest(archive)


def test_a_part_that_the_manifest_does_not_name_never_counts(archive: Archive) -> None:
    capture = sealed(archive, "a")
    part = folder(archive, capture.ref) / "results" / "part-00001.jsonl.gz"
    for name in ("part-00002.jsonl.gz", "part-00003.jsonl.gz.partial", ".part-00004.jsonl.gz"):
        part.with_name(name).write_bytes(part.read_bytes())
    assert pages(newest(archive)) == [("a", 1)]


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_capture_that_is_changed_or_removed_while_it_is_read_is_no_damage(archive: Archive, is_removed: bool) -> None:
    capture = sealed(archive, "a")
    if is_removed:
        archive.remove(capture.ref)
    else:
        redact(archive.open(capture.ref), lambda *_: None, unit=lambda unit: unit, now=NOW)
        assert pages(archive.open(capture.ref)) == []
    with pytest.raises(Interrupted, match=r"changed or removed while it was read, by `forget` or `prune`: run again"):
        list(capture.pages("results"))


def test_a_date_without_captures_can_be_removed_unless_another_run_is_about_to_capture_it(archive: Archive) -> None:
    ref = sealed(archive).ref
    archive.remove_if_empty(DAY)
    assert archive.dates() == [DAY]
    archive.remove(ref)
    with archive.locked(DAY, "events"):
        archive.remove_if_empty(DAY)
        assert archive.dates() == [DAY]
    archive.remove_if_empty(DAY)
    assert archive.dates() == []
