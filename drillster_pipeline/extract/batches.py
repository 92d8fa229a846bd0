"""Pages of answers, and batches of typed rows: the good ones in a frame, the others as rejects that say why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from drillster_pipeline.privacy.names import without_addresses
from drillster_pipeline.response_shapes import Json
from drillster_pipeline.tables.schema import Column, Kind, Table

from .parsing import STRING, Typed, cast, cleaned
from .row_hash import row_hashes
from .values import Misfit, met

Row = tuple[Any, ...]

_LONGEST_TEXT = 200
_MOST_NAMES = 3
_64_BITS = 1 << 63
RANK = "source_rank"
"""Column of a frame, after those of its table: which row counts of several with the same key, see :mod:`.merged`."""
MASKED = "(masked)"
"""Stands in a record for a personal value."""


@dataclass(frozen=True, slots=True)
class Page:
    """One archived answer: ``unit`` holds the path parameters that it was asked with, ``number`` counts from 1."""

    unit: Mapping[str, str]
    number: int
    captured_at: datetime
    body: Json


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that does not fit the contract.

    ``reason`` names the columns and what was wrong, never a value. ``record`` is the row as it was read (column
    to value, all of it JSON, personal columns masked). ``key`` holds the values of the table's key as text
    (dates in ISO 8601), or None where one of them could not be read: then nobody knows which row this was.
    ``required`` holds the other columns that may not be NULL, all of them text, or None where one could not be read.
    """

    table: str
    reason: str
    record: dict[str, Any]
    key: tuple[str, ...] | None
    required: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one table.

    ``frame`` has the table's ``columns`` in order, typed (Int64, Int16, Float64, boolean, str,
    datetime64[us, UTC], ``date`` objects; missing values are NA in the way of each dtype), after them ``row_hash``
    for entities, and ``source_rank``. ``rows_read`` counts rejects, and repeated rows that the frame leaves out.
    """

    table: Table
    frame: pd.DataFrame
    rejects: tuple[Reject, ...]
    rows_read: int
    rounded: Mapping[str, int] = field(default_factory=dict)
    """By column: values that had a fraction, and are in the frame without it."""


def batch_of(
    table: Table, rows: Sequence[Row], strays: Sequence[Reject] = (), *, ranks: Sequence[int] | None = None
) -> Batch:
    """Type the rows of a table, which hold a value for each of its ``columns``; ``strays`` never became rows.

    Rows that fit and share a key are given once: that of the highest rank, and of those the last.
    """
    ranked = np.zeros(len(rows), dtype=np.int64) if ranks is None else np.array(ranks, dtype=np.int64)
    values = list(zip(*rows, strict=True)) if rows else [()] * len(table.columns)
    typed = [
        cast(column, column_values, of_key=column.name in table.key)
        for column, column_values in zip(table.columns, values, strict=True)
    ]
    wrong = sorted(set().union(*(column.wrong for column in typed)))
    keep = np.ones(len(rows), dtype=bool)
    keep[wrong] = False
    _drop_repeated(table, values, ranked, keep)
    rejects = [_reject(table, rows[place], place, typed) for place in wrong]
    frame = _frame(table, typed, keep)
    frame[RANK] = ranked[keep]
    rejects.extend(strays)
    rounded = {column.name: one.rounded for column, one in zip(table.columns, typed, strict=True) if one.rounded}
    return Batch(table, frame, tuple(rejects), len(rows) + len(strays), rounded)


def are_keys_readable(table: Table, rows: Sequence[Row]) -> bool:
    """Whether it can be told of each of these rows which one it is."""
    of_key = [(place, column) for place, column in enumerate(table.columns) if column.name in table.key]
    return not any(cast(column, [row[place] for row in rows], of_key=True).wrong for place, column in of_key)


def _drop_repeated(
    table: Table, values: Sequence[Sequence[Any]], ranks: npt.NDArray[np.int64], keep: npt.NDArray[np.bool_]
) -> None:
    """Pages overlap where many items share the value of a cursor; of rows that fit, the last by rank counts."""
    of_key = [values[place] for place, column in enumerate(table.columns) if column.name in table.key]
    kept = np.flatnonzero(keep).tolist()
    if len(kept) < len(keep):
        of_key = [[column[place] for place in kept] for column in of_key]
    if len(set(zip(*of_key, strict=True))) == len(kept):
        return
    keys = list(zip(*of_key, strict=True))
    last = {keys[place]: kept[place] for place in np.argsort(ranks[kept], kind="stable").tolist()}
    keep[:] = False
    keep[list(last.values())] = True


def _frame(table: Table, typed: Sequence[Typed], keep: npt.NDArray[np.bool_]) -> pd.DataFrame:
    whole = bool(keep.all())
    frame = pd.DataFrame(
        {
            column.name: one.array if whole else one.array[keep]
            for column, one in zip(table.columns, typed, strict=True)
        },
        copy=False,
    )
    if table.kind is Kind.ENTITY:
        frame["row_hash"] = pd.array(row_hashes(table, frame), dtype=STRING)
    return frame


def _reject(table: Table, row: Row, place: int, typed: Sequence[Typed]) -> Reject:
    problems: dict[str, list[str]] = {}
    for column, one in zip(table.columns, typed, strict=True):
        if place in one.wrong:
            problems.setdefault(one.wrong[place].problem, []).append(column.name)
    texts = {
        column.name: _key_text(one.array[place])
        for column, one in zip(table.columns, typed, strict=True)
        if not column.nullable and place not in one.wrong
    }
    required = [column.name for column in table.columns if not column.nullable and column.name not in table.key]
    return Reject(
        table=table.name,
        reason="; ".join(f"{_listed(names)}: {problem}" for problem, names in problems.items()),
        record={column.name: redacted(column, value) for column, value in zip(table.columns, row, strict=True)},
        key=tuple(texts[name] for name in table.key) if texts.keys() >= set(table.key) else None,
        required={name: texts[name] for name in required} if texts.keys() >= set(required) else None,
    )


def _listed(names: list[str]) -> str:
    """Column names for a reason; an object that is none spoils all that are read from it."""
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"


def _key_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def redacted(column: Column, value: Any) -> Any:
    """A value for people to look at, in a form that JSON has; nothing of it where it may be a person's."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Misfit):
        return f"({value.problem})"
    if column.personal or column.prose:
        return MASKED
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        value = without_addresses(value, lambda _: MASKED)
        return cleaned(value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "…")
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and abs(value) < _64_BITS:
        return value
    return f"({met(value)})"
