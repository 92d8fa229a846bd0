"""Captures: one that is being written, by many threads, from the first page to the seal; and one that is sealed."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from drillster_pipeline.errors import ArchiveCorrupt, ContractError, Interrupted, PipelineError, Unavailable

from .records import (
    PageRecord,
    Part,
    PartWriter,
    UnitFooter,
    line_bytes,
    parse_line,
    part_number,
    read_lines,
    salvage,
    unit_key,
    verified,
)
from .storage import LockCheck, Storage

FORMAT = 1
MANIFEST = "manifest.json"


def utc_text(moment: datetime) -> str:
    """A moment as the archive writes it, such as ``2026-01-02T01:30:00.123456Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_moment(text: str) -> datetime:
    """The inverse of :func:`utc_text`."""
    return datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class CaptureRef:
    """A capture in the archive, sealed or not."""

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
        """When it was begun, to the second; moved up where a clock was set back, so that captures stay in order."""
        return datetime.strptime(self.capture_id.split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def described(content: bytes, where: str) -> dict[str, Any]:
    """A description in the archive, decoded. Raises ArchiveCorrupt, naming it."""
    try:
        decoded = json.loads(content)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise ArchiveCorrupt(f"{where} in the archive is no valid JSON: restore it from a backup")
    return decoded


class Capture:
    """A sealed capture, for reading. Raises ArchiveCorrupt, ContractError where its manifest can't be read."""

    def __init__(self, storage: Storage, ref: CaptureRef) -> None:
        self.storage = storage
        self.ref = ref
        where = f"{ref.folder}/{MANIFEST}"
        content = storage.read(where)
        self.manifest = described(content, where)
        self.manifest_sha256 = hashlib.sha256(content).hexdigest()
        if self.manifest.get("format") != FORMAT:
            raise ContractError(
                f"{where} in the archive has format {self.manifest.get('format')!r}, and this program reads format "
                f"{FORMAT}: use the version of drillster-pipeline that wrote it, or a newer one"
            )
        if not isinstance(self.manifest.get("resources"), dict):
            raise ArchiveCorrupt(f"{where} in the archive names no resources: restore it from a backup")
        sealed_as = (self.manifest.get("capture_id"), self.manifest.get("export_date", str(ref.export_date)))
        if sealed_as != (ref.capture_id, str(ref.export_date)):
            raise ArchiveCorrupt(
                f"{where} in the archive is the seal of another capture, or of another date: whoever moved or copied "
                "it there forged that date. Put it back in its place, or restore the archive from a backup"
            )

    @property
    def capture_id(self) -> str:
        """Its name."""
        return self.ref.capture_id

    def pages(self, resource: str) -> Iterator[PageRecord]:
        """The responses of a resource that count.

        Left out are units that gave no response (gone or closed to us) and pages of attempts that were begun again.
        Raises what :meth:`lines` raises.
        """
        entry = self.manifest["resources"].get(resource, {})
        superseded = {(key, attempt) for key, attempt in entry.get("superseded", ())}
        for line in self.lines(resource):
            if line.body is not None and not (superseded and (unit_key(line.unit), line.attempt) in superseded):
                yield line

    def lines(self, resource: str) -> Iterator[PageRecord]:
        """All that was written of a resource, each part checked against its checksum before it is read.

        Raises ArchiveCorrupt where a part is missing or is not what was sealed; Interrupted where ``forget`` or
        ``prune`` came in between.
        """
        for part in self.manifest["resources"].get(resource, {}).get("parts", ()):
            where = f"{self.ref.folder}/{resource}/{part['name']}"
            for text in read_lines(self._content(where, part["sha256"]), where):
                yield parse_line(text, where)

    def _content(self, where: str, sha256: str) -> bytes:
        try:
            return verified(self.storage.read(where), sha256, where)
        except ArchiveCorrupt:
            if self._is_current():
                raise
            raise Interrupted(
                f"The capture {self.ref.folder} was changed or removed while it was read, by `forget` or `prune`: run "
                "again"
            ) from None

    def _is_current(self) -> bool:
        """Whether the manifest is still the one that was opened."""
        where = f"{self.ref.folder}/{MANIFEST}"
        try:
            return described(self.storage.read(where), where) == self.manifest
        except ArchiveCorrupt:
            return MANIFEST in self.storage.names(self.ref.folder)


Attempt = tuple[str, int]
"""A unit (as text) and the number of an attempt at it."""


@dataclass(slots=True)
class RecoveredState:
    """The state of one resource of an unfinished capture."""

    parts: list[Part] = field(default_factory=list)
    number: int = 0
    """Of the newest part."""
    finished: dict[str, int] = field(default_factory=dict)
    """Units that are finished, with the attempt that finished them."""
    begun: dict[str, int] = field(default_factory=dict)
    """The newest attempt at units that are not."""
    void: set[Attempt] = field(default_factory=set)
    """Attempts whose pages do not count: never finished, or refused after some pages."""


def recovered_state(
    storage: Storage, folder: str, shard: int | None = None, *, of_others: bool = True
) -> RecoveredState:
    """Salvage what was not finished, then read all parts.

    A unit counts as finished only if the record that ends it is there *and* every page before it: that is right
    whatever was lost, in whichever order. Of a ``shard`` only its own parts are salvaged, as others may be growing;
    without ``of_others`` the finished parts of other shards are not read. Raises ArchiveCorrupt, Unavailable.
    """
    salvage(storage, folder, shard)
    found = RecoveredState()
    pages: dict[Attempt, int] = {}
    for name in storage.names(folder):
        part = part_number(name)
        if part is None or (part[1] not in {None, shard} and not of_others):
            continue
        where = f"{folder}/{name}"
        content = storage.read(where)
        lines = raw_size = 0
        for text in read_lines(content, where):
            lines += 1
            raw_size += len(text) + 1
            _add_record(found, pages, parse_line(text, where, body=False))
        found.parts.append(Part(name, lines, len(content), raw_size, hashlib.sha256(content).hexdigest()))
        if part[1] == shard:
            found.number = part[0]
    for key, attempt in pages:
        # Begun again under the same number, so that its pages cannot be told apart: it is requested once more.
        if found.finished.get(key) == attempt:
            del found.finished[key]
    found.void |= set(pages)
    for key, attempt in pages:
        if key not in found.finished:
            found.begun[key] = max(attempt, found.begun.get(key, 0))
    return found


def _add_record(found: RecoveredState, pages: dict[Attempt, int], record: PageRecord) -> None:
    attempt = (unit_key(record.unit), record.attempt)
    if record.footer is None:
        pages[attempt] = pages.get(attempt, 0) + 1
        return
    before = pages.pop(attempt, 0)
    if record.footer.status != 200:
        found.finished[attempt[0]] = record.attempt
        if before:
            found.void.add(attempt)
    elif before == record.page - 1:
        found.finished[attempt[0]] = record.attempt
    else:
        pages[attempt] = before + 1


class CaptureWriter:
    """An unsealed capture, or a ``shard`` of it. ``check_lock`` raises Busy where another process resumed it."""

    def __init__(
        self, storage: Storage, ref: CaptureRef, *, check_lock: LockCheck = lambda: None, shard: int | None = None
    ) -> None:
        self.storage = storage
        self.ref = ref
        self._shard = shard
        self._check_lock = check_lock
        self._resources: dict[str, _ResourceWriter] = {}
        self._lock = threading.Lock()

    def recover(self, *, of_others: bool = True) -> None:
        """Find what an earlier process has written. Raises ArchiveCorrupt where that can't be resumed.

        ``of_others``: what other shards have written, too.
        """
        for name in self.storage.names(self.ref.folder):
            if not name.startswith(".") and not name.endswith(".json"):
                folder = f"{self.ref.folder}/{name}"
                found = recovered_state(self.storage, folder, self._shard, of_others=of_others)
                self._resources[name] = _ResourceWriter(self.storage, folder, found, self._check_lock, self._shard)

    def append(
        self,
        resource: str,
        unit: Mapping[str, str],
        page: int,
        captured_at: datetime,
        body: bytes,
        *,
        attempt: int = 1,
        footer: UnitFooter | None = None,
    ) -> None:
        """Add a response; ``footer`` comes with the last one of a unit and makes the unit finished.

        Pages of an attempt are numbered from 1, without a gap; 0 is for a unit that gave none. Raises Unavailable.
        """
        line = line_bytes(unit, page, utc_text(captured_at), body, attempt=attempt, footer=footer)
        self._resource(resource).append(line, (unit_key(unit), attempt), footer)

    def finished(self, resource: str, unit: Mapping[str, str]) -> bool:
        """Whether an earlier process has finished this unit."""
        return unit_key(unit) in self._resource(resource).found.finished

    def attempt(self, resource: str, unit: Mapping[str, str]) -> int:
        """The number for a new attempt at a unit: 1, unless an earlier process began one."""
        return self._resource(resource).found.begun.get(unit_key(unit), 0) + 1

    def recovered(self, resource: str, *, bodies: bool) -> Iterator[PageRecord]:
        """The records of units that an earlier process finished; without ``bodies`` these are None."""
        return self._resource(resource).recovered(bodies=bodies)

    def seal(self, manifest: Mapping[str, Any]) -> Capture:
        """Close all parts and write the manifest; ``manifest['resources']`` is completed with parts.

        Raises Unavailable, Busy.
        """
        resources = {}
        for name, entry in manifest["resources"].items():
            parts, void = self._resource(name).finish()
            superseded = [list(attempt) for attempt in sorted(void)]
            resources[name] = {**entry, "parts": [asdict(part) for part in parts], "superseded": superseded}
        sealed = {"format": FORMAT, "capture_id": self.ref.capture_id, **manifest, "resources": resources}
        self._check_lock()
        self.storage.write(f"{self.ref.folder}/{MANIFEST}", json.dumps(sealed, indent=1).encode())
        return Capture(self.storage, replace(self.ref, sealed=True))

    def close(self) -> None:
        """Close all parts without a seal, so that other processes read them. Raises Unavailable, Busy."""
        with self._lock:
            resources = list(self._resources.values())
        for resource in resources:
            resource.finish()

    def abandon(self) -> None:
        """Stop without a seal, so that another run can resume it; finished units stay. Raises nothing."""
        with self._lock:
            resources = list(self._resources.values())
        for resource in resources:
            resource.abandon()

    def _resource(self, name: str) -> _ResourceWriter:
        with self._lock:
            if name not in self._resources:
                folder = f"{self.ref.folder}/{name}"
                self._resources[name] = _ResourceWriter(
                    self.storage, folder, RecoveredState(), self._check_lock, self._shard
                )
            return self._resources[name]


class _ResourceWriter:
    """The parts of one resource; its lock makes it safe for many threads."""

    def __init__(
        self, storage: Storage, folder: str, found: RecoveredState, check_lock: LockCheck, shard: int | None
    ) -> None:
        self.found = found
        """What was there before; only ``parts`` and ``number`` change from here on."""
        self._storage = storage
        self._folder = folder
        self._check_lock = check_lock
        self._shard = shard
        self._lock = threading.Lock()
        self._part: PartWriter | None = None
        self._open: set[Attempt] = set()
        """Attempts of which something is written, but not the end."""
        self._void = set(found.void)
        self._stopped = False
        """Nothing may follow: a line that is missing from the middle would make a unit look complete that is not."""

    def recovered(self, *, bodies: bool) -> Iterator[PageRecord]:
        for part in list(self.found.parts):
            where = f"{self._folder}/{part.name}"
            for text in read_lines(self._storage.read(where), where):
                record = parse_line(text, where, body=bodies)
                if self.found.finished.get(unit_key(record.unit)) == record.attempt:
                    yield record

    def append(self, line: bytes, attempt: Attempt, footer: UnitFooter | None) -> None:
        with self._lock:
            if self._stopped:
                raise Unavailable("This capture was stopped, and nothing can be added to it: run again to resume it")
            self._stopped = True  # unless all goes well
            if self._part is None:
                self.found.number += 1
                self._part = PartWriter(self._storage, self._folder, self.found.number, self._shard)
            self._part.append(line, flush=footer is not None)
            if footer is None:
                self._open.add(attempt)
            elif attempt in self._open:
                self._open.discard(attempt)
                if footer.status != 200:
                    self._void.add(attempt)
            if self._part.full:
                self._close_part()
            self._stopped = False

    def finish(self) -> tuple[list[Part], set[Attempt]]:
        """Close the last part. Returns all parts, and the attempts whose pages do not count."""
        with self._lock:
            if self._stopped:
                raise Unavailable("This capture was stopped before it was complete: run again to resume it")
            self._stopped = True
            self._close_part()
            return self.found.parts, self._void | self._open

    def abandon(self) -> None:
        """A part that does not outlive the process is closed, so that its finished units are kept."""
        with self._lock:
            is_sound, self._stopped = not self._stopped, True
            with suppress(PipelineError):
                if is_sound and not self._storage.keeps_unfinished:
                    self._close_part()
                elif self._part is not None:
                    part, self._part = self._part, None
                    part.abandon()

    def _close_part(self) -> None:
        if self._part is not None:
            self._check_lock()
            self.found.parts.append(self._part.close())
            self._part = None
