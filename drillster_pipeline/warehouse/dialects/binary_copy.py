"""A typed frame as PostgreSQL's COPY takes it in binary format, made a column at a time: rows are never touched singly.

The fields of many rows are laid side by side in a matrix of bytes, each as wide as its longest value there; a mask
says which bytes count, and one pass takes those. Sources: PostgreSQL manual, COPY, "Binary Format", and of each type
what its ``recv`` function reads: integers and floats in network order, times in microseconds and days since 2000.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from drillster_pipeline.tables.schema import Column, Type

Bytes = npt.NDArray[np.uint8]

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = -1
_COUNT_BYTES, _LENGTH_BYTES = 2, 4
_BLOCK_BYTES = 1 << 20
"""A matrix of this size stays in the processor's cache, and memory small."""
_FIRST_DAY = date(2000, 1, 1)
_FIRST_MOMENT = np.datetime64("2000-01-01", "us")


def binary_copy(columns: Sequence[Column], frame: pd.DataFrame, first_row: int) -> Iterator[bytes]:
    """All of a COPY, in blocks of about a megabyte: the number of each row from ``first_row``, then its columns."""
    numbers = _Fixed(_bytes_of(np.arange(first_row, first_row + len(frame), dtype=">i8")), None)
    yield _HEADER
    if len(frame):
        yield from _blocks([numbers, *(_read(column, frame[column.name]) for column in columns)], 0, len(frame))
    yield _TRAILER


class _Values(Protocol):
    """The values of a column."""

    def width(self, start: int, stop: int) -> int:
        """About how many bytes the longest value of some rows has."""

    def fields(self, start: int, stop: int) -> tuple[Bytes, npt.NDArray[np.int64]]:
        """The bytes of some rows' values, a row each, and how many of them count; -1 for NULL."""


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Values of one length."""

    content: Bytes
    missing: npt.NDArray[np.bool_] | None

    def width(self, _start: int, _stop: int) -> int:
        return int(self.content.shape[1])

    def fields(self, start: int, stop: int) -> tuple[Bytes, npt.NDArray[np.int64]]:
        lengths = np.full(stop - start, self.content.shape[1], dtype=np.int64)
        return self.content[start:stop], _with_nulls(lengths, self.missing, start, stop)


@dataclass(frozen=True, slots=True)
class _Texts:
    """Texts, empty where they are missing."""

    texts: list[str]
    missing: npt.NDArray[np.bool_] | None

    def width(self, start: int, stop: int) -> int:
        return max(map(len, self.texts[start:stop]))

    def fields(self, start: int, stop: int) -> tuple[Bytes, npt.NDArray[np.int64]]:
        texts = self.texts[start:stop]
        together = "".join(texts)
        if "\0" in together:  # PostgreSQL cannot hold it, and numpy takes it for padding
            texts = [text.replace("\0", "") for text in texts]
        encoded = np.array(texts if together.isascii() else [text.encode() for text in texts], dtype=np.bytes_)
        return _bytes_of(encoded), _with_nulls(np.strings.str_len(encoded), self.missing, start, stop)


def _with_nulls(
    lengths: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_] | None, start: int, stop: int
) -> npt.NDArray[np.int64]:
    if missing is not None:
        lengths[missing[start:stop]] = _NULL
    return lengths


def _bytes_of(values: npt.NDArray[Any]) -> Bytes:
    return values.view(np.uint8).reshape(len(values), values.dtype.itemsize)


def _blocks(columns: Sequence[_Values], start: int, stop: int) -> Iterator[bytes]:
    """Halves, as long as one long text would make a matrix too wide for the rest."""
    width = sum(column.width(start, stop) for column in columns)
    if stop - start > 1 and (stop - start) * width > _BLOCK_BYTES:
        middle = (start + stop) // 2
        yield from _blocks(columns, start, middle)
        yield from _blocks(columns, middle, stop)
    else:
        yield _block([column.fields(start, stop) for column in columns], stop - start)


def _block(fields: Sequence[tuple[Bytes, npt.NDArray[np.int64]]], rows: int) -> bytes:
    width = _COUNT_BYTES + sum(_LENGTH_BYTES + content.shape[1] for content, _ in fields)
    matrix = np.empty((rows, width), dtype=np.uint8)
    counts = np.ones((rows, width), dtype=np.bool_)
    matrix[:, :_COUNT_BYTES] = np.frombuffer(len(fields).to_bytes(_COUNT_BYTES, "big"), dtype=np.uint8)
    place = _COUNT_BYTES
    for content, lengths in fields:
        matrix[:, place : place + _LENGTH_BYTES] = _bytes_of(lengths.astype(">i4"))
        place += _LENGTH_BYTES
        following = place + content.shape[1]
        matrix[:, place:following] = content
        if (lengths != content.shape[1]).any():
            counts[:, place:following] = np.arange(content.shape[1]) < lengths[:, np.newaxis]
        place = following
    return matrix[counts].tobytes()


def _read(column: Column, series: pd.Series[Any]) -> _Values:
    missing = series.isna().to_numpy()
    match column.type:
        case Type.TEXT | Type.JSON:
            return _Texts(series.to_numpy(dtype=object, na_value="").tolist(), missing if missing.any() else None)
        case Type.TIMESTAMP:
            naive = series.dt.tz_convert(None) if getattr(series.dt, "tz", None) is not None else series
            moments = naive.to_numpy().astype("datetime64[us]")
            values = (moments - _FIRST_MOMENT).astype(">i8")
        case Type.DATE:
            days = series.to_numpy(dtype=object, na_value=_FIRST_DAY).tolist()
            values = (np.fromiter(map(date.toordinal, days), np.int64, len(days)) - _FIRST_DAY.toordinal()).astype(
                ">i4"
            )
        case Type.BOOLEAN:
            values = series.to_numpy(dtype=np.bool_, na_value=False)
        case Type.FLOAT:
            # pandas' Float64 can hold a NaN that it does not call missing.
            values = series.to_numpy(dtype=np.float64, na_value=np.nan).astype(">f8")
            missing = np.isnan(values)
        case Type.SMALLINT:
            values = series.to_numpy(dtype=np.int16, na_value=0).astype(">i2")
        case Type.INTEGER:
            values = series.to_numpy(dtype=np.int64, na_value=0).astype(">i8")
    return _Fixed(_bytes_of(values), missing if missing.any() else None)
