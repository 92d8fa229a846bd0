"""Hashes of rows: the same on every platform and with every version of pandas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import pandas as pd

from drillster_pipeline.tables.schema import Table, Type

_HEX_DIGITS = 32

# Text in the warehouse holds no NUL, so neither the mark between two columns nor the one for NULL can be part of
# a value: ('a', NULL), (NULL, 'a'), ('a', '') and ('', 'a') all differ.
_BETWEEN: Final = "\0\1"
_NULL: Final = "\0\2"


def row_hashes(table: Table, frame: pd.DataFrame) -> list[str]:
    """The ``row_hash`` of each row: 32 hex digits of BLAKE2b over the data columns in their order."""
    columns = [_WRITTEN[column.type](frame[column.name]) for column in table.columns]
    return [
        blake2b(_BETWEEN.join(row).encode(), digest_size=_HEX_DIGITS // 2).hexdigest()
        for row in zip(*columns, strict=True)
    ]


def _with_nulls(series: pd.Series[Any], written: list[str]) -> list[str]:
    missing = np.flatnonzero(pd.isna(series).to_numpy())
    for place in missing.tolist():
        written[place] = _NULL
    return written


def _of_text(series: pd.Series[Any]) -> list[str]:
    return _with_nulls(series, series.to_numpy(dtype=object).tolist())


def _of_integers(series: pd.Series[Any]) -> list[str]:
    return _with_nulls(series, list(map(str, series.to_numpy(dtype=np.int64, na_value=0).tolist())))


def _of_floats(series: pd.Series[Any]) -> list[str]:
    return _with_nulls(series, list(map(repr, series.to_numpy(dtype=np.float64, na_value=0.0).tolist())))


def _of_booleans(series: pd.Series[Any]) -> list[str]:
    return _with_nulls(series, ["true" if value else "false" for value in series.to_numpy(bool, na_value=False)])


def _of_timestamps(series: pd.Series[Any]) -> list[str]:
    microseconds = series.dt.tz_convert(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return _with_nulls(series, list(map(str, microseconds.tolist())))


def _of_dates(series: pd.Series[Any]) -> list[str]:
    return _with_nulls(series, list(map(str, series.tolist())))


_WRITTEN: Mapping[Type, Callable[[pd.Series[Any]], list[str]]] = {
    Type.TEXT: _of_text,
    Type.JSON: _of_text,
    Type.INTEGER: _of_integers,
    Type.SMALLINT: _of_integers,
    Type.FLOAT: _of_floats,
    Type.BOOLEAN: _of_booleans,
    Type.TIMESTAMP: _of_timestamps,
    Type.DATE: _of_dates,
}
