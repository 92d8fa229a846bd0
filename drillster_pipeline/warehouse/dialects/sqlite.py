"""SQLite: real transactions, a write-ahead log for readers, and a lock file for writers.

pysqlite begins transactions when it sees fit and lets DDL slip out of them. Here it is in autocommit mode and BEGIN is
sent explicitly, so that a failed merge or migration leaves the file as it was. A writer that begins with ``BEGIN`` and
writes later can fail halfway on a newer snapshot, so writers begin with ``BEGIN IMMEDIATE``.
"""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.types import TypeEngine

from drillster_pipeline.errors import Busy, PipelineError, Refused, SettingsError, Unavailable
from drillster_pipeline.tables.schema import Column, Type

from . import BEGIN_OPTION, Dialect, ErrorReport, WriterLock, check_statements, index_on, python_values, utc_moments

BUSY_SECONDS, CHECK_BUSY_SECONDS = 120.0, 2.0
"""How long a statement of a load, and of `check`, waits for another program's write lock: 120 s outlast a VACUUM."""

_ERRORS: tuple[tuple[str, type[PipelineError], str], ...] = (
    ("is locked", Busy, "another program is writing to the file; try again when it is done"),
    ("is full", Unavailable, "the disk of the warehouse, or of temporary files (SQLITE_TMPDIR), is full; make room"),
    (
        "disk i/o error",
        Unavailable,
        "the disk of the warehouse, or of temporary files (SQLITE_TMPDIR), fails or is full",
    ),
    ("readonly database", SettingsError, "the file may not be written; check its owner and mode, and its folder's"),
    ("unable to open", SettingsError, "the file cannot be opened; check that its folder exists and may be written"),
    ("not a database", SettingsError, "the file is not an SQLite database; name another in DRILLSTER_WAREHOUSE_URL"),
    ("malformed", Unavailable, "the file is damaged; restore it from a backup, or replay the archive into a new one"),
    ("no such", Refused, "a table or column is missing; the next load makes it, and a backfill fills it"),
)
"""Parts of SQLite's messages, which name tables and columns, never values."""


