"""Where the archive's bytes live: a local folder, or any fsspec URL (an object store).

A local file appears whole or not at all: it is written aside, synced and renamed. An object store gives the same
by nature, since an object exists only when its upload is complete.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from drillster_pipeline.errors import ArchiveCorrupt, Busy, SettingsError, Unavailable

PARTIAL = ".partial"
"""Suffix of a local file that is still being written; it never counts, but finished lines in it can be salvaged."""


class Storage(Protocol):
    """Names are ``/``-separated paths below the archive's root."""

    local_root: Path | None
    url: str

    def names(self, folder: str) -> list[str]:
        """The names directly in a folder, sorted; empty if there is no such folder."""

    def read(self, name: str) -> bytes:
        """The whole content. Raises ArchiveCorrupt if it is not there, Unavailable if it cannot be read now."""

    def write(self, name: str, content: bytes) -> None:
        """Put the content there, whole or not at all."""

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all it holds; nothing happens if it is not there."""

    @contextmanager
    def locked(self, name: str, what: str) -> Iterator[None]:
        """Hold a lock that vanishes with the process. Raises Busy if another process holds it."""


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an error of the file system into a sentence; paths stay out of it, the setting's name is enough."""
    try:
        yield
    except OSError as problem:
        if problem.errno == errno.ENOSPC:
            reason = "no space is left on the device: make room, then run again"
        else:
            reason = f"{problem.strerror or type(problem).__name__}: check DRILLSTER_ARCHIVE_URL and its permissions"
        raise Unavailable(f"The archive failed while {doing}: {reason}") from problem


class LocalStorage:
    """A folder of the local file system."""

    def __init__(self, root: Path) -> None:
        self.local_root: Path | None = root
        self.root = root
        self.url = str(root)

    def names(self, folder: str) -> list[str]:
        """See :class:`Storage`."""
        with explained("listing"):
            try:
                return sorted(path.name for path in (self.root / folder).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def read(self, name: str) -> bytes:
        """See :class:`Storage`."""
        with explained("reading"):
            try:
                return (self.root / name).read_bytes()
            except FileNotFoundError:
                raise ArchiveCorrupt(f"The archive lacks {name}: restore it from a backup") from None

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Storage`."""
        path = self.root / name
        with explained("writing"):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.writing")
            with aside.open("wb") as file:
                file.write(content)
                sync(file)
            publish_file(aside, path)

    def remove(self, name: str) -> None:
        """See :class:`Storage`."""
        path = self.root / name
        with explained("removing"):
            if path.is_dir():
                # Renamed first, so that a removal that is cut short leaves nothing that still looks complete.
                doomed = path.with_name(f".removing-{path.name}")
                if doomed.exists():
                    shutil.rmtree(doomed)
                path.rename(doomed)
                shutil.rmtree(doomed)
            else:
                path.unlink(missing_ok=True)

    @contextmanager
    def locked(self, name: str, what: str) -> Iterator[None]:
        """See :class:`Storage`; an ``flock``, which the kernel drops when the process dies."""
        import fcntl

        path = self.root / name
        with explained("locking"):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Busy(f"Another run is {what} right now: wait for it to end, then run again") from None
            yield
        finally:
            os.close(descriptor)


class RemoteStorage:
    """An fsspec file system, such as an S3 bucket."""

    def __init__(self, url: str) -> None:
        self.local_root: Path | None = None
        self.url = _without_secrets(url)
        try:
            import fsspec

            self.fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as problem:
            raise SettingsError(
                f"DRILLSTER_ARCHIVE_URL names the storage '{url.split(':', 1)[0]}', which is not available "
                f"({type(problem).__name__}): install the extra it needs, such as drillster-pipeline[s3]"
            ) from None
        self.root = str(root).rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def names(self, folder: str) -> list[str]:
        """See :class:`Storage`."""
        with _remote("listing"):
            self.fs.invalidate_cache()
            try:
                found: list[Any] = self.fs.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
        return sorted({str(path).rstrip("/").rsplit("/", 1)[-1] for path in found} - {""})

    def read(self, name: str) -> bytes:
        """See :class:`Storage`."""
        with _remote("reading"):
            try:
                content: bytes = self.fs.cat_file(self._path(name))
            except FileNotFoundError:
                raise ArchiveCorrupt(f"The archive lacks {name}: restore it from a backup") from None
            return content

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Storage`."""
        with _remote("writing"):
            path = self._path(name)
            if not hasattr(self.fs, "bucket") and "file" in getattr(self.fs, "protocol", ()):
                self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self.fs.pipe_file(path, content)

    def remove(self, name: str) -> None:
        """See :class:`Storage`; a capture's manifest goes first, so that a removal cut short leaves no seal."""
        with _remote("removing"):
            path = self._path(name)
            try:
                manifest = f"{path}/manifest.json"
                if self.fs.exists(manifest):
                    self.fs.rm_file(manifest)
                self.fs.rm(path, recursive=True)
            except FileNotFoundError:
                return

    @contextmanager
    def locked(self, name: str, what: str) -> Iterator[None]:  # noqa: ARG002 - object stores have no locks
        """Object stores have no lock: two runs write two captures, and the newest sealed one counts."""
        yield


@contextmanager
def _remote(doing: str) -> Iterator[None]:
    """Any error of a storage driver, whatever its class, as a sentence without the driver's own words."""
    try:
        yield
    except (ArchiveCorrupt, FileNotFoundError):
        raise
    except Exception as problem:  # noqa: BLE001 - each fsspec driver raises classes of its own
        raise Unavailable(
            f"The archive's storage failed while {doing} ({type(problem).__name__}): "
            "check DRILLSTER_ARCHIVE_URL, its credentials and its service, then run again"
        ) from None


def _without_secrets(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.split('@')[-1].split('?')[0]}"


def open_storage(url: str) -> LocalStorage | RemoteStorage:
    """The storage of ``DRILLSTER_ARCHIVE_URL``: a path, ``file://…``, or any other fsspec URL."""
    if url.startswith("file://"):
        return LocalStorage(Path(url.removeprefix("file://")))
    if "://" in url:
        return RemoteStorage(url)
    return LocalStorage(Path(url).expanduser())


def sync(file: Any) -> None:
    """Make the kernel put a file's content on the disk."""
    file.flush()
    os.fsync(file.fileno())


def publish_file(aside: Path, path: Path) -> None:
    """Give a finished file its name, and make the name itself durable."""
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
