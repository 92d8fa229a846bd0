"""One writer at a time, by locks that a dead process cannot leave behind.

SQLite: an ``flock`` on ``<file>.lock``, which the kernel drops with the process. PostgreSQL: an advisory lock of the
load's own session, keyed by schema, which the server drops with the connection. MySQL and MariaDB: ``GET_LOCK``,
keyed by database, dropped likewise (in a Galera cluster it holds on one node: let all writers use the same).
Other databases have no such thing in common: there, see to it that loads do not overlap (Dagster's pool
``drillster`` does).
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from drillster_pipeline.errors import Busy, PipelineError, SettingsError, Unavailable

from .dialects.mysql import DIALECTS as MYSQL
from .errors import database_errors

POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class LockWait:
    """How long to wait for the lock, and by which clock."""

    seconds: float
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(self, attempt: Callable[[], bool]) -> bool:
        """Try until it works or the time is up; whether it worked."""
        deadline = self.monotonic() + self.seconds
        while not attempt():
            left = deadline - self.monotonic()
            if left <= 0:
                return False
            self.sleep(min(POLL_SECONDS, left))
        return True


@contextmanager
def writer_lock(
    connection: sa.Connection, *, file: Path | None, schema: str | None, wait: LockWait, purpose: str
) -> Iterator[None]:
    """Hold the one lock that writers of this warehouse share; with no ``purpose`` nobody is told who holds it.

    Raises Busy when the wait is over.
    """
    dialect = connection.dialect.name
    if file is not None:
        held = _file_lock(file, wait, purpose)
    elif dialect == "postgresql":
        held = _postgresql_lock(connection, schema, wait)
    elif dialect in MYSQL:
        held = _mysql_lock(connection, schema, wait)
    else:
        held = _no_lock()
    with held:
        yield


def who_writes(connection: sa.Connection, *, file: Path | None, schema: str | None) -> str | None:
    """Who holds the lock at this moment, in the words of :class:`Busy`; None where nobody does. Leaves nothing."""
    if file is not None and not file.with_name(f"{file.name}.lock").exists():
        return None
    try:
        with writer_lock(connection, file=file, schema=schema, wait=LockWait(seconds=0.0), purpose=""):
            return None
    except Busy as busy:
        return str(busy).partition(", for longer than")[0]


@contextmanager
def _no_lock() -> Iterator[None]:
    yield


@contextmanager
def _file_lock(file: Path, wait: LockWait, purpose: str) -> Iterator[None]:
    path = file.with_name(f"{file.name}.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _cannot_open(path, error) from None
    try:
        if not wait.until(lambda: _try_flock(descriptor)):
            os.lseek(descriptor, 0, os.SEEK_SET)
            holder = os.read(descriptor, 500).decode("utf-8", "replace").strip() or "another process"
            raise Busy(
                f"The warehouse is being written by {holder}, for longer than {wait.seconds:g} s. Wait until that run "
                f"is done, or stop it; the lock ({path}) goes with its process"
            )
        # Who holds it, for the message above; what is left in the file after a crash locks nothing.
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        holder = f"{purpose}, process {os.getpid()} on {socket.gethostname()} since {since}"
        if purpose:
            with suppress(OSError):  # no room for it: the lock holds all the same
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, holder.encode())
        yield
    finally:
        os.close(descriptor)


def _cannot_open(path: Path, error: OSError) -> PipelineError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Unavailable(f"The disk of the warehouse is full: there is no room for {path}. Make room and run again")
    return SettingsError(
        f"The lock file {path} cannot be opened ({error.strerror}); check the owner and mode of the folder"
    )


try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    def _try_flock(descriptor: int) -> bool:
        try:
            # The byte lies behind what the file holds, so that others can read who has the lock.
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # Windows alone
        except OSError:
            return False
        return True

else:

    def _try_flock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _number(schema: str) -> int:
    digest = hashlib.sha256(f"drillster-pipeline:{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@contextmanager
def _postgresql_lock(connection: sa.Connection, schema: str | None, wait: LockWait) -> Iterator[None]:
    with database_errors("taking the writer lock"), connection.begin():
        name = schema or connection.scalar(sa.select(sa.func.current_schema()))
    number = _number(str(name))

    def attempt() -> bool:
        with database_errors("taking the writer lock"), connection.begin():
            return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(number))))

    if not wait.until(attempt):
        raise Busy(
            f"The warehouse (schema {name}) is being written by {_postgresql_holder(connection, number)}, for longer "
            f"than {wait.seconds:g} s. Wait until that run is done, or stop it; the lock goes with its connection"
        )
    try:
        yield
    finally:
        _release(connection, sa.select(sa.func.pg_advisory_unlock(number)))


def _postgresql_holder(connection: sa.Connection, number: int) -> str:
    high, low = (number >> 32) & 0xFFFFFFFF, number & 0xFFFFFFFF
    query = sa.text(
        "SELECT a.pid, a.usename, coalesce(host(a.client_addr), 'this host'), a.backend_start"
        " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
        " AND l.classid::bigint = :high AND l.objid::bigint = :low"
    )
    with database_errors("looking up who holds the writer lock"), connection.begin():
        row = connection.execute(query, {"high": high, "low": low}).first()
    if row is None:
        return "another session"
    since = "" if row[3] is None else f", connected since {row[3].astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"server process {row[0]} of role {row[1]} from {row[2]}{since}"


@contextmanager
def _mysql_lock(connection: sa.Connection, schema: str | None, wait: LockWait) -> Iterator[None]:
    with database_errors("taking the writer lock"), connection.begin():
        database = schema or str(connection.scalar(sa.text("SELECT database()")))
    name = "drillster-" + hashlib.sha256(database.encode()).hexdigest()[:32]

    def attempt() -> bool:
        with database_errors("taking the writer lock"), connection.begin():
            return connection.scalar(sa.select(sa.func.get_lock(name, 0))) == 1

    if not wait.until(attempt):
        raise Busy(
            f"The warehouse (database {database}) is being written by {_mysql_holder(connection, name)}, for longer "
            f"than {wait.seconds:g} s. Wait until that run is done, or stop it; the lock goes with its connection"
        )
    try:
        yield
    finally:
        _release(connection, sa.select(sa.func.release_lock(name)))


def _mysql_holder(connection: sa.Connection, name: str) -> str:
    query = sa.text(
        "SELECT id, user, host FROM information_schema.processlist WHERE id = CAST(IS_USED_LOCK(:name) AS UNSIGNED)"
    )
    with database_errors("looking up who holds the writer lock"), connection.begin():
        row = connection.execute(query, {"name": name}).first()
    return "another session" if row is None else f"connection {row[0]} of role {row[1]} from {row[2]}"


def _release(connection: sa.Connection, statement: sa.Select[tuple[object]]) -> None:
    try:
        if connection.in_transaction():
            connection.rollback()
        with connection.begin():
            connection.execute(statement)
    except sa.exc.SQLAlchemyError:
        # The connection is gone, and the lock with it.
        connection.invalidate()
