"""Runs whose process is gone, though Dagster has them as running.

Dagster's code server notices when a run that it has launched dies. When it dies as well (the machine loses its power,
the service is killed), or when the console made the run, nobody does: the run stays "started", and holds the slots of
its pools, until it is older than any run may be. So each run holds a lock file, which the kernel frees with the
process; whoever finds one that is free and still there marks its run as failed, and Dagster begins it again. Only
runs of the same machine are judged: not every shared disk tells one of the locks of another.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

_FOLDER = "drillster_runs"


@contextmanager
def held(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the lock of a run as long as this process works on it. A lock that can't be had is done without."""
    path = _folder(instance) / run_id
    descriptor = None
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if _lock(descriptor):
            os.write(descriptor, socket.gethostname().encode())
        else:  # another process of the same run has it
            os.close(descriptor)
            descriptor = None
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)


def fail_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark every run as failed whose process is gone; their ids."""
    lost = []
    for path in sorted(_folder(instance).glob("*")):
        run = instance.get_run_by_id(path.name)
        running = run is not None and not run.is_finished
        if not _is_free(path, of=socket.gethostname() if running else None):
            continue
        if running:
            assert run is not None
            instance.report_run_failed(
                run, "Its process is gone: it was killed, or the machine went down. What it captured is gone on with."
            )
            lost.append(run.run_id)
        path.unlink(missing_ok=True)
    return lost


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.storage_directory()).parent / _FOLDER


def _is_free(path: Path, *, of: str | None) -> bool:
    """Whether nobody holds a lock file; with ``of`` only if a process of that host has held it."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # its run has just ended
        return False
    try:
        # A file without its name is that of a run that ended between the two.
        return _lock(descriptor) and path.exists() and of in {None, os.read(descriptor, 500).decode("utf-8", "replace")}
    finally:
        os.close(descriptor)


try:
    import fcntl
except ImportError:  # Windows

    def _lock(descriptor: int) -> bool:
        del descriptor  # there, runs that are lost are found by their age alone
        return False

else:

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
