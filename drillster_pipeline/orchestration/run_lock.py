"""Runs whose process is gone, though Dagster has them as running.

Dagster's code server notices when a run that it has launched dies. When it dies as well (the machine loses its power,
the container is replaced), or when the command line made the run, nobody does: the run stays "started" and holds its
pool until it is older than any run may be. So each run holds a lock file, which the kernel frees with the process. A
lock file that is there and free is that of a dead run: it is marked as failed, and Dagster starts it again.

The files lie in Dagster's storage folder, which outlives a container. A lock counts on every machine and in every
container that has that folder; the archive relies on the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import dagster as dg


@contextmanager
def run_lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the lock of a run as long as this process works on it. A run goes on without a lock that can't be had."""
    path = _folder(instance) / run_id
    with ExitStack() as stack:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("ab"))
            if _try_lock(file):
                stack.callback(_remove, path)
        yield


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark every run as failed whose process is gone; returns their ids."""
    dead = []
    for path in sorted(_folder(instance).glob("*")):
        # A run removes its file, lets go of the lock, and only then ends: a file that was removed proves nothing.
        with suppress(FileNotFoundError), path.open("r+b") as file:
            if not _try_lock(file) or not path.exists():
                continue
            run = instance.get_run_by_id(path.name)
            if run is not None and not run.is_finished:
                instance.report_run_failed(
                    run, "Its process is gone: it was killed, or the machine or container went down."
                )
                dead.append(run.run_id)
            _remove(path)
    return dead


@dg.sensor(
    name="lost_runs",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process is gone, as after a power cut.",
)
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Free what dead runs hold."""
    return dg.SkipReason(f"{len(fail_dead_runs(context.instance))} found.")


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.storage_directory()) / "drillster_runs"


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


try:
    import fcntl
except ImportError:  # Windows

    def _try_lock(file: IO[bytes]) -> bool:
        del file  # there, a dead run is found by its age alone
        return False

else:

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
