"""The archive on a local file system."""

from __future__ import annotations

import errno
import math
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from drillster_pipeline.errors import ArchiveCorrupt, Unavailable

from .storage import ARCHIVE, PARTIAL, LockCheck, Place, busy

_REMOVING = ".removing"
"""The folder that whatever is being removed is moved into first, each under a name of its own."""
WRITING = ".writing"
"""The folder that a file is written in first, under a name of its own: two processes may write the same file."""
_ABANDONED_SECONDS = 3600.0
"""No write takes that long: what is older was left by a process that was killed."""


@contextmanager
def explained(doing: str, place: Place = ARCHIVE) -> Iterator[None]:
    """Turn an error of the file system into a sentence; paths stay out of it, the setting's name is enough."""
    try:
        yield
    except OSError as problem:
        if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
            reason = "no space is left on the device: make room, then run again; what was captured until now is kept"
        else:
            reason = f"{problem.strerror or type(problem).__name__}: check {place.setting} and its permissions"
        raise Unavailable(f"{place.what} failed while {doing}: {reason}") from problem


class LocalStorage:
    """A folder (see :class:`Storage`). What has appeared in it survives a power cut."""

    part_bytes = 32 * 1024 * 1024
    part_seconds = math.inf
    keeps_unfinished = True

    def __init__(self, root: Path, place: Place = ARCHIVE) -> None:
        self.root = root
        self.place = place
        self.url = str(root)

    def names(self, folder: str) -> list[str]:
        """See :class:`Storage`."""
        with explained("listing", self.place):
            try:
                names = os.listdir(self.root / folder)  # noqa: PTH208 - iterdir makes a Path of each
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(name for name in names if name != WRITING)

    def read(self, name: str) -> bytes:
        """See :class:`Storage`."""
        with explained("reading", self.place):
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                raise ArchiveCorrupt(f"The archive lacks {name}: restore it from a backup") from None

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Storage`."""
        path = self.root / name
        with explained("writing", self.place):
            _make_folder(path.parent)
            aside = self.root / WRITING / f"{secrets.token_hex(8)}.{path.name}"
            aside.parent.mkdir(exist_ok=True)
            try:
                with aside.open("wb") as file:
                    file.write(content)
                    sync(file)
                publish_file(aside, path)
            except BaseException:
                # On a full disk half a file would take the room that the next try needs.
                with suppress(OSError):
                    aside.unlink(missing_ok=True)
                raise

    def remove(self, name: str) -> None:
        """See :class:`Storage`; a folder is moved away first, so that a removal cut short leaves no half folder."""
        path = self.root / name
        with explained("removing", self.place):
            if not path.is_dir():
                path.unlink(missing_ok=True)
                return
            doomed = self.root / _REMOVING / secrets.token_hex(8)
            while path.is_dir():
                with suppress(FileNotFoundError):  # another process removes it as well, or where it goes to
                    # Not exist_ok: that checks whether it is a folder, and fails where it is gone again by then.
                    with suppress(FileExistsError):
                        doomed.parent.mkdir()
                    path.rename(doomed)
        self.finish_removals()

    def free_bytes(self) -> int | None:
        """See :class:`Storage`; where the folder is not there yet, of the one that it will be made in."""
        with explained("measuring the free room", self.place):
            folder = self.root.absolute()
            return shutil.disk_usage(next(each for each in (folder, *folder.parents) if each.exists())).free

    def finish_removals(self) -> None:
        """See :class:`Storage`."""
        with explained("removing", self.place):
            for name in self.names(_REMOVING):
                while (folder := self.root / _REMOVING / name).exists():
                    with suppress(FileNotFoundError):  # another process removes it at the same time
                        shutil.rmtree(folder)
            with suppress(OSError):  # it is not there, or another process has moved something into it
                (self.root / _REMOVING).rmdir()
            for name in self.names(WRITING):
                with suppress(FileNotFoundError):  # its write has ended, or another process removed it
                    aside = self.root / WRITING / name
                    if time.time() - aside.stat().st_mtime > _ABANDONED_SECONDS:
                        aside.unlink()

    def sink(self, name: str) -> LocalSink:
        """See :class:`Storage`."""
        with explained("writing", self.place):
            _make_folder((self.root / name).parent)
            return LocalSink(self.root / name)

    @contextmanager
    def locked(self, name: str, what: str, *, shard: int | None = None) -> Iterator[LockCheck]:
        """See :class:`Storage`; an ``flock``, which the kernel drops when the process ends."""
        with ExitStack() as locks:
            with explained("locking", self.place):
                locks.callback(os.close, _flock(self.root / f"{name}.lock", what, is_shared=shard is not None))
                if shard is not None:
                    locks.callback(os.close, _flock(self.root / f"{name}-{shard}.lock", what))
            yield lambda: None  # the kernel gives it to no other process while this process runs


class LocalSink:
    """A part that is being written, beside the place where it will appear. What was written survives the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(path.name + PARTIAL)
        self._file: BinaryIO = self._aside.open("wb", buffering=0)

    def write(self, chunk: bytes) -> None:
        """See :class:`Sink`."""
        with explained("writing"):
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]

    def publish(self) -> None:
        """See :class:`Sink`."""
        with explained("writing"):
            sync(self._file)
            self._file.close()
            publish_file(self._aside, self._path)

    def abandon(self) -> None:
        """See :class:`Sink`."""
        self._file.close()


def _flock(path: Path, what: str, *, is_shared: bool = False) -> int:
    """An open and locked lock file. Raises Busy."""
    import fcntl

    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            # A lock on a file that was removed in between keeps no other process out.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise busy(what) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def sync(file: BinaryIO) -> None:
    """Make the kernel put a file's content on the disk."""
    file.flush()
    os.fsync(file.fileno())


def publish_file(aside: Path, path: Path) -> None:
    """Give a finished file its name, and make the name itself durable."""
    aside.replace(path)
    _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and those around it; their names are durable, too."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