class SQLite(Dialect):
    """A file on a local disk."""

    names = ("sqlite",)
    driver_modules = ("sqlite3",)
    is_tested = True
    place_setting = "DRILLSTER_WAREHOUSE_URL"
    key_length = None
    has_temporary_tables = True
    row_number_type = sa.Integer()  # as a primary key it is the row's own number
    has_staging_keys = True
    updates_from = True
    compares_tuples = True
    references_snapshots = True
    inlines_references = True
    expressions: ClassVar[Mapping[str, str]] = {
        "utc_midnight": "({} || 'T00:00:00.000000Z')",
        "hours_later": "strftime('%Y-%m-%dT%H:%M:%f000Z', {}, {} || ' hours')",
        # Seconds without their fraction: it changes nothing, as the later moment has none.
        "days_begun": "((strftime('%s', substr({}, 1, 19)) - strftime('%s', substr({}, 1, 19)) + 86399) / 86400)",
        "days_after": "CAST(julianday({}) - julianday({}) AS INTEGER)",
        "seconds_since": "CAST((julianday('now') - julianday({})) * 86400 AS INTEGER)",
        "as_double": "({} * 1.0)",
        # The year and the week are those of its Thursday.
        "iso_week": (
            "(strftime('%Y', {0}, '-3 days', 'weekday 4')"
            " || printf('-W%02d', (strftime('%j', {0}, '-3 days', 'weekday 4') + 6) / 7))"
        ),
        "month": "substr({}, 1, 7)",
        "quarter": "(substr({0}, 1, 4) || '-Q' || ((substr({0}, 6, 2) + 2) / 3))",
        "month_begins_on": "date({}, 'start of month')",
        "sorted_text": (
            "group_concat({0}, ', ') OVER (ORDER BY {0} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
        ),
    }

    def check_url(self, url: URL, schema: str | None) -> None:
        """Refuse a database in memory, and a schema."""
        name = url.database or ""
        if not name or "mode=memory" in name or ":memory:" in name or url.query.get("mode") == "memory":
            raise SettingsError(
                "DRILLSTER_WAREHOUSE_URL names an SQLite database in memory, which is gone when the program ends. "
                "Name a file: sqlite:///data/warehouse.sqlite"
            )
        if schema is not None:
            raise SettingsError(
                "DRILLSTER_WAREHOUSE_SCHEMA is set, but SQLite has no schemas. Leave it out, or use PostgreSQL"
            )

    def file_of(self, url: URL) -> Path | None:
        """The file, resolved, so that two ways to name it lead to the same lock."""
        name = url.database or ":memory:"
        if name.startswith("file:"):
            name = name.removeprefix("file:").split("?", 1)[0]
        return None if name == ":memory:" else Path(name).resolve()

    def engine_options(self, url: URL) -> dict[str, Any]:
        """Wait for other programs that write to the file."""
        return {"connect_args": {"timeout": BUSY_SECONDS}}

    def configure(self, engine: sa.Engine) -> None:
        """Begin transactions explicitly."""
        sa.event.listen(engine, "connect", _on_connect)
        sa.event.listen(engine, "begin", _on_begin)

    def describe(self, connection: sa.Connection) -> tuple[str, str | None]:
        """The version of the library."""
        return f"SQLite {connection.scalar(sa.text('SELECT sqlite_version()'))}", None

    def text_type(self, *, in_key: bool) -> TypeEngine[Any]:
        """Text of any length."""
        return sa.Text()

    def timestamp_type(self) -> TypeEngine[Any]:
        """ISO 8601 text that sorts."""
        return sa.Text()

    def to_driver(self, moment: datetime) -> Any:
        """With as many digits for every moment: strftime gives the year 800 three."""
        return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def can_store(self, found: TypeEngine[Any], expected: TypeEngine[Any]) -> bool:
        """SQLite does not enforce lengths."""
        return True

    def is_set_up(self, connection: sa.Connection) -> bool:
        """Whether the file has a write-ahead log."""
        return bool(connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal")

    def set_up(self, connection: sa.Connection) -> None:
        """Give the file a write-ahead log: only with one can others read while a load is merged."""
        _set_write_ahead_log(_driver(connection), connection.engine.url.database)

    def try_rights(
        self, engine: sa.Engine, schema: str | None, names: Sequence[str], file: Path | None
    ) -> tuple[str, ...]:
        """In a transaction that is rolled back, in the file and in another one of its folder."""
        assert file is not None
        folder = next(each for each in file.parents if each.exists())
        try:
            trial = tempfile.TemporaryDirectory(prefix=".drillster-check-", dir=folder)
        except OSError as error:
            raise SettingsError(
                f"No file can be made in the folder of the warehouse, {folder} ({error.strerror}): check its owner "
                "and mode, or name another file in DRILLSTER_WAREHOUSE_URL"
            ) from None
        with trial as name:
            _try_writing(Path(name) / "trial.sqlite", log_of=file)
        if file.exists():
            _try_writing(file)
        return ("a table", "a view", "a temporary table", "a write-ahead log")

    def writer_lock(self, connection: sa.Connection, schema: str | None) -> WriterLock:
        """A lock on ``<file>.lock``."""
        file = self.file_of(connection.engine.url)
        return FileLock(file.with_name(f"{file.name}.lock")) if file else WriterLock()

    def write(
        self,
        connection: sa.Connection,
        target: sa.Table,
        columns: Sequence[Column],
        frame: pd.DataFrame,
        first_row: int,
    ) -> None:
        """By the driver's own ``executemany``, without SQLAlchemy's processing of each value."""
        lists = [_stored_values(column, frame[column.name]) for column in columns]
        names = ", ".join(f'"{name}"' for name in ("staged_row", *(column.name for column in columns)))
        marks = ", ".join("?" * (len(columns) + 1))
        statement = f'INSERT INTO temp."{target.name}" ({names}) VALUES ({marks})'  # noqa: S608 (names of the contract)
        rows = zip(range(first_row, first_row + len(frame)), *lists, strict=True)
        _driver(connection).executemany(statement, rows)

    def index_staged(
        self, connection: sa.Connection, target: sa.Table, key: Sequence[str], joined: Sequence[str], count: int
    ) -> bool:
        """One sort of the keys makes the index and proves that they are unique."""
        try:
            connection.exec_driver_sql(f"CREATE UNIQUE INDEX {index_on(connection, target, key)}")
        except sa.exc.IntegrityError:
            return super().index_staged(connection, target, key, joined, count)
        return True

    def drop_staging(self, connection: sa.Connection, metadata: sa.MetaData, tables: Sequence[sa.Table]) -> None:
        """Nothing: they vanish faster with the connection, which ends with the load."""

    def begin_erasing(self, connection: sa.Connection) -> None:
        """Overwrite what is deleted."""
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
        connection.rollback()

    def remove_traces(self, connection: sa.Connection) -> None:
        """Write the file anew and empty the log: pages keep copies of rows that moved when a page was split."""
        driver = _driver(connection)
        driver.execute("VACUUM")
        ((blocked, _, _),) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if blocked:
            raise Busy(
                "The person is out of every table, but a program reads the SQLite file all the time, so that "
                "its write-ahead log, which still has them, can't be emptied: end that program and erase again"
            )

    def report_error(self, error: BaseException, *, lost: bool) -> ErrorReport:
        """By the words of the library."""
        text = str(error)
        for part, kind, advice in _ERRORS:
            if part in text.lower():
                return ErrorReport(kind, advice, f"SQLite: {text}")
        return ErrorReport(PipelineError, "", f"SQLite: {text}")


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


def _on_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    # Staged rows go to a file that has no name and vanishes with the process, not to memory.
    connection.execute("PRAGMA temp_store = FILE")
    # A merge of a million rows leaves a large log behind; it is cut back at the next checkpoint.
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _on_begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(BEGIN_OPTION, '')}")


