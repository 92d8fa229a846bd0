"""A lease stands in for a lock where there are none: in an object store.

Who holds it writes an object of his own into the lease's folder, and writes it anew every few seconds. Who finds
somebody else's watches for a while: one that changes is held by a process that lives, one that does not is left over
from one that died. Only changes count and never times, so it does not matter whose clock is wrong. A lease that was
taken for dead is marked so for good: a process that only slept may write its object once more, but not unmark it.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from drillster_pipeline.errors import ArchiveCorrupt, Busy, Unavailable

if TYPE_CHECKING:
    from .storage import LockCheck, Storage

HEARTBEAT_SECONDS = 10.0
PATIENCE_SECONDS = 45.0
"""How long to watch somebody else's: several heartbeats, so that a slow upload between them is no death."""

_TRIES = 4
"""How often to try to be the only one, where others come at the same moment and give way as well."""
_DEAD = ".dead"
"""Suffix of the mark on a lease whose holder was taken for dead."""

logger = logging.getLogger(__name__)


@contextmanager
def leased(
    storage: Storage, folder: str, what: str, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[LockCheck]:
    """Hold the lease; gives what asks, with a look into the storage, whether it is still ours.

    Of two that come at the same moment at most one gets it, since each writes before it looks; if neither does, each
    tries again in a moment of its own. Raises Busy.
    """
    own = _own(storage, folder, what, sleep)
    ended = threading.Event()
    heart = threading.Thread(target=_beat, args=(storage, folder, own, ended), name="lease", daemon=True)
    try:
        heart.start()

        def check_lock() -> None:
            if own not in _living(storage, folder):
                raise Busy(
                    "Another run took this one for dead, and goes on with its capture: let that one finish. Nothing "
                    "of what it writes is touched"
                )

        yield check_lock
    finally:
        ended.set()
        heart.join()
        _release(storage, folder, own)


def _own(storage: Storage, folder: str, what: str, sleep: Callable[[float], None]) -> str:
    """The name of our lease, once it is the only one. Raises Busy."""
    for _ in range(_TRIES):
        _wait_for_the_dead(storage, folder, what, sleep)
        own = secrets.token_hex(8)
        storage.write(f"{folder}/{own}", b"0")
        alone = False
        try:
            alone = _living(storage, folder) == [own]
        finally:
            if not alone:
                _release(storage, folder, own)
        if alone:
            return own
        sleep(random.uniform(0, HEARTBEAT_SECONDS / 2))  # noqa: S311 (nothing secret)
    raise _busy(what)


def _release(storage: Storage, folder: str, own: str) -> None:
    with suppress(Unavailable):
        storage.remove(f"{folder}/{own}")


def _busy(what: str) -> Busy:
    return Busy(f"Another run is {what} right now: wait for it to end, then run again")


def _beat(storage: Storage, folder: str, own: str, ended: threading.Event) -> None:
    """Write our object anew until the end, or until another run has removed it."""
    beats = 0
    while not ended.wait(HEARTBEAT_SECONDS):
        beats += 1
        with suppress(Unavailable):  # the next one may succeed; if none does, uploads fail as well
            if own not in _living(storage, folder):
                return
            storage.write(f"{folder}/{own}", str(beats).encode())


def _wait_for_the_dead(storage: Storage, folder: str, what: str, sleep: Callable[[float], None]) -> None:
    """Return when nobody holds the lease any more. Raises Busy as soon as somebody shows to be alive."""
    before = _signs(storage, folder)
    if not before:
        return
    logger.info("Another run was %s and may still be: watching it for %.0f s.", what, PATIENCE_SECONDS)
    waited = 0.0
    while before and waited < PATIENCE_SECONDS:
        sleep(step := min(HEARTBEAT_SECONDS / 2, PATIENCE_SECONDS - waited))
        waited += step
        after = _signs(storage, folder)
        if any(before.get(name) != sign for name, sign in after.items()):
            raise _busy(what)
        before = after
    for name in before:
        break_stale_lease(storage, folder, name)


def break_stale_lease(storage: Storage, folder: str, name: str) -> None:
    """Take a lease from somebody who shows no sign of life, such that he cannot take it back."""
    storage.write(f"{folder}/{name}{_DEAD}", b"")
    storage.remove(f"{folder}/{name}")


def _living(storage: Storage, folder: str) -> list[str]:
    """The leases in a folder, but for those that were taken for dead."""
    names = storage.names(folder)
    dead = {name.removesuffix(_DEAD) for name in names if name.endswith(_DEAD)}
    return [name for name in names if not name.endswith(_DEAD) and name not in dead]


def _signs(storage: Storage, folder: str) -> dict[str, bytes]:
    found = {}
    for name in _living(storage, folder):
        with suppress(ArchiveCorrupt):  # released between the two looks
            found[name] = storage.read(f"{folder}/{name}")
    return found
