"""A lease is used as a lock where there are none: in an object store.

Its holder writes an object of its own into the lease's folder, and writes it again every few seconds. Another process
that finds it waits for a while: the holder of one that changes is running, one that does not change is stale. Only
changes count and never times, so it does not matter whose clock is wrong. A broken lease is marked for good: a process
that was only suspended may write its object once more, but not remove the mark.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from drillster_pipeline.errors import ArchiveCorrupt, Busy, Unavailable

from .storage import LockCheck, Storage, busy

HEARTBEAT_SECONDS = 10.0
PATIENCE_SECONDS = 45.0
"""How long to watch another lease: several heartbeats, so that a slow upload between them is no death."""

_TRIES = 4
"""How often to try to be the only one, where others come at the same moment and give way as well."""
_DEAD = ".dead"
"""Suffix of the mark on a lease that was broken."""

logger = logging.getLogger(__name__)


@contextmanager
def leased(storage: Storage, folder: str, what: str, shard: int | None = None) -> Iterator[LockCheck]:
    """Hold the lease; yields a check, which reads the storage, that it was not broken. Raises Busy.

    That of a shard is beside those of others, but not beside the lease of everything.

    Of two that come at the same moment at most one gets it, since each writes before it reads; if neither does, each
    tries again at a moment of its own.
    """
    own = _acquire(storage, folder, what, "" if shard is None else f"{shard}-")

    def check_lock() -> None:
        if own not in _living(storage, folder):
            raise Busy(
                "This run stopped renewing its lock, and another run has taken over the capture: let that one finish. "
                "Nothing of what it writes is touched"
            )

    def renew() -> None:
        beats = 0
        while not ended.wait(HEARTBEAT_SECONDS):
            beats += 1
            with suppress(Unavailable):  # the next one may succeed; if none does, uploads fail as well
                if own not in _living(storage, folder):
                    return
                storage.write(f"{folder}/{own}", str(beats).encode())

    ended = threading.Event()
    heart = threading.Thread(target=renew, name="lease", daemon=True)
    try:
        heart.start()
        yield check_lock
    finally:
        ended.set()
        heart.join()
        _release(storage, folder, own)


def break_stale_lease(storage: Storage, folder: str, name: str) -> None:
    """Take a lease from a process that shows no sign of life, such that it cannot take it back."""
    storage.write(f"{folder}/{name}{_DEAD}", b"")
    storage.remove(f"{folder}/{name}")


def _acquire(storage: Storage, folder: str, what: str, prefix: str) -> str:
    """The name of our lease, once it is the only one. Raises Busy."""
    for _ in range(_TRIES):
        _await_stale(storage, folder, what, prefix)
        own = f"{prefix}{secrets.token_hex(8)}"
        storage.write(f"{folder}/{own}", b"0")
        is_alone = False
        try:
            is_alone = _rivals(storage, folder, prefix) == [own]
        finally:
            if not is_alone:
                _release(storage, folder, own)
        if is_alone:
            return own
        time.sleep(random.uniform(0, HEARTBEAT_SECONDS / 2))  # noqa: S311 (nothing secret)
    raise busy(what)


def _await_stale(storage: Storage, folder: str, what: str, prefix: str) -> None:
    """Watch the leases that are there, and break those that do not change. Raises Busy as soon as one does."""
    before = _contents(storage, folder, prefix)
    if before:
        logger.info("Another run was %s and may still be: watching it for %.0f s.", what, PATIENCE_SECONDS)
    waited = 0.0
    while before and waited < PATIENCE_SECONDS:
        time.sleep(step := min(HEARTBEAT_SECONDS / 2, PATIENCE_SECONDS - waited))
        waited += step
        after = _contents(storage, folder, prefix)
        if any(before.get(name) != content for name, content in after.items()):
            raise busy(what)
        before = after
    for name in before:
        break_stale_lease(storage, folder, name)


def _living(storage: Storage, folder: str) -> list[str]:
    """The leases in a folder, but for those that were broken."""
    names = storage.names(folder)
    dead = {name.removesuffix(_DEAD) for name in names if name.endswith(_DEAD)}
    return [name for name in names if not name.endswith(_DEAD) and name not in dead]


def _rivals(storage: Storage, folder: str, prefix: str) -> list[str]:
    """The living leases that exclude one of this prefix, which is of a shard or empty: then all do."""
    return [name for name in _living(storage, folder) if name.startswith(prefix) or "-" not in name]


def _contents(storage: Storage, folder: str, prefix: str) -> dict[str, bytes]:
    found = {}
    for name in _rivals(storage, folder, prefix):
        with suppress(ArchiveCorrupt):  # released in between
            found[name] = storage.read(f"{folder}/{name}")
    return found


def _release(storage: Storage, folder: str, own: str) -> None:
    with suppress(Unavailable):
        storage.remove(f"{folder}/{own}")
