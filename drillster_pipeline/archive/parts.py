"""Parts: files of gzipped JSON lines, one line per answer.

A part that is being written is flushed to the operating system after every finished unit, so that a killed
process loses no finished unit: its lines are salvaged from the unfinished file. The gzip stream is flushed, not
restarted, which keeps the compression of one long stream.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from drillster_pipeline.errors import ArchiveCorrupt

from .storage import PARTIAL, LocalStorage, RemoteStorage, explained, publish_file, sync

LOCAL_PART_BYTES = 32 * 1024 * 1024
REMOTE_PART_BYTES = 4 * 1024 * 1024
"""Compressed size after which a part is closed. A remote part waits in memory until then, so it is smaller."""
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1  # about 220 MB/s on API-like JSON, against 126 at level 6


@dataclass(frozen=True, slots=True)
class End:
    """What the last line of a unit says of it: how many distinct items it gave, and how many Drillster named."""

    items: int
    total: int | None
    expected: int | None = None
    """What the group's own counts promised."""
    status: int = 200
    """HTTP status of the unit: 200, or 403 or 404 for one that is closed to us or gone."""

    def as_json(self) -> dict[str, Any]:
        """The form in a line."""
        return {"items": self.items, "total": self.total, "expected": self.expected, "status": self.status}


@dataclass(frozen=True, slots=True)
class Line:
    """One archived answer."""

    unit: Mapping[str, str]
    page: int
    captured_at: str
    body: Any
    attempt: int = 1
    end: End | None = None


def line_bytes(
    unit: Mapping[str, str], page: int, captured_at: str, body: bytes, *, attempt: int, end: End | None
) -> bytes:
    """A line as bytes; ``body`` is JSON text without line breaks and goes in as it is."""
    head = {"unit": unit, "page": page, "captured_at": captured_at}
    if attempt != 1:
        head["attempt"] = attempt
    if end is not None:
        head["end"] = end.as_json()
    return json.dumps(head, separators=(",", ":")).encode()[:-1] + b',"body":' + body + b"}\n"


def parse_line(text: bytes) -> Line:
    """The inverse of :func:`line_bytes`."""
    record = json.loads(text)
    end = record.get("end")
    return Line(
        record["unit"],
        record["page"],
        record["captured_at"],
        record["body"],
        record.get("attempt", 1),
        End(**end) if end else None,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part, as the manifest lists it."""

    name: str
    lines: int
    size: int
    """Compressed bytes."""
    raw_size: int
    """Bytes of JSON lines."""
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """The form in a manifest."""
        return {
            "name": self.name,
            "lines": self.lines,
            "bytes": self.size,
            "raw_bytes": self.raw_size,
            "sha256": self.sha256,
        }


class PartWriter:
    """Writes one part; ``close`` makes it appear. Not thread-safe: its owner holds a lock."""

    def __init__(self, storage: LocalStorage | RemoteStorage, folder: str, number: int) -> None:
        self.storage = storage
        self.name = part_name(number)
        self.path = f"{folder}/{self.name}"
        self.lines = self.size = self.raw_size = 0
        self.broken = False
        """A write failed, so that the stream may end in the middle of a chunk: nothing may follow it."""
        self._digest = hashlib.sha256()
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._file: BinaryIO
        if isinstance(storage, LocalStorage):
            aside = storage.root / (self.path + PARTIAL)
            with explained("writing"):
                aside.parent.mkdir(parents=True, exist_ok=True)
                self._file = aside.open("wb", buffering=0)
        else:
            self._file = io.BytesIO()

    def append(self, line: bytes, *, flush: bool) -> None:
        """Add a line; with ``flush`` all lines so far survive the process."""
        chunk = self._gzip.compress(line)
        if flush:
            chunk += self._gzip.flush(zlib.Z_SYNC_FLUSH)
        self._put(chunk)
        self.lines += 1
        self.raw_size += len(line)

    def _put(self, chunk: bytes) -> None:
        if not chunk:
            return
        self.broken = True
        with explained("writing"):
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        self.broken = False
        self._digest.update(chunk)
        self.size += len(chunk)

    @property
    def full(self) -> bool:
        """Whether it is time for the next part."""
        return self.size >= (LOCAL_PART_BYTES if isinstance(self.storage, LocalStorage) else REMOTE_PART_BYTES)

    def close(self) -> Part:
        """Finish the part and let it appear under its name."""
        self._put(self._gzip.flush())
        if isinstance(self.storage, LocalStorage):
            path = self.storage.root / self.path
            with explained("writing"):
                sync(self._file)
                self._file.close()
                publish_file(path.with_name(path.name + PARTIAL), path)
        else:
            assert isinstance(self._file, io.BytesIO)  # noqa: S101 - tells the type checker what the branch implies
            self.storage.write(self.path, self._file.getvalue())
        return Part(self.name, self.lines, self.size, self.raw_size, self._digest.hexdigest())

    def abandon(self) -> None:
        """Leave the part unfinished; what was flushed can be salvaged where the storage is local."""
        self._file.close()


def part_name(number: int) -> str:
    """The file name of a part; numbers start at 1."""
    return f"part-{number:05d}.jsonl.gz"


def read_lines(content: bytes, *, salvage: bool = False) -> Iterator[bytes]:
    """The lines of a part's content, each without its line break.

    With ``salvage`` a stream that breaks off is read as far as it goes; else that raises ArchiveCorrupt.
    """
    inflate = zlib.decompressobj(_GZIP)
    rest = b""
    step = 1 << 17
    try:
        for start in range(0, len(content), step):
            *lines, rest = (rest + inflate.decompress(content[start : start + step])).split(b"\n")
            yield from lines
    except zlib.error:
        if not salvage:
            raise ArchiveCorrupt("A part of the archive is no valid gzip stream: restore it from a backup") from None
        return
    if not salvage and (rest or not inflate.eof):
        raise ArchiveCorrupt("A part of the archive ends in the middle: restore it from a backup")


def describe(name: str, content: bytes) -> Part:
    """The manifest's entry for a finished part that an earlier process wrote."""
    lines = raw_size = 0
    for line in read_lines(content):
        lines += 1
        raw_size += len(line) + 1
    return Part(name, lines, len(content), raw_size, hashlib.sha256(content).hexdigest())


def salvage(storage: LocalStorage, folder: Path) -> None:
    """Turn every unfinished part of a folder into a finished one that holds its whole lines.

    Safe to be cut short: an unfinished part goes only after the finished one of the same name is there.
    """
    with explained("recovering an unfinished capture"):
        for aside in sorted(folder.glob(f"part-*{PARTIAL}")):
            final = aside.with_name(aside.name.removesuffix(PARTIAL))
            if not final.exists():
                whole = _gzipped(read_lines(aside.read_bytes(), salvage=True))
                storage.write(str(final.relative_to(storage.root)), whole)
            aside.unlink(missing_ok=True)


def _gzipped(lines: Iterator[bytes]) -> bytes:
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    chunks = [deflate.compress(line + b"\n") for line in lines]
    return b"".join(chunks) + deflate.flush()
