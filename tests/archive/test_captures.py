from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import RESUMABLE_FOR, Archive, CaptureRef, UnitFooter, local
from drillster_pipeline.archive.redaction import redact
from drillster_pipeline.errors import ArchiveCorrupt, ContractError, Interrupted

DAY = date(2026, 1, 1)
NOW = datetime(2026, 1, 2, 1, 30, tzinfo=UTC)
PURPOSE = {"kind": "snapshot", "organization_id": "self", "personal_data": "keep"}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path))


def put(archive: Archive, *, now: datetime = NOW, sealed: bool = True, day: date = DAY, parts: int = 1) -> CaptureRef:
    writer = archive.begin(day, "snapshot", PURPOSE, now)
    for number in range(parts):
        unit = {"account_id": str(number)}
        writer.append("results", unit, 1, now, json.dumps({"number": number}).encode(), footer=UnitFooter(1, None))
    if not sealed:
        writer.abandon()
        return writer.ref
    return writer.seal({"resources": {"results": {}}}).ref


def folder(archive: Archive, ref: CaptureRef) -> Path:
    return Path(archive.url) / ref.folder


# -- which capture counts


def test_the_newest_sealed_capture_counts(archive: Archive) -> None:
    put(archive)
    second = put(archive, now=NOW + timedelta(hours=1))
    put(archive, now=NOW + timedelta(hours=2), sealed=False)
    found = archive.newest_sealed(DAY, "snapshot")
    assert found is not None
    assert found.ref == second
    assert archive.newest_sealed(DAY, "events") is None
    assert archive.newest_sealed(DAY + timedelta(days=1), "snapshot") is None


def test_captures_stay_in_the_order_in_which_they_were_begun_whatever_the_clock_says(archive: Archive) -> None:
    moments = [NOW, NOW - timedelta(days=3), NOW, NOW + timedelta(microseconds=5), NOW - timedelta(hours=1)]
    refs = [put(archive, now=moment) for moment in moments]
    assert archive.captures(DAY) == refs
    found = archive.newest_sealed(DAY, "snapshot")
    assert found is not None
    assert found.ref == refs[-1]


def test_dates_are_those_that_have_a_folder(archive: Archive) -> None:
    put(archive, day=DAY + timedelta(days=2))
    put(archive, day=DAY)
    (Path(archive.url) / "alerts").mkdir()
    for name in ("2026-01-02-copy", "2026-02-30", "2026-13-01", "0000-01-01"):
        (Path(archive.url) / name).mkdir()
    assert archive.dates() == [DAY, DAY + timedelta(days=2)]
    assert Archive(f"{archive.url}/nowhere").dates() == []


def test_what_is_no_capture_is_passed_over(archive: Archive) -> None:
    ref = put(archive)
    for name in (".snapshot.lock", "20260102T013000Z-snapshot-0b2bf1e0.bak", "notes.txt", "x-snapshot-0b2bf1e0"):
        (folder(archive, ref).parent / name).mkdir(exist_ok=True)
    assert archive.captures(DAY) == [ref]


@pytest.mark.parametrize("scheme", ["file", "local"])
def test_a_url_with_a_scheme_for_files_is_a_folder(tmp_path: Path, scheme: str) -> None:
    archive = Archive(f"{scheme}://{tmp_path}/my%20archive")
    put(archive)
    assert type(archive.storage) is local.LocalStorage
    assert Archive(str(tmp_path / "my archive")).dates() == [DAY]


SEAL = """
import os, signal, sys
from datetime import UTC, date, datetime
from drillster_pipeline.archive import Archive, UnitFooter, local

def killed(file):
    if b"superseded" in open(file.name, "rb").read():
        os.truncate(file.name, 40)  # the rest had not reached the disk
        os.kill(os.getpid(), signal.SIGKILL)

now = datetime(2026, 1, 2, 1, 30, tzinfo=UTC)
writer = Archive(sys.argv[1]).begin(date(2026, 1, 1), "snapshot", {}, now)
writer.append("results", {"account_id": "a"}, 1, now, b"{}", footer=UnitFooter(1, None))
local.sync = lambda file: (file.flush(), killed(file))
writer.seal({"resources": {"results": {}}})
"""


@pytest.mark.parametrize("scheme", ["file", "local"])
def test_a_seal_that_is_cut_short_by_a_kill_is_none_and_the_capture_can_be_resumed(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}://{tmp_path}"
    assert subprocess.run([sys.executable, "-c", SEAL, url], check=False).returncode == -signal.SIGKILL
    archive = Archive(url)
    (ref,) = archive.captures(DAY)
    assert not ref.sealed
    assert archive.newest_sealed(DAY, "snapshot") is None
    assert [line.body for line in archive.resume(ref).seal({"resources": {"results": {}}}).pages("results")] == [{}]
    assert archive.captures(DAY)[0].sealed


