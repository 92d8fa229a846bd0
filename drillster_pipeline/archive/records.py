"""Page records, one archived response each, and parts: files of them as gzipped JSON lines.

A record has the body last, as it came (but for privacy). A part that is being written is flushed to the operating
system after every finished unit, so that a killed process loses no finished unit: its lines are salvaged from the
unfinished file. The gzip stream is flushed, not restarted, which keeps the compression of one long stream.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

from drillster_pipeline.errors import ArchiveCorrupt, ContractError
from drillster_pipeline.response_shapes import decoded

from .storage import PARTIAL, Storage

# No text before the body can have this: in JSON a quote inside a text has a backslash before it.
_BODY = b',"body":'
# json.dumps makes an encoder anew each time; these are used several times for every response.
_encoded = json.JSONEncoder(separators=(",", ":")).encode
_encoded_sorted = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode

_GZIP = 16 + zlib.MAX_WBITS
"""What zlib calls a gzip stream."""
_LEVEL = 1  # about 220 MB/s on API-like JSON, against 126 at level 6
_STEP, _SALVAGE_STEP = 1 << 17, 1 << 10
"""Compressed bytes that are inflated at once; what is damaged costs the rest of its step."""
_MOST_AT_ONCE = 1 << 20
"""Bytes that come out of it at once."""
_NAME = re.compile(r"part-(\d{5,})(?:-s(\d+))?\.jsonl\.gz")


@dataclass(frozen=True, slots=True)
class UnitFooter:
    """What the last record of a unit says of it: how many distinct items it gave, and how many Drillster named."""

    items: int
    total: int | None
    expected: int | None = None
    """What the counts of the group promised."""
    status: int = 200
    """HTTP status of the unit: 200; 403 or 404 for one that is closed to us or gone; another that it always gave."""
    cut: bool = False
    """The list ends like one that continues, and nothing in the responses leads further."""
    moved: bool = False
    """The total changed while the list was read, the last time."""
    doubled: int = 0
    """Items that the list has twice, which the total may count twice."""

    def as_json(self) -> dict[str, Any]:
        """The form in a record."""
        known = {"items": self.items, "total": self.total, "expected": self.expected, "status": self.status}
        return known | {name: value for name in ("cut", "moved", "doubled") if (value := getattr(self, name))}


_FOOTER_FIELDS = {field.name for field in fields(UnitFooter)}


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One archived response."""

    unit: Mapping[str, str]
    page: int
    captured_at: str
    body: Any
    attempt: int = 1
    footer: UnitFooter | None = None


def unit_key(unit: Mapping[str, str]) -> str:
    """A unit as text, the same whatever the order of its parameters."""
    return _encoded_sorted(unit)


def body_bytes(body: Any) -> bytes:
    """A response as JSON text without line breaks, which is UTF-8 whatever is in it."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair has no UTF-8, but an escape
        return json.dumps(body, separators=(",", ":")).encode()


def line_bytes(
    unit: Mapping[str, str], page: int, captured_at: str, body: bytes, *, attempt: int, footer: UnitFooter | None
) -> bytes:
    """A record as a line; ``body`` is JSON text without line breaks and goes in as it is."""
    head: dict[str, Any] = {"unit": unit, "page": page, "captured_at": captured_at}
    if attempt != 1:
        head["attempt"] = attempt
    if footer is not None:
        head["end"] = footer.as_json()
    return _encoded(head).encode()[:-1] + _BODY + body + b"}\n"


def parse_line(text: bytes, where: str = "A part", *, body: bool = True) -> PageRecord:
    """The inverse of :func:`line_bytes`; without ``body`` that is None, and costs nothing.

    Raises ArchiveCorrupt, naming ``where``; ContractError where the body is nested too deeply to be decoded.
    """
    try:
        record = decoded(text if body else text.partition(_BODY)[0] + b"}")
        footer = record.get("end")
        return PageRecord(
            record["unit"],
            record["page"],
            record["captured_at"],
            record.get("body"),
            record.get("attempt", 1),
            # A later version may say more.
            UnitFooter(**{name: footer[name] for name in _FOOTER_FIELDS & footer.keys()}) if footer else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _corrupt(where, "has a line that is no record") from None
    except RecursionError:  # how much can be read depends on how deep the caller stands
        too_deep = ContractError(f"{where} in the archive has a response nested far deeper than any of Drillster's")
    raise too_deep


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part, as the manifest lists it."""

    name: str
    lines: int
    bytes: int
    """Compressed."""
    raw_bytes: int
    """Of JSON lines."""
    sha256: str


