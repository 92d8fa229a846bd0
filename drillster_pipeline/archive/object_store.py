"""The archive in an object store that fsspec has a driver for."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar
from urllib.parse import unquote

from drillster_pipeline.errors import ArchiveCorrupt, ExtraMissing, SettingsError, Unavailable

from .lease import leased
from .storage import ARCHIVE, LockCheck, Place

Result = TypeVar("Result")

_S3 = frozenset({"s3", "s3a"})
_ATOMIC = frozenset({*_S3, "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "tos", "memory"})
"""Protocols of object stores: an object is there when its upload is complete. Elsewhere a file grows as it is written.

The rename of other drivers is no way out: some replace nothing, some copy, and some leave it to their server.
"""


class RemoteStorage:
    """An object store, such as an S3 bucket (see :class:`Storage`).

    Raises SettingsError where the URL names anything else, or its driver is not installed.
    """

    part_bytes = 4 * 1024 * 1024
    part_seconds = 60.0
    """A remote part waits in memory until it is closed: a crash loses no more than this."""
    keeps_unfinished = False

    def __init__(self, url: str, place: Place = ARCHIVE) -> None:
        scheme, _, rest = url.partition("://")
        self.url = f"{scheme}://{rest.split('@')[-1].split('?')[0]}"
        self.place = place
        self.fs, root = self._opened(url)
        self.root = root.rstrip("/")

    def names(self, folder: str) -> list[str]:
        """See :class:`Storage`."""
        path = self._path(folder)

        def listed() -> set[str]:
            # Drivers cache listings, and another process may have written since.
            self.fs.invalidate_cache()
            try:
                return {str(name).rstrip("/") for name in self.fs.ls(path, detail=False)}
            except (FileNotFoundError, NotADirectoryError):
                return set()

        # Some stores list an empty object that stands for the folder itself.
        found = self._explained("listing", listed)
        return sorted(name.rsplit("/", 1)[-1] for name in found if name.strip("/") != path.strip("/"))

    def read(self, name: str) -> bytes:
        """See :class:`Storage`."""

        def content() -> bytes | None:
            with suppress(FileNotFoundError):
                return bytes(self.fs.cat_file(self._path(name)))
            return None

        found = self._explained("reading", content)
        if found is None:
            raise ArchiveCorrupt(f"The archive lacks {name}: restore it from a backup")
        return found

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Storage`."""
        self._explained("writing", lambda: self.fs.pipe_file(self._path(name), content))

    def remove(self, name: str) -> None:
        """See :class:`Storage`; a capture's manifest goes first, so that a removal cut short leaves no seal."""
        path = self._path(name)

        def removed() -> None:
            self.fs.invalidate_cache()
            for doomed, recursive in ((f"{path}/manifest.json", False), (path, True)):
                with suppress(FileNotFoundError):
                    if self.fs.exists(doomed):
                        self.fs.rm(doomed, recursive=recursive)

        self._explained("removing", removed)

    def free_bytes(self) -> int | None:
        """See :class:`Storage`; object stores name no limit."""
        return None

    def finish_removals(self) -> None:
        """See :class:`Storage`; what is left of a capture is one that was never sealed, and is removed as such."""

    def sink(self, name: str) -> RemoteSink:
        """See :class:`Storage`."""
        return RemoteSink(self, name)

    def locked(self, name: str, what: str, *, shard: int | None = None) -> AbstractContextManager[LockCheck]:
        """See :class:`Storage`; object stores have no locks, so it is a lease that is renewed all the time."""
        return leased(self, f"{name}.lease", what, shard)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _opened(self, url: str) -> tuple[Any, str]:
        """The file system of a URL, and the path in it. Some drivers connect, so it may also raise Unavailable."""
        import fsspec
        from fsspec.registry import known_implementations

        setting, protocol = self.place.setting, url.split(":", 1)[0]
        if protocol not in _ATOMIC:
            raise SettingsError(
                f"{setting} names the storage '{protocol}', where a write that is cut short may leave half a "
                "file: use a folder (on a mounted share, too), or an object store such as s3://, gs:// or az://"
            )
        options = {}
        # The driver for S3 takes no user from a URL.
        if match := re.fullmatch(r"(s3a?://)([^:@]*):([^@]*)@(.*)", url):
            url, options = match[1] + match[4], {"key": unquote(match[2]), "secret": unquote(match[3])}

        def opened() -> tuple[Any, str] | type[Exception]:
            try:
                fs, root = fsspec.core.url_to_fs(url, **options)
            except (ImportError, ValueError) as problem:
                return type(problem)
            return fs, str(root)

        found = self._explained("connecting", opened)
        if isinstance(found, tuple):
            return found
        storage = f"{setting} names the storage '{protocol}', which"
        if issubclass(found, ImportError) and protocol in _S3:
            raise ExtraMissing(storage, "s3")
        needs = known_implementations.get(protocol, {}).get("err")
        raise SettingsError(f"{storage} is not available ({found.__name__}){f': {needs}' if needs else ''}")

    def _explained(self, doing: str, call: Callable[[], Result]) -> Result:
        """Do it; any error of a storage driver, whatever its class, becomes a sentence without the driver's own words.

        Nor is that error chained to the driver's, which may quote the complete URL.
        """
        try:
            return call()
        except Exception as problem:  # noqa: BLE001 - each fsspec driver raises classes of its own
            is_missing = isinstance(problem, FileNotFoundError)
            kind = "the bucket or folder is not there" if is_missing else type(problem).__name__
        raise Unavailable(
            f"{self.place.what}'s storage failed while {doing} ({kind}): "
            f"check {self.place.setting}, its credentials and its service, then run again"
        )


class RemoteSink:
    """A part that is gathered in memory and uploaded at once."""

    def __init__(self, storage: RemoteStorage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._content = io.BytesIO()

    def write(self, chunk: bytes) -> None:
        """See :class:`Sink`."""
        self._content.write(chunk)

    def publish(self) -> None:
        """See :class:`Sink`."""
        self._storage.write(self._name, self._content.getvalue())

    def abandon(self) -> None:
        """See :class:`Sink`."""