# -- which one may be gone on with


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
def test_a_young_capture_may_be_gone_on_with(archive: Archive, after: timedelta, may: bool) -> None:
    ref = put(archive, sealed=False)
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
    ref = put(archive, sealed=False)
    path = folder(archive, ref) / "capture.json"
    changed = content(json.loads(path.read_text()))
    path.write_bytes(changed if isinstance(changed, bytes) else json.dumps(changed).encode())
    assert archive.resumable(DAY, "snapshot", PURPOSE, NOW) is None


def test_a_capture_that_was_killed_before_it_was_described_is_passed_over_and_removed(archive: Archive) -> None:
    ref = put(archive, sealed=False)
    empty = Path(archive.url) / str(DAY) / "20260102T013500Z-snapshot-0b2bf1e0"
    empty.mkdir()
    assert archive.resumable(DAY, "snapshot", PURPOSE, NOW) == ref
    assert not empty.exists()


# -- what is damaged


def parts(archive: Archive, ref: CaptureRef) -> list[Path]:
    return sorted((folder(archive, ref) / "results").glob("part-*.gz"))


@pytest.mark.parametrize("damage", ["missing", "empty", "flipped", "cut", "swapped"])
def test_a_damaged_part_is_found_when_it_is_read_and_named(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(local.LocalStorage, "part_bytes", 1)
    ref = put(archive, parts=3)
    first, second, _ = parts(archive, ref)
    content = second.read_bytes()
    if damage == "missing":
        second.unlink()
    else:
        second.write_bytes(
            {
                "empty": b"",
                "flipped": content[:30] + bytes([content[30] ^ 1]) + content[31:],
                "cut": content[:-1],
                "swapped": first.read_bytes(),
            }[damage]
        )
    capture = archive.newest_sealed(DAY, "snapshot")
    assert capture is not None
    pages = capture.pages("results")
    assert next(pages).body == {"number": 0}
    with pytest.raises(ArchiveCorrupt, match=rf"{ref.folder}/results/part-00002\.jsonl\.gz.*restore it from a backup"):
        next(pages)


@pytest.mark.parametrize("content", [b"", b"null", b'{"format": 1, "resources"', b"\xff\xfe"], ids=repr)
def test_a_damaged_manifest_is_named(archive: Archive, content: bytes) -> None:
    ref = put(archive)
    (folder(archive, ref) / "manifest.json").write_bytes(content)
    with pytest.raises(ArchiveCorrupt, match=rf"{ref.folder}/manifest\.json in the archive is no valid JSON"):
        archive.newest_sealed(DAY, "snapshot")


def test_a_manifest_of_a_newer_program_asks_for_that(archive: Archive) -> None:
    ref = put(archive)
    path = folder(archive, ref) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    with pytest.raises(ContractError, match=r"format 9.*or a newer one"):
        archive.newest_sealed(DAY, "snapshot")


def test_what_lies_about_beside_the_parts_never_counts(archive: Archive) -> None:
    ref = put(archive)
    results = folder(archive, ref) / "results"
    part = parts(archive, ref)[0].read_bytes()
    for name in ("part-00002.jsonl.gz", "part-00003.jsonl.gz.partial", ".part-00004.jsonl.gz"):
        (results / name).write_bytes(part)
    capture = archive.newest_sealed(DAY, "snapshot")
    assert capture is not None
    assert len(list(capture.pages("results"))) == 1


# -- removal


def test_a_removal_that_was_cut_short_leaves_nothing_half_there_and_is_finished_by_the_next(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, other = put(archive), put(archive, now=NOW + timedelta(hours=1))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(local.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            archive.remove(ref)
    assert archive.captures(DAY) == [other]
    archive.remove(other)
    assert [path for path in Path(archive.url).rglob("*") if path.is_file()] == []


def test_a_capture_that_goes_while_it_is_read_is_no_damage(archive: Archive) -> None:
    capture = archive.open(put(archive))
    archive.remove(capture.ref)
    with pytest.raises(Interrupted, match=r"changed or removed while it was read, by `forget` or `prune`: run again"):
        list(capture.pages("results"))


def test_a_capture_that_is_changed_while_it_is_read_is_no_damage(archive: Archive) -> None:
    writer = archive.begin(DAY, "snapshot", PURPOSE, NOW)
    writer.append("results", {}, 1, NOW, b"{}", footer=UnitFooter(1, None))
    ref = writer.seal({"resources": {"results": {"lost": [], "short": []}}}).ref
    capture = archive.open(ref)
    redact(archive.open(ref), lambda *_: None, unit=lambda unit: unit, now=NOW)
    with pytest.raises(Interrupted):
        list(capture.pages("results"))
    assert list(archive.open(ref).pages("results")) == []


def test_a_date_without_captures_can_be_removed_unless_somebody_is_about_to_make_one(archive: Archive) -> None:
    ref = put(archive)
    archive.remove_if_empty(DAY)
    assert archive.dates() == [DAY]
    archive.remove(ref)
    with archive.locked(DAY, "events"):
        archive.remove_if_empty(DAY)
        assert archive.dates() == [DAY]
    archive.remove_if_empty(DAY)
    assert archive.dates() == []
