"""All captures of an archive: which there are, and how one is begun, resumed, read and removed."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from drillster_pipeline.errors import ArchiveCorrupt, Busy, SettingsError

from .captures import FORMAT, MANIFEST, Capture, CaptureRef, CaptureWriter, described, utc_moment, utc_text
from .local import LocalStorage
from .storage import ARCHIVE, LockCheck, Place, Storage

RESUMABLE_FOR = timedelta(hours=12)
"""An unsealed capture that is older describes another day, and is not resumed."""
KINDS = ("snapshot", "events")
_CAPTURE_ID = re.compile(r"^\d{8}T\d{6}Z-(snapshot|events)-[0-9a-f]{8}$")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_BEGUN = "capture.json"


class Archive:
    """All captures. Raises SettingsError for a URL that nothing is installed for."""

    def __init__(self, url: str) -> None:
        self.storage: Storage = open_storage(url)

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return self.storage.url

    def dates(self) -> list[date]:
        """Export dates that have a folder, oldest first."""
        found = []
        for name in self.storage.names(""):
            with suppress(ValueError):  # a folder with the name of a date which no calendar has
                found += [date.fromisoformat(name)] if _DATE.fullmatch(name) else []
        return found

    def captures(self, export_date: date, kind: str | None = None) -> list[CaptureRef]:
        """The captures of a date, oldest first."""
        found = []
        for name in self.storage.names(str(export_date)):
            if (match := _CAPTURE_ID.match(name)) and kind in {None, match[1]}:
                sealed = MANIFEST in self.storage.names(f"{export_date}/{name}")
                found.append(CaptureRef(export_date, name, sealed))
        return found

    def open(self, ref: CaptureRef) -> Capture:
        """A sealed capture, for reading. Raises ArchiveCorrupt, ContractError."""
        return Capture(self.storage, ref)

    def newest_sealed(self, export_date: date, kind: str) -> Capture | None:
        """The capture that counts for a date and kind. Raises ArchiveCorrupt where its manifest is damaged."""
        for ref in reversed(self.captures(export_date, kind)):
            if ref.sealed:
                return self.open(ref)
        return None

    def locked(self, export_date: date, kind: str, *, shard: int | None = None) -> AbstractContextManager[LockCheck]:
        """Keep other processes from capturing the same; raises Busy. Gives a check that the lock is still held.

        ``shard``: from capturing that shard, or all of it.
        """
        return self.storage.locked(f"{export_date}/.{kind}", f"capturing the {kind} of {export_date}", shard=shard)

    def resumable(
        self,
        export_date: date,
        kind: str,
        purpose: Mapping[str, Any],
        now: datetime,
        *,
        within: timedelta = RESUMABLE_FOR,
    ) -> CaptureRef | None:
        """The newest capture, if it is unsealed and may be resumed: young, and begun with the same purpose.

        The caller has the lock: one whose process was killed before its first request is removed.
        """
        for ref in reversed(self.captures(export_date, kind)):
            if ref.sealed:
                return None
            if _BEGUN not in self.storage.names(ref.folder):
                self.remove(ref)
                continue
            try:
                begun = described(self.storage.read(f"{ref.folder}/{_BEGUN}"), f"{ref.folder}/{_BEGUN}")
                age = abs(now - utc_moment(begun["started_at"]))  # a clock that was set back makes nothing older
            except (ArchiveCorrupt, KeyError, TypeError, ValueError):
                return None
            fits = begun.get("purpose") == dict(purpose) and begun.get("format") == FORMAT
            return ref if fits and age <= within else None
        return None

    def begin(
        self,
        export_date: date,
        kind: str,
        purpose: Mapping[str, Any],
        now: datetime,
        *,
        check_lock: LockCheck = lambda: None,
    ) -> CaptureWriter:
        """Start a capture. ``purpose`` says what it is made of; one with another purpose is never resumed as this."""
        self.storage.finish_removals()
        stamp = now.astimezone(UTC).replace(microsecond=0)
        for ref in self.captures(export_date, kind)[-1:]:
            stamp = max(stamp, ref.started_at + timedelta(seconds=1))
        ref = CaptureRef(export_date, f"{stamp:%Y%m%dT%H%M%SZ}-{kind}-{secrets.token_hex(4)}", sealed=False)
        begun = {"format": FORMAT, "capture_id": ref.capture_id, "started_at": utc_text(now), "purpose": dict(purpose)}
        self.storage.write(f"{ref.folder}/{_BEGUN}", json.dumps(begun, indent=1).encode())
        return CaptureWriter(self.storage, ref, check_lock=check_lock)

    def resume(self, ref: CaptureRef, *, check_lock: LockCheck = lambda: None) -> CaptureWriter:
        """Resume an unsealed capture. Raises ArchiveCorrupt where what is there can't be resumed."""
        writer = CaptureWriter(self.storage, ref, check_lock=check_lock)
        writer.recover()
        return writer

    def remove(self, ref: CaptureRef) -> None:
        """Remove a capture for good."""
        self.storage.remove(ref.folder)

    def remove_if_empty(self, export_date: date) -> None:
        """Remove the folder of a date without captures, unless another process is about to make one."""
        if self.captures(export_date):
            return
        try:
            with self.locked(export_date, KINDS[0]), self.locked(export_date, KINDS[1]):
                if not self.captures(export_date):
                    self.storage.remove(str(export_date))
        except Busy:
            return


def open_storage(url: str, place: Place = ARCHIVE) -> Storage:
    """The storage of a setting: a path, ``file://…``, or the fsspec URL of an object store.

    Raises SettingsError for a kind of URL that nothing is installed for, or where writes are not atomic, and for what
    is neither a path nor a complete URL.
    """
    if re.match(r"(file|local)://(?!/)|[A-Za-z][A-Za-z0-9+.-]+:(?!//|:)", url):  # but not a drive such as C:
        raise SettingsError(
            f"{place.setting} is neither a path nor a URL: slashes are missing behind the colon, as in s3://bucket "
            "or file:///folder. Where it is the name of a folder, put ./ before it"
        )
    if url.startswith(("file://", "local://")):
        return LocalStorage(Path(unquote(url.partition("://")[2])), place)
    if "://" in url:
        from .object_store import RemoteStorage

        return RemoteStorage(url, place)
    return LocalStorage(Path(url).expanduser(), place)