class PartWriter:
    """Writes one part; ``close`` makes it appear. Not thread-safe: its owner holds a lock.

    After an error nothing may be added: the stream may end in the middle.
    """

    def __init__(self, storage: Storage, folder: str, number: int, shard: int | None = None) -> None:
        self.name = part_name(number, shard)
        self.lines = self.size = self.raw_size = 0
        self._most_bytes = storage.part_bytes
        self._full_at = time.monotonic() + storage.part_seconds
        self._digest = hashlib.sha256()
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._sink = storage.sink(f"{folder}/{self.name}")

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
        return self.size >= self._most_bytes or time.monotonic() >= self._full_at

    def close(self) -> Part:
        """Finish the part and let it appear under its name. Raises Unavailable."""
        self._put(self._gzip.flush())
        self._sink.publish()
        return Part(self.name, self.lines, self.size, self.raw_size, self._digest.hexdigest())

    def abandon(self) -> None:
        """Leave the part unfinished."""
        self._sink.abandon()


def part_name(number: int, shard: int | None = None) -> str:
    """The file name of a part; numbers start at 1, those of each shard too."""
    return f"part-{number:05d}{'' if shard is None else f'-s{shard:02d}'}.jsonl.gz"


def part_number(name: str) -> tuple[int, int | None] | None:
    """The inverse of :func:`part_name`; None for anything else, such as a part that is not finished."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2]) if match[2] else None) if match else None


def read_lines(content: bytes, where: str = "A part", *, salvage: bool = False) -> Iterator[bytes]:
    """The lines of a part's content, each without its line break; ``where`` names the part in messages.

    With ``salvage`` a stream that breaks off is read as far as it goes; else that raises ArchiveCorrupt.
    """
    inflate = zlib.decompressobj(_GZIP)
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
    """What a gzip stream has, in pieces that stay small however well it is compressed."""
    for start in range(0, len(content), step):
        waiting = content[start : start + step]
        while waiting:
            yield inflate.decompress(waiting, _MOST_AT_ONCE)
            waiting = inflate.unconsumed_tail
    yield inflate.flush()


def gzipped(lines: Iterable[bytes]) -> bytes:
    """The content of a part, from lines (with their line breaks) that are read one at a time."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    content = io.BytesIO()
    for line in lines:
        content.write(deflate.compress(line))
    content.write(deflate.flush())
    return content.getvalue()


def verified(content: bytes, sha256: str, where: str) -> bytes:
    """The content of a part, if it is what was sealed. Raises ArchiveCorrupt."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _corrupt(where, "is not what was sealed (its checksum differs)")
    return content


def salvage(storage: Storage, folder: str, shard: int | None = None) -> None:
    """Turn every unfinished part of a folder, or of a shard, into a finished one that has its complete lines.

    Safe to be cut short: an unfinished part goes only after the finished one of the same name is there.
    """
    names = set(storage.names(folder))
    for name in sorted(names):
        final = name.removesuffix(PARTIAL)
        part = part_number(final)
        if name == final or part is None or (shard is not None and part[1] != shard):
            continue
        if final not in names:
            lines = read_lines(storage.read(f"{folder}/{name}"), name, salvage=True)
            if (first := next(lines, None)) is not None:
                storage.write(f"{folder}/{final}", gzipped(line + b"\n" for line in chain([first], lines)))
        storage.remove(f"{folder}/{name}")


def _corrupt(where: str, problem: str) -> ArchiveCorrupt:
    return ArchiveCorrupt(f"{where} in the archive {problem}: restore it from a backup")
