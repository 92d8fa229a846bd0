"""Writing a capture: by many threads, from the first answer to the seal, and on after an interruption."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from drillster_pipeline.errors import PipelineError, Unavailable

from .capture_reader import FORMAT, MANIFEST, Capture, CaptureRef, utc_text
from .parts import Part, PartWriter, read_lines
from .records import PageRecord, UnitFooter, line_bytes, unit_key
from .recovery import Attempt, RecoveredState, head, recovered_state, whole
from .storage import LockCheck, Storage


class CaptureWriter:
    """An unsealed capture. ``check_lock`` raises Busy where another process goes on with it."""

    def __init__(self, storage: Storage, ref: CaptureRef, *, check_lock: LockCheck = lambda: None) -> None:
        self.storage = storage
        self.ref = ref
        self._check_lock = check_lock
        self._resources: dict[str, _ResourceWriter] = {}
        self._lock = threading.Lock()

    def recover(self) -> None:
        """Find what an earlier process has written. Raises ArchiveCorrupt where that can't be gone on with."""
        for name in self.storage.names(self.ref.folder):
            if not name.startswith(".") and not name.endswith(".json"):
                self._resources[name] = self._begun(name, recovered_state(self.storage, f"{self.ref.folder}/{name}"))

    def append(
        self,
        resource: str,
        unit: Mapping[str, str],
        page: int,
        captured_at: datetime,
        body: bytes,
        *,
        attempt: int = 1,
        end: UnitFooter | None = None,
    ) -> None:
        """Add an answer; ``end`` comes with the last one of a unit and makes the unit finished.

        Pages of an attempt are numbered from 1, without a gap; 0 is for a unit that gave none. Raises Unavailable.
        """
        line = line_bytes(unit, page, utc_text(captured_at), body, attempt=attempt, end=end)
        self._resource(resource).append(line, (unit_key(unit), attempt), end)

    def finished(self, resource: str, unit: Mapping[str, str]) -> bool:
        """Whether an earlier process has finished this unit."""
        return unit_key(unit) in self._resource(resource).found.finished

    def attempt(self, resource: str, unit: Mapping[str, str]) -> int:
        """The number for a new attempt at a unit: 1, unless an earlier process began one."""
        return self._resource(resource).found.begun.get(unit_key(unit), 0) + 1

    def recovered(self, resource: str, *, bodies: bool) -> Iterator[PageRecord]:
        """The lines of units that an earlier process finished; without ``bodies`` these are None."""
        return self._resource(resource).recovered(bodies=bodies)

    def seal(self, manifest: Mapping[str, Any]) -> Capture:
        """Close all parts and write the manifest; ``manifest['resources']`` is completed with parts.

        Raises Unavailable, Busy.
        """
        resources = {name: dict(entry) for name, entry in manifest["resources"].items()}
        for name, entry in resources.items():
            parts, void = self._resource(name).finish()
            entry["parts"] = [part.as_json() for part in parts]
            entry["superseded"] = [list(attempt) for attempt in sorted(void)]
        sealed = {"format": FORMAT, "capture_id": self.ref.capture_id, **manifest, "resources": resources}
        self._check_lock()
        self.storage.write(f"{self.ref.folder}/{MANIFEST}", json.dumps(sealed, indent=1).encode())
        return Capture(self.storage, replace(self.ref, sealed=True))

    def abandon(self) -> None:
        """Stop without a seal, so that another run can go on; finished units stay. Raises nothing."""
        with self._lock:
            resources = list(self._resources.values())
        for resource in resources:
            resource.abandon()

    def _resource(self, name: str) -> _ResourceWriter:
        with self._lock:
            if name not in self._resources:
                self._resources[name] = self._begun(name, RecoveredState())
            return self._resources[name]

    def _begun(self, name: str, found: RecoveredState) -> _ResourceWriter:
        return _ResourceWriter(self.storage, f"{self.ref.folder}/{name}", found, self._check_lock)


class _ResourceWriter:
    """The parts of one resource; its lock makes it safe for many threads."""

    def __init__(self, storage: Storage, folder: str, found: RecoveredState, check_lock: LockCheck) -> None:
        self.storage = storage
        self.folder = folder
        self.found = found
        """What was there before; only ``parts`` and ``number`` change from here on."""
        self.lock = threading.Lock()
        self.part: PartWriter | None = None
        self.open: set[Attempt] = set()
        """Attempts of which something is written, but not the end."""
        self.void = set(found.void)
        self.stopped = False
        """Nothing may follow: a line that is missing from the middle would make a unit look whole that is not."""
        self._check_lock = check_lock

    def recovered(self, *, bodies: bool) -> Iterator[PageRecord]:
        read = whole if bodies else head
        for part in list(self.found.parts):
            where = f"{self.folder}/{part.name}"
            for text in read_lines(self.storage.read(where), where):
                line = read(text, where)
                if self.found.finished.get(unit_key(line.unit)) == line.attempt:
                    yield line

    def append(self, line: bytes, attempt: Attempt, end: UnitFooter | None) -> None:
        with self.lock:
            if self.stopped:
                raise Unavailable("This capture was stopped, and nothing can be added to it: run again to resume it")
            self.stopped = True  # unless all goes well
            if self.part is None:
                self.found.number += 1
                self.part = PartWriter(self.storage, self.folder, self.found.number)
            self.part.append(line, flush=end is not None)
            if end is None:
                self.open.add(attempt)
            elif attempt in self.open:
                self.open.discard(attempt)
                if end.status != 200:
                    self.void.add(attempt)
            if self.part.full:
                self._close_part()
            self.stopped = False

    def _close_part(self) -> None:
        if self.part is not None:
            self._check_lock()
            self.found.parts.append(self.part.close())
            self.part = None

    def finish(self) -> tuple[list[Part], set[Attempt]]:
        with self.lock:
            if self.stopped:
                raise Unavailable("This capture was stopped before it was whole: run again to resume it")
            self.stopped = True
            self._close_part()
            return self.found.parts, self.void | self.open

    def abandon(self) -> None:
        """A part that does not outlive the process is closed, so that its finished units are kept."""
        with self.lock:
            whole_so_far, self.stopped = not self.stopped, True
            part = self.part
            if part is None:
                return
            with suppress(PipelineError):
                if whole_so_far and not self.storage.keeps_unfinished:
                    self._close_part()
                else:
                    self.part = None
                    part.abandon()
