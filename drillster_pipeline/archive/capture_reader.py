"""A sealed capture, for reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from drillster_pipeline.errors import ArchiveCorrupt, ContractError, Interrupted

from .records import PageRecord, parse_line, read_lines, unit_key, verified
from .storage import Storage

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
        """The answers of a resource that count.

        Left out are units that gave no answer (gone or closed to us) and pages of attempts that were begun again.
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