def _set_write_ahead_log(connection: Any, file: Path | str | None) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise SettingsError(
            f"The file {file} cannot have a write-ahead log (its journal mode stays {mode}), which readers "
            "need while a load is merged. Put it on a local disk"
        )


def _try_writing(path: Path, *, log_of: Path | None = None) -> None:
    with closing(sqlite3.connect(path, CHECK_BUSY_SECONDS, isolation_level=None)) as connection:
        if log_of is not None:
            _set_write_ahead_log(connection, log_of)
        connection.execute("BEGIN IMMEDIATE")
        for statement in (*check_statements("drillster_check"), "CREATE TEMPORARY TABLE staged (n INTEGER)"):
            connection.execute(statement)
        connection.execute("ROLLBACK")


def _stored_values(column: Column, series: pd.Series[Any]) -> list[Any]:
    """Timestamps and dates as ISO text, the rest as Python values; missing as None."""
    # Many rows share a moment or a date, and to format one costs more than to look it up.
    if column.type is Type.TIMESTAMP:
        codes, moments = pd.factorize(utc_moments(series))
        return _values_of(codes, np.datetime_as_string(moments, unit="us", timezone="UTC").tolist())
    if column.type is Type.DATE:
        codes, days = pd.factorize(series.to_numpy(dtype=object))
        return _values_of(codes, [(day.date() if isinstance(day, datetime) else day).isoformat() for day in days])
    return python_values(column, series)


def _values_of(codes: npt.NDArray[np.intp], distinct: list[str]) -> list[Any]:
    """The value of each code; of -1, which stands for a missing one, None."""
    values: list[Any] = np.array([*distinct, None], dtype=object)[codes].tolist()
    return values


class FileLock(WriterLock):
    """A lock on a file that the kernel releases with the process; the file has the name of its holder."""

    def __init__(self, path: Path) -> None:
        self.ends_with = f"the lock ({path}) goes with its process"
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, purpose: str) -> bool:
        """Take the lock if it is free, and write who holds it."""
        if self._descriptor is None:
            self._descriptor = self._open(os.O_RDWR | os.O_CREAT)
        if not _try_lock(self._descriptor):
            return False
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        holder = f"{purpose}, process {os.getpid()} on {socket.gethostname()} since {since}"
        with suppress(OSError):  # no room for it: the lock is held all the same
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, holder.encode())
        return True

    def holder(self) -> str | None:
        """The process that holds it; None where nobody does. Text that a crash left in the file locks nothing."""
        if not self._path.exists():
            return None
        descriptor = self._open(os.O_RDWR)
        try:
            if _try_lock(descriptor):
                return None
            os.lseek(descriptor, 0, os.SEEK_SET)
            return os.read(descriptor, 500).decode("utf-8", "replace").strip() or "another process"
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Release it with its descriptor."""
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _open(self, flags: int) -> int:
        try:
            return os.open(self._path, flags, 0o644)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise Unavailable(
                    f"The disk of the warehouse is full: there is no room for {self._path}. Make room and run again"
                ) from None
            raise SettingsError(
                f"The lock file {self._path} cannot be opened ({error.strerror}); check the owner and mode of the "
                "folder"
            ) from None


def _try_lock(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
