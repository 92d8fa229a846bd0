"""Where the archive's bytes are: the protocol of a local folder, or of an object store that fsspec has a driver for.

Whatever has a name in a storage is complete: a file is written aside, synced and renamed, and an object exists only
when its upload is complete. All else the archive promises rests on that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from drillster_pipeline.errors import Busy

PARTIAL = ".partial"
"""Suffix of a local part that is still being written; it never counts, but complete lines in it can be salvaged."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a storage is for, and the setting that says where it is: errors name both."""

    what: str
    setting: str


ARCHIVE = Place("The archive", "DRILLSTER_ARCHIVE_URL")
REPORTS = Place("The reports folder", "DRILLSTER_REPORTS_FOLDER")


def busy(what: str) -> Busy:
    """The error for a lock that another run has."""
    return Busy(f"Another run is {what} right now: wait for it to end, then run again")


LockCheck = Callable[[], None]
"""Raises Busy where another process has taken over what was locked."""


class Sink(Protocol):
    """Where a part goes while it is written. Nothing is there under its name until ``publish``."""

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raises Unavailable where they could not be kept; nothing may follow then."""

    def publish(self) -> None:
        """Let it appear under its name, complete. Raises Unavailable."""

    def abandon(self) -> None:
        """Stop writing without giving it a name."""


class Storage(Protocol):
    """Names are ``/``-separated paths below the archive's root. Every method may raise Unavailable."""

    place: Place
    url: str
    """Where it is, without credentials."""
    part_bytes: int
    """Size from which a part is closed and the next begun."""
    part_seconds: float
    """Age from which it is, too."""
    keeps_unfinished: bool
    """Whether what went into a sink outlives the process, so that an unfinished part can be salvaged."""

    def names(self, folder: str) -> list[str]:
        """The names directly in a folder, sorted; empty if there is no such folder."""

    def read(self, name: str) -> bytes:
        """The complete content. Raises ArchiveCorrupt if it is not there."""

    def write(self, name: str, content: bytes) -> None:
        """Put the content there, completely or not at all."""

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it; nothing happens if it is not there."""

    def free_bytes(self) -> int | None:
        """How much room is left; None where that is not known."""

    def finish_removals(self) -> None:
        """Remove what processes that were killed while they wrote or removed something left."""

    def sink(self, name: str) -> Sink:
        """Begin a part."""

    def locked(self, name: str, what: str, *, shard: int | None = None) -> AbstractContextManager[LockCheck]:
        """Take a lock that ends with its process. Raises Busy if another process has it.

        Locks of different shards exclude each other not, but the lock without a shard.
        """
