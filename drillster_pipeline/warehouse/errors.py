"""Errors of a database as messages to an operator: what happened and what to do, never a value of a row.

A driver's message may quote the row that it could not write ("Key (email_address)=(…) already exists"), and
SQLAlchemy adds the statement and its parameters. So what leaves this package is built from codes and names only,
and the original is not chained to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from drillster_pipeline.errors import PipelineError

from .dialects import Dialect, all_dialects


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
    return next((dialect for dialect in all_dialects() if dialect.owns(error)), None)


def _report(dialect: Dialect, error: BaseException, doing: str, *, lost: bool) -> PipelineError:
    kind, advice, detail = dialect.report_error(error, lost=lost)
    return kind(f"Warehouse: {doing} failed{f': {advice}' if advice else ''} ({detail})")
