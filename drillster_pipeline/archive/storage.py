"""Where the archive's bytes live: a local folder, or an object store that fsspec has a driver for.

Whatever has a name in a storage is whole: a file is written aside, synced and renamed, and an object exists only when
its upload is complete. All else the archive promises rests on that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from drillster_pipeline.errors import SettingsError

PARTIAL = ".partial"
"""Suffix of a local part that is still being written; it never counts, but whole lines in it can be salvaged."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a storage is for, and the setting that says where it is: errors name both."""

    what: str
    setting: str


ARCHIVE = Place("The archive", "DRILLSTER_ARCHIVE_URL")
REPORTS = Place("The reports folder", "DRILLSTER_REPORTS_FOLDER")

LockCheck = Callable[[], None]
"""Raises Busy where another process has taken over what was locked."""


class Sink(Protocol):
    """Where a part goes while it is written. Nothing is there under its name until ``publish``."""

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raises Unavailable where they could not be kept; nothing may follow then."""

    def publish(self) -> None:
        """Let it appear under its name, whole. Raises Unavailable."""

    def abandon(self) -> None:
        """Stop writing without giving it a name."""


class Storage(Protocol):
    """Names are ``/``-separated paths below the archive's root."""

    @property
    def place(self) -> Place:
        """What it is for."""

    @property
    def url(self) -> str:
        """Where it is, without credentials."""

    @property
    def part_bytes(self) -> int:
        """Size from which a part is closed and the next begun."""

    @property
    def part_seconds(self) -> float:
        """Age from which it is, too."""

    @property
    def keeps_unfinished(self) -> bool:
        """Whether what went into a sink outlives the process, so that an unfinished part can be salvaged."""

    def names(self, folder: str) -> list[str]:
        """The names directly in a folder, sorted; empty if there is no such folder. Raises Unavailable."""

    def read(self, name: str) -> bytes:
        """The whole content. Raises ArchiveCorrupt if it is not there, Unavailable if it cannot be read now."""

    def write(self, name: str, content: bytes) -> None:
        """Put the content there, whole or not at all. Raises Unavailable."""

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all it holds; nothing happens if it is not there. Raises Unavailable."""

    def free_bytes(self) -> int | None:
        """How much room is left; None where nobody can say. Raises Unavailable."""

    def finish_removals(self) -> None:
        """Remove what processes that were killed while they wrote or removed something left. Raises Unavailable."""

    def sink(self, name: str) -> Sink:
        """Begin a part. Raises Unavailable."""

    def locked(self, name: str, what: str) -> AbstractContextManager[LockCheck]:
        """Hold a lock that a process which dies does not keep. Raises Busy if another process holds it."""


def open_storage(url: str, place: Place = ARCHIVE) -> Storage:
    """The storage of a setting: a path, ``file://…``, or the fsspec URL of an object store.

    Raises SettingsError for a kind of URL that nothing is installed for, or where writes are not atomic, and for what
    is neither a path nor a complete URL.
    """
    from .local import LocalStorage

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
