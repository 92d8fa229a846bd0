"""From a URL to an engine that behaves the same everywhere, its errors as messages, and one writer at a time.

The writer lock is the dialect's, which a killed process cannot leave behind. A database without such a lock has none:
there, loads must not overlap (Dagster's pool ``drillster`` sees to it).

No message has a secret or a value of a row. A driver's own may quote the row that it could not write ("Key
(email_address)=(…) already exists"), and SQLAlchemy adds the statement and its parameters. So what leaves this package
is built from codes and names only, and the original is not chained to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from drillster_pipeline.errors import Busy, ExtraMissing, PipelineError, SettingsError

from .dialects import Dialect, all_dialects, dialect_named, dialect_of

POLL_SECONDS = 0.25
QUERY_CACHE = 3_000
"""Compiled statements to keep: a load of all tables has several hundred of its own."""


def parse_url(text: str, *, schema: str | None) -> URL:
    """The URL of a warehouse, checked; a URL without a driver picks that of its dialect.

    Raises SettingsError, which never repeats the URL: it may contain a password.
    """
    try:
        url = make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError(
            "DRILLSTER_WAREHOUSE_URL is not a database URL. Put there something like "
            "sqlite:///data/warehouse.sqlite or postgresql://user:password@host/database"
        ) from None
    drivers = {scheme: driver for dialect in all_dialects() for scheme, driver in dialect.drivers.items()}
    url = url.set(drivername=drivers.get(url.drivername, url.drivername))
    dialect_named(url.get_backend_name()).check_url(url, schema)
    return url


def create_engine(url: URL) -> sa.Engine:
    """An engine for ``url``; creates the folder of a file. Nothing is connected yet.

    Raises SettingsError where the driver is not installed, or the folder cannot be made.
    """
    dialect = dialect_named(url.get_backend_name())
    if (file := dialect.file_of(url)) is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"The folder of the warehouse, {file.parent}, cannot be made ({error.strerror}). "
                "Name another file in DRILLSTER_WAREHOUSE_URL"
            ) from None
    options = dialect.engine_options(url)
    arguments = {name: value for name, value in options.pop("connect_args", {}).items() if name not in url.query}
    try:
        # Parameters are rows of people; they must not end up in an exception's text.
        engine = sa.create_engine(
            url, hide_parameters=True, connect_args=arguments, query_cache_size=QUERY_CACHE, **options
        )
    except (sa.exc.NoSuchModuleError, ImportError):
        raise _driver_missing(url) from None
    except (ValueError, sa.exc.ArgumentError) as error:
        raise _bad_setting(error) from None
    sa.event.listen(engine, "do_connect", _connect)
    dialect.configure(engine)
    return engine


def _driver_missing(url: URL) -> SettingsError:
    dialect = dialect_named(url.get_backend_name())
    if dialect.extra is not None and url.drivername in dialect.drivers.values():
        return ExtraMissing("The warehouse of DRILLSTER_WAREHOUSE_URL", dialect.extra)
    return SettingsError(
        f"DRILLSTER_WAREHOUSE_URL begins with {url.drivername}://, and no driver for that is installed. Install the "
        "driver that SQLAlchemy names for it, or use sqlite:/// or postgresql://"
    )


def _connect(dialect: sa.Dialect, _record: object, arguments: Any, options: Any) -> Any:
    """Connect; an error of Python in a driver is a mistake in the URL, and not an outage."""
    try:
        return dialect.connect(*arguments, **options)
    except (TypeError, ValueError, AttributeError, LookupError, FileNotFoundError, PermissionError) as error:
        if isinstance(error, dialect.loaded_dbapi.Error):
            raise
        raise _bad_setting(error) from None


def _bad_setting(error: Exception) -> SettingsError:
    """Without the error's own text, which may repeat a part of the URL."""
    return SettingsError(
        "Warehouse: connecting failed: the driver does not take a setting in DRILLSTER_WAREHOUSE_URL, or finds no file "
        f"that one names ({type(error).__name__}); check what follows the question mark"
    )


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Turn errors of the database inside the block into PipelineErrors that say what was being done.

    Raises Busy, Interrupted, Unavailable, SettingsError, Refused, or PipelineError where the cause is not known.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        original = error.orig or error
        owner = _owner(original) or Dialect()
        raise _report(owner, original, doing, lost=error.connection_invalidated) from None
    except sa.exc.SQLAlchemyError as error:
        raise PipelineError(f"Warehouse: {doing} failed ({type(error).__name__})") from None
    except Exception as error:
        # Errors of a driver that was called directly do not pass through SQLAlchemy.
        direct = _owner(error)
        if direct is None:
            raise
        raise _report(direct, error, doing, lost=False) from None


def _owner(error: BaseException) -> Dialect | None:
    module = type(error).__module__.partition(".")[0].lower()
    return next((dialect for dialect in all_dialects() if module in dialect.driver_modules), None)


def _report(dialect: Dialect, error: BaseException, doing: str, *, lost: bool) -> PipelineError:
    kind, advice, detail = dialect.report_error(error, lost=lost)
    return kind(f"Warehouse: {doing} failed{f': {advice}' if advice else ''} ({detail})")


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
def writer_lock(connection: sa.Connection, schema: str | None, *, wait: LockWait, purpose: str) -> Iterator[None]:
    """Have the one lock that writers of this warehouse share. Raises Busy when the wait is over."""
    with database_errors("taking the writer lock"):
        lock = dialect_of(connection).writer_lock(connection, schema)
    try:
        with database_errors("taking the writer lock"):
            if not wait.until(lambda: lock.acquire(purpose)):
                raise Busy(
                    f"The warehouse{lock.where} is being written by {lock.holder() or 'another session'}, for longer "
                    f"than {wait.seconds:g} s. Wait until that run is done, or stop it; {lock.ends_with}"
                )
        yield
    finally:
        lock.release()


def current_writer(connection: sa.Connection, schema: str | None) -> str | None:
    """Who holds the lock now, in the words of :class:`Busy`; None where nobody does. Leaves nothing."""
    lock = dialect_of(connection).writer_lock(connection, schema)
    holder = lock.holder()
    return f"The warehouse{lock.where} is being written by {holder}" if holder else None
