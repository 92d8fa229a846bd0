"""Captures of one export date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.archive.captures import Capture, CaptureWriter
from drillster_pipeline.archive.records import UnitFooter
from drillster_pipeline.archive.storage import Storage
from drillster_pipeline.errors import ArchiveCorrupt

DAY = date(2026, 1, 1)
NOW = datetime(2026, 1, 2, 1, 30, tzinfo=UTC)
PURPOSE = {"kind": "snapshot", "organization_id": "self", "personal_data": "keep"}
LAST = UnitFooter(1, None)
"""The footer of a unit of one page."""


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path))


def begin(archive: Archive, *, day: date = DAY, now: datetime = NOW, **options: Any) -> CaptureWriter:
    return archive.begin(day, "snapshot", PURPOSE, now, **options)


def add(writer: CaptureWriter, member: str, page: int = 1, *, footer: UnitFooter | None = LAST, **options: Any) -> None:
    """A page of results of a member; without a footer, another one follows."""
    body = json.dumps({"member": member, "page": page, **options.pop("more", {})}).encode()
    writer.append("results", {"account_id": member}, page, NOW, body, footer=footer, **options)


def seal(writer: CaptureWriter, **results: Any) -> Capture:
    return writer.seal({"resources": {"results": results}})


def sealed(archive: Archive, *members: str, **options: Any) -> Capture:
    """A capture of one page for each of these members."""
    writer = begin(archive, **options)
    for member in members:
        add(writer, member)
    return seal(writer, lost=[], short=[])


def resume(archive: Archive, writer: CaptureWriter) -> CaptureWriter:
    """Resume as the next run does after an interruption."""
    writer.abandon()
    return archive.resume(writer.ref)


def finished(writer: CaptureWriter, members: str) -> Mapping[str, bool]:
    """By member (one letter each), whether the unit is finished."""
    return {member: writer.finished("results", {"account_id": member}) for member in members}


def again(writer: CaptureWriter, member: str, **options: Any) -> None:
    """A page of a new attempt at a member."""
    add(writer, member, attempt=writer.attempt("results", {"account_id": member}), **options)


def pages(capture: Capture) -> list[tuple[str, int]]:
    """Member and number of each page that counts."""
    return sorted((record.body["member"], record.body["page"]) for record in capture.pages("results"))


def newest(archive: Archive) -> Capture:
    capture = archive.newest_sealed(DAY, "snapshot")
    assert capture is not None
    return capture


def check_storage(storage: Storage) -> None:
    """What is written is read, listed and removed."""
    assert storage.names("") == storage.names("a/b") == []
    storage.write("a/b/file", b"content")
    storage.write("a/b/file", b"other content")
    storage.write("a/c", b"")
    assert [storage.read(name) for name in ("a/b/file", "a/c")] == [b"other content", b""]
    assert [storage.names(folder) for folder in ("", "a", "a/b", "a/c")] == [["a"], ["b", "c"], ["file"], []]
    storage.remove("a/c")
    assert storage.names("a") == ["b"]
    storage.remove("a")
    storage.remove("a")
    assert storage.names("") == []
    with pytest.raises(ArchiveCorrupt, match="The archive lacks a/b/file"):
        storage.read("a/b/file")
