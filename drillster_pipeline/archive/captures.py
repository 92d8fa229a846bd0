"""Captures: what Drillster said on one night, from the first answer to the seal.

``<archive>/<export_date>/<capture_id>/`` holds ``capture.json`` (written first: what is being captured), a folder
of parts per resource, and ``manifest.json`` (written last). The manifest **is** the seal: a capture without one
does not count, and what is not in the manifest does not exist.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from drillster_pipeline.errors import ArchiveCorrupt, Unavailable

from .parts import End, Line, Part, PartWriter, describe, line_bytes, parse_line, part_name, read_lines, salvage
from .storage import LocalStorage, RemoteStorage, open_storage

FORMAT = 1
RESUMABLE_FOR = timedelta(hours=12)
"""An unsealed capture that is older describes another evening, and is not gone on with."""
_CAPTURE_ID = re.compile(r"^\d{8}T\d{6}Z-(snapshot|events)-[0-9a-f]{8}$")


def unit_key(unit: Mapping[str, str]) -> str:
    """A unit as text, the same whatever the order of its parameters."""
    return json.dumps(unit, sort_keys=True, separators=(",", ":"))


def utc_text(moment: datetime) -> str:
    """A moment as the archive writes it, such as ``2026-01-02T01:30:00.123456Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_moment(text: str) -> datetime:
    """The inverse of :func:`utc_text`."""
    return datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class CaptureRef:
    """A capture as it lies in the archive, sealed or not."""

    export_date: date
    capture_id: str
    sealed: bool

    @property
    def folder(self) -> str:
        """Its folder below the archive's root."""
        return f"{self.export_date}/{self.capture_id}"

    @property
    def kind(self) -> str:
        """``snapshot`` or ``events``."""
        return self.capture_id.split("-")[1]

    @property
    def started_at(self) -> datetime:
        """When it was begun, to the second."""
        return datetime.strptime(self.capture_id.split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


class Archive:
    """All captures."""

    def __init__(self, url: str) -> None:
        self.storage: LocalStorage | RemoteStorage = open_storage(url)

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return self.storage.url

    def dates(self) -> list[date]:
        """Export dates that have any capture, oldest first."""
        return [date.fromisoformat(name) for name in self.storage.names("") if re.fullmatch(r"\d{4}-\d\d-\d\d", name)]

    def captures(self, export_date: date, kind: str | None = None) -> list[CaptureRef]:
        """The captures of a date, oldest first."""
        found = []
        for name in self.storage.names(str(export_date)):
            if (match := _CAPTURE_ID.match(name)) and kind in {None, match[1]}:
                sealed = "manifest.json" in self.storage.names(f"{export_date}/{name}")
                found.append(CaptureRef(export_date, name, sealed))
        return found

    def newest_sealed(self, export_date: date, kind: str) -> Capture | None:
        """The capture that counts for a date and kind."""
        for ref in reversed(self.captures(export_date, kind)):
            if ref.sealed:
                return Capture(self.storage, ref)
        return None

    def newest_sealed_before(self, export_date: date, kind: str) -> Capture | None:
        """The capture that counts of the newest earlier date that has one."""
        for day in reversed(self.dates()):
            if day < export_date and (capture := self.newest_sealed(day, kind)):
                return capture
        return None

    @contextmanager
    def locked(self, export_date: date, kind: str) -> Iterator[None]:
        """Keep other processes from capturing the same; raises Busy."""
        with self.storage.locked(f"{export_date}/.{kind}.lock", f"capturing the {kind} of {export_date}"):
            yield

    def resumable(self, export_date: date, kind: str, purpose: Mapping[str, Any], now: datetime) -> CaptureRef | None:
        """The newest unsealed capture that may be gone on with: young, and begun with the same purpose."""
        for ref in reversed(self.captures(export_date, kind)):
            if ref.sealed or now - ref.started_at > RESUMABLE_FOR:
                return None
            if "capture.json" in self.storage.names(ref.folder):
                begun = _decode(self.storage.read(f"{ref.folder}/capture.json"), ref.folder)
                return ref if begun.get("purpose") == dict(purpose) else None
        return None

    def begin(self, export_date: date, kind: str, purpose: Mapping[str, Any], now: datetime) -> CaptureWriter:
        """Start a capture. ``purpose`` says what it is made of; one with another purpose is never resumed as this."""
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        ref = CaptureRef(export_date, f"{stamp}-{kind}-{secrets.token_hex(4)}", sealed=False)
        begun = {"format": FORMAT, "capture_id": ref.capture_id, "started_at": utc_text(now), "purpose": dict(purpose)}
        self.storage.write(f"{ref.folder}/capture.json", json.dumps(begun, indent=1).encode())
        return CaptureWriter(self.storage, ref)

    def resume(self, ref: CaptureRef) -> CaptureWriter:
        """Go on with an unsealed capture; ``recovered`` then gives what it holds."""
        return CaptureWriter(self.storage, ref)

    def remove(self, ref: CaptureRef) -> None:
        """Remove a capture for good."""
        self.storage.remove(ref.folder)

    def remove_if_empty(self, export_date: date) -> None:
        """Remove the folder of a date that has no capture left."""
        if not self.captures(export_date):
            self.storage.remove(str(export_date))


def _decode(content: bytes, where: str) -> dict[str, Any]:
    try:
        decoded = json.loads(content)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise ArchiveCorrupt(f"A description in the archive, below {where}, is no valid JSON: restore it from a backup")
    return decoded


class Capture:
    """A sealed capture, for reading."""

    def __init__(self, storage: LocalStorage | RemoteStorage, ref: CaptureRef) -> None:
        self.storage = storage
        self.ref = ref
        self.manifest = _decode(storage.read(f"{ref.folder}/manifest.json"), ref.folder)

    @property
    def capture_id(self) -> str:
        """Its name."""
        return self.ref.capture_id

    def pages(self, resource: str) -> Iterator[Line]:
        """The answers of a resource that count, each part checked against its checksum before it is read.

        Left out are units that gave no answer (gone or closed to us) and pages of attempts that were begun again.
        Raises ArchiveCorrupt where a part is missing or is not what was sealed.
        """
        entry = self.manifest["resources"].get(resource)
        if entry is None:
            return
        superseded = {(key, attempt) for key, attempt in entry["superseded"]}
        for part in entry["parts"]:
            content = self.storage.read(f"{self.ref.folder}/{resource}/{part['name']}")
            if hashlib.sha256(content).hexdigest() != part["sha256"]:
                raise ArchiveCorrupt(
                    f"{self.ref.folder}/{resource}/{part['name']} is not what was sealed (its checksum differs): "
                    "restore it from a backup"
                )
            for text in read_lines(content):
                line = parse_line(text)
                if line.body is None or (superseded and (unit_key(line.unit), line.attempt) in superseded):
                    continue
                yield line


class CaptureWriter:
    """An unsealed capture, for writing by many threads."""

    def __init__(self, storage: LocalStorage | RemoteStorage, ref: CaptureRef) -> None:
        self.storage = storage
        self.ref = ref
        self._resources: dict[str, _ResourceWriter] = {}
        self._lock = threading.Lock()

    def append(
        self,
        resource: str,
        unit: Mapping[str, str],
        page: int,
        captured_at: datetime,
        body: bytes,
        *,
        attempt: int = 1,
        end: End | None = None,
    ) -> None:
        """Add an answer; ``end`` is given with the last one of a unit and makes the unit finished."""
        line = line_bytes(unit, page, utc_text(captured_at), body, attempt=attempt, end=end)
        self._resource(resource).append(line, (unit_key(unit), attempt), finished=end is not None)

    def _resource(self, resource: str) -> _ResourceWriter:
        with self._lock:
            if resource not in self._resources:
                self._resources[resource] = _ResourceWriter(self.storage, f"{self.ref.folder}/{resource}")
            return self._resources[resource]

    def recovered(self, resource: str) -> Iterator[Line]:
        """The lines of finished units that an earlier process wrote; called once per resource, before any append."""
        yield from self._resource(resource).recovered()

    def next_attempt(self, resource: str, unit: Mapping[str, str]) -> int:
        """1, or one more than the last attempt at this unit that was begun and not finished."""
        return self._resource(resource).last_attempt.get(unit_key(unit), 0) + 1

    def seal(self, manifest: Mapping[str, Any]) -> Capture:
        """Close all parts and write the manifest; ``manifest['resources']`` is completed with parts."""
        resources = {name: dict(entry) for name, entry in manifest["resources"].items()}
        for name, entry in resources.items():
            parts, superseded = self._resource(name).finish()
            entry["parts"] = [part.as_json() for part in parts]
            entry["superseded"] = [list(attempt) for attempt in sorted(superseded)]
        sealed = {"format": FORMAT, "capture_id": self.ref.capture_id, **manifest, "resources": resources}
        self.storage.write(f"{self.ref.folder}/manifest.json", json.dumps(sealed, indent=1).encode())
        return Capture(self.storage, CaptureRef(self.ref.export_date, self.ref.capture_id, sealed=True))

    def abandon(self) -> None:
        """Stop without a seal, so that another run can go on; finished units stay."""
        for resource in self._resources.values():
            resource.abandon()


class _ResourceWriter:
    """The parts of one resource; its lock makes it safe for many threads."""

    def __init__(self, storage: LocalStorage | RemoteStorage, folder: str) -> None:
        self.storage = storage
        self.folder = folder
        self.lock = threading.Lock()
        self.parts: list[Part] = []
        self.part: PartWriter | None = None
        self.number = 0
        self.open_attempts: set[tuple[str, int]] = set()
        """Attempts of which something is written, but not the end: they are superseded when the capture is sealed."""
        self.last_attempt: dict[str, int] = {}

    def recovered(self) -> Iterator[Line]:
        if isinstance(self.storage, LocalStorage):
            salvage(self.storage, self.storage.root / self.folder)
        names = [name for name in self.storage.names(self.folder) if name == part_name(_number(name))]
        finished: set[tuple[str, int]] = set()
        for name in names:
            content = self.storage.read(f"{self.folder}/{name}")
            self.parts.append(describe(name, content))
            for line in map(parse_line, read_lines(content)):
                attempt = (unit_key(line.unit), line.attempt)
                (self.open_attempts if line.end is None else finished).add(attempt)
            self.number = _number(name)
        self.open_attempts -= finished
        for key, number in self.open_attempts:
            self.last_attempt[key] = max(number, self.last_attempt.get(key, 0))
        for name in names:
            for line in map(parse_line, read_lines(self.storage.read(f"{self.folder}/{name}"))):
                if (unit_key(line.unit), line.attempt) in finished:
                    yield line

    def append(self, line: bytes, attempt: tuple[str, int], *, finished: bool) -> None:
        with self.lock:
            if self.part is None:
                self.number += 1
                self.part = PartWriter(self.storage, self.folder, self.number)
            if self.part.broken:
                raise Unavailable("The archive failed before, and this capture can't go on: run again to resume it")
            self.part.append(line, flush=finished)
            if finished:
                self.open_attempts.discard(attempt)
            else:
                self.open_attempts.add(attempt)
            if self.part.full:
                self._close_part()

    def _close_part(self) -> None:
        if self.part is not None:
            part, self.part = self.part, None
            self.parts.append(part.close())

    def finish(self) -> tuple[list[Part], set[tuple[str, int]]]:
        with self.lock:
            self._close_part()
            return self.parts, self.open_attempts

    def abandon(self) -> None:
        with self.lock:
            if self.part is None:
                return
            if isinstance(self.storage, LocalStorage):
                self.part.abandon()
                self.part = None
            else:
                self._close_part()


def _number(name: str) -> int:
    match = re.fullmatch(r"part-(\d{5})\.jsonl\.gz", name)
    return int(match[1]) if match else 0
