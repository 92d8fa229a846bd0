"""The fastest honest way to bring a frame into a staging table, a function per dialect.

All write on the load's own connection, inside its transaction: what is staged is seen by the statements that follow
and by nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pandas as pd
import sqlalchemy as sa

from drillster_pipeline.tables.schema import Column

from .dialects.binary_copy import binary_copy
from .driver_values import iso, plain

GENERIC_ROWS = 1_000
"""Rows per statement of the generic path."""


class Writer(Protocol):
    """Appends a frame to a staging table; rows are numbered from ``first_row``."""

    def __call__(
        self,
        connection: sa.Connection,
        target: sa.Table,
        columns: Sequence[Column],
        frame: pd.DataFrame,
        first_row: int,
    ) -> None:
        """Append all rows."""


def writer_for(dialect: str) -> Writer:
    """The writer of a dialect, by its SQLAlchemy name."""
    return {"sqlite": write_sqlite, "postgresql": write_postgresql}.get(dialect, write_generic)


def write_sqlite(
    connection: sa.Connection, target: sa.Table, columns: Sequence[Column], frame: pd.DataFrame, first_row: int
) -> None:
    """By the driver's own ``executemany``, past SQLAlchemy's processing of each value."""
    lists = [iso(column, frame[column.name]) for column in columns]
    names = ", ".join(f'"{name}"' for name in ("staged_row", *(column.name for column in columns)))
    marks = ", ".join("?" * (len(columns) + 1))
    statement = f'INSERT INTO temp."{target.name}" ({names}) VALUES ({marks})'  # noqa: S608 (names of the contract)
    rows = zip(range(first_row, first_row + len(frame)), *lists, strict=True)
    _driver(connection).executemany(statement, rows)


def write_postgresql(
    connection: sa.Connection, target: sa.Table, columns: Sequence[Column], frame: pd.DataFrame, first_row: int
) -> None:
    """By COPY in binary format, for which the columns of ``target`` have exactly the types of the contract."""
    names = ", ".join(f'"{name}"' for name in ("staged_row", *(column.name for column in columns)))
    with (
        _driver(connection).cursor() as cursor,
        cursor.copy(f'COPY pg_temp."{target.name}" ({names}) FROM STDIN (FORMAT BINARY)') as copy,
    ):
        for block in binary_copy(columns, frame, first_row):
            copy.write(block)


def write_generic(
    connection: sa.Connection, target: sa.Table, columns: Sequence[Column], frame: pd.DataFrame, first_row: int
) -> None:
    """By SQLAlchemy Core, for any dialect."""
    names = ("staged_row", *(column.name for column in columns))
    lists = [plain(column, frame[column.name]) for column in columns]
    rows = list(zip(range(first_row, first_row + len(frame)), *lists, strict=True))
    for start in range(0, len(rows), GENERIC_ROWS):
        some = rows[start : start + GENERIC_ROWS]
        connection.execute(sa.insert(target), [dict(zip(names, row, strict=True)) for row in some])


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection
