"""Dagster's own record of a run, where that is SQLite: kept open while the run writes to it.

Dagster opens and closes a database for every event, and some events go to two. Whoever closes a database last copies
its write-ahead log into it and removes the log, which costs several times what the event itself does. One connection
that stays open, and does nothing, spares a night more than half of what it writes to the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage  # named in dagster.yaml, and nowhere more public

INDEX = "index"


@contextmanager
def kept_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Keep the databases of a run's events open; nothing to do where they are not SQLite."""
    storage = instance.event_log_storage
    with ExitStack() as stack:
        if isinstance(storage, SqliteEventLogStorage):
            with storage.run_connection(run_id):
                pass  # makes the run's database, if it is not there yet
            for shard in (INDEX, run_id):
                stack.enter_context(_opened(storage.path_for_shard(shard)))
        yield


@contextmanager
def _opened(path: str) -> Iterator[None]:
    # The run may be closed from another thread than it was opened in.
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        connection.execute("SELECT 1 FROM event_logs LIMIT 1").fetchall()  # until then, nothing is opened
        yield


def remove_shard(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove the database of a run that was deleted; nothing to do where events are not in SQLite."""
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        shard = storage.path_for_shard(run_id)
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{shard}{suffix}").unlink(missing_ok=True)
