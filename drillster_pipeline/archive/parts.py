"""Parts: files of gzipped JSON lines.

A part that is being written is flushed to the operating system after every finished unit, so that a killed
process loses no finished unit: its lines are salvaged from the unfinished file. The gzip stream is flushed, not
restarted, which keeps the compression of one long stream.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from drillster_pipeline.errors import ArchiveCorrupt

from .storage import PARTIAL, Sink, Storage

GZIP = 16 + zlib.MAX_WBITS
"""What zlib calls a gzip stream."""
LEVEL = 1  # about 220 MB/s on API-like JSON, against 126 at level 6
_STEP, _SALVAGE_STEP = 1 << 17, 1 << 10
"""Compressed bytes that are inflated at once; what is damaged costs the rest of its step."""
_MOST_AT_ONCE = 1 << 20
"""Bytes that come out of it at once."""
_NAME = re.compile(r"part-(\d{5,})\.jsonl\.gz")


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
    """Writes one part; ``close`` makes it appear. Not thread-safe: its owner holds a lock.

    After an error nothing may be added: the stream may end in the middle.
    """

    def __init__(
        self, storage: Storage, folder: str, number: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = part_name(number)
        self.lines = self.size = self.raw_size = 0
        self._most_bytes = storage.part_bytes
        self._clock = clock
        self._full_at = clock() + storage.part_seconds
        self._digest = hashlib.sha256()
        self._gzip = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        self._sink: Sink = storage.sink(f"{folder}/{self.name}")

    def append(self, line: bytes, *, flush: bool) -> None:
        """Add a line; with ``flush`` all lines so far have left this process. Raises Unavailable."""
        chunk = self._gzip.compress(line)
        if flush:
            chunk += self._gzip.flush(zlib.Z_SYNC_FLUSH)
        self._put(chunk)
        self.lines += 1
        self.raw_size += len(line)

    def _put(self, chunk: bytes) -> None:
        if chunk:
            self._sink.write(chunk)
            self._digest.update(chunk)
            self.size += len(chunk)

    @property
    def full(self) -> bool:
        """Whether it is time for the next part."""
        return self.size >= self._most_bytes or self._clock() >= self._full_at

    def close(self) -> Part:
        """Finish the part and let it appear under its name. Raises Unavailable."""
        self._put(self._gzip.flush())
        self._sink.publish()
        return Part(self.name, self.lines, self.size, self.raw_size, self._digest.hexdigest())

    def abandon(self) -> None:
        """Leave the part unfinished."""
        self._sink.abandon()


def part_name(number: int) -> str:
    """The file name of a part; numbers start at 1."""
    return f"part-{number:05d}.jsonl.gz"


def part_number(name: str) -> int | None:
    """The inverse of :func:`part_name`; None for anything else, such as a part that is not finished."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def read_lines(content: bytes, where: str = "A part", *, salvage: bool = False) -> Iterator[bytes]:
    """The lines of a part's content, each without its line break; ``where`` names the part in messages.

    With ``salvage`` a stream that breaks off is read as far as it goes; else that raises ArchiveCorrupt.
    """
    inflate = zlib.decompressobj(GZIP)
    rest = b""
    try:
        for chunk in _inflated(inflate, content, _SALVAGE_STEP if salvage else _STEP):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
    except zlib.error:
        if salvage:
            return
        raise _corrupt(where, "is no valid gzip stream") from None
    if not salvage and (rest or not inflate.eof):
        raise _corrupt(where, "ends in the middle")


def _inflated(inflate: zlib._Decompress, content: bytes, step: int) -> Iterator[bytes]:
    """What a gzip stream holds, in pieces that stay small however well it is compressed."""
    for start in range(0, len(content), step):
        waiting = content[start : start + step]
        while waiting:
            yield inflate.decompress(waiting, _MOST_AT_ONCE)
            waiting = inflate.unconsumed_tail
    yield inflate.flush()


def _corrupt(where: str, what: str) -> ArchiveCorrupt:
    return ArchiveCorrupt(f"{where} in the archive {what}: restore it from a backup")


def verified(content: bytes, sha256: str, where: str) -> bytes:
    """The content of a part, if it is what was sealed. Raises ArchiveCorrupt."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _corrupt(where, "is not what was sealed (its checksum differs)")
    return content


def salvage(storage: Storage, folder: str) -> None:
    """Turn every unfinished part of a folder into a finished one that holds its whole lines.

    Safe to be cut short: an unfinished part goes only after the finished one of the same name is there.
    """
    names = set(storage.names(folder))
    for name in sorted(names):
        final = name.removesuffix(PARTIAL)
        if name == final or part_number(final) is None:
            continue
        if final not in names:
            lines = read_lines(storage.read(f"{folder}/{name}"), name, salvage=True)
            if (first := next(lines, None)) is not None:
                storage.write(f"{folder}/{final}", _gzipped(chain([first], lines)))
        storage.remove(f"{folder}/{name}")


def _gzipped(lines: Iterable[bytes]) -> bytes:
    """The content of a part, from lines that are read one at a time."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    content = io.BytesIO()
    for line in lines:
        content.write(deflate.compress(line + b"\n"))
    content.write(deflate.flush())
    return content.getvalue()
