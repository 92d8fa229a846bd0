"""Pages of responses, and batches of typed rows: those that fit in a frame, the others as rejects that say why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from drillster_pipeline.formatting import listed
from drillster_pipeline.privacy.names import without_addresses
from drillster_pipeline.response_shapes import Json
from drillster_pipeline.tables.schema import Column, Kind, Table, Type

from .parsing import STRING, ParseError, Typed, cast, cleaned, json_type
from .row_reader import Row

_LONGEST_TEXT = 200
_MOST_NAMES = 3
_64_BITS = 1 << 63
RANK = "source_rank"
"""Column of a frame, after those of its table: of several rows with the same key that of the highest rank counts."""
MASKED = "(masked)"
"""Stands in a record for a personal value."""


@dataclass(frozen=True, slots=True)
class Page:
    """One archived response: ``unit`` has the path parameters of the request, ``number`` counts from 1."""

    unit: Mapping[str, str]
    number: int
    captured_at: datetime
    body: Json


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that does not fit the contract.

    ``reason`` names the columns and what was wrong, never a value. ``record`` is the row as it was read (column
    to value, all of it JSON, personal columns masked). ``key`` has the values of the table's key as text
    (dates in ISO 8601), or None where one of them could not be read: then it is unknown which row this was.
    ``required`` has the other columns that may not be NULL, all of them text, or None where one could not be read.
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
    table: Table, rows: Sequence[Row], rejects: Sequence[Reject] = (), *, ranks: Sequence[int] | None = None
) -> Batch:
    """Type the rows of a table, which have a value for each of its ``columns``; ``rejects`` never became rows.

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
    frame = _frame(table, typed, keep)
    frame[RANK] = ranked[keep]
    return Batch(
        table,
        frame,
        (*(_reject(table, rows[place], place, typed) for place in wrong), *rejects),
        len(rows) + len(rejects),
        {column.name: one.rounded for column, one in zip(table.columns, typed, strict=True) if one.rounded},
    )


def are_keys_readable(table: Table, rows: Sequence[Row]) -> bool:
    """Whether it is known of each of these rows which one it is."""
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
    all_fit = bool(keep.all())
    frame = pd.DataFrame(
        {
            column.name: one.array if all_fit else one.array[keep]
            for column, one in zip(table.columns, typed, strict=True)
        },
        copy=False,
    )
    if table.kind is Kind.ENTITY:
        frame["row_hash"] = pd.array(row_hashes(table, frame), dtype=STRING)
    return frame


# Text in the warehouse contains no NUL, so neither the mark between two columns nor the one for NULL can be part of a
# value: ('a', NULL), (NULL, 'a'), ('a', '') and ('', 'a') all differ.
_BETWEEN, _NULL = "\0\1", "\0\2"


def row_hashes(table: Table, frame: pd.DataFrame) -> list[str]:
    """The ``row_hash`` of each row: 32 hex digits of BLAKE2b over the data columns in their order, on any platform."""
    columns = [_as_texts(column.type, frame[column.name]) for column in table.columns]
    return [blake2b(_BETWEEN.join(row).encode(), digest_size=16).hexdigest() for row in zip(*columns, strict=True)]


def _as_texts(kind: Type, series: pd.Series[Any]) -> list[str]:
    """A column as texts that differ where its values do."""
    if kind in {Type.TEXT, Type.JSON}:
        texts = series.to_numpy(dtype=object).tolist()
    elif kind is Type.TIMESTAMP:
        texts = list(map(str, series.dt.tz_convert(None).to_numpy().astype("datetime64[us]").astype(np.int64).tolist()))
    elif kind is Type.BOOLEAN:
        texts = ["true" if value else "false" for value in series.to_numpy(bool, na_value=False)]
    elif kind is Type.DATE:
        texts = list(map(str, series.tolist()))
    else:
        dtype = np.float64 if kind is Type.FLOAT else np.int64
        texts = list(map(str, series.to_numpy(dtype=dtype, na_value=0).tolist()))
    for place in np.flatnonzero(pd.isna(series).to_numpy()).tolist():
        texts[place] = _NULL
    return texts


def _reject(table: Table, row: Row, place: int, typed: Sequence[Typed]) -> Reject:
    problems: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    for column, one in zip(table.columns, typed, strict=True):
        if place in one.wrong:
            problems.setdefault(one.wrong[place].problem, []).append(column.name)
        elif not column.nullable:
            value = one.array[place]
            texts[column.name] = value.isoformat() if isinstance(value, date) else str(value)
    required = [column.name for column in table.columns if not column.nullable and column.name not in table.key]
    return Reject(
        table=table.name,
        # An object that is none spoils all that are read from it.
        reason="; ".join(f"{listed(names, _MOST_NAMES, ', ')}: {problem}" for problem, names in problems.items()),
        record={column.name: redacted(column, value) for column, value in zip(table.columns, row, strict=True)},
        key=tuple(texts[name] for name in table.key) if texts.keys() >= set(table.key) else None,
        required={name: texts[name] for name in required} if texts.keys() >= set(required) else None,
    )


def redacted(column: Column, value: Any) -> Any:
    """A value in a form that JSON has, for a record; nothing of it where it may be a person's."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, ParseError):
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
    return f"({json_type(value)})"
