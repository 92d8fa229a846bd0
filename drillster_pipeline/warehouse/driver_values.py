"""Columns of a typed frame as lists of what a driver takes, a column at a time: rows are never touched singly.

Missing is NA, NaN or NaT in a frame and NULL in a database; an empty string is neither.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from drillster_pipeline.tables.schema import Column, Type

Values = list[Any]


def plain(column: Column, series: pd.Series[Any]) -> Values:
    """As Python values: ``str``, ``int``, ``float``, ``bool``, aware ``datetime``, ``date``; missing as None."""
    if column.type is Type.TIMESTAMP:
        return [None if moment is pd.NaT else moment.to_pydatetime().astimezone(UTC) for moment in series]
    return _objects(series, floats=column.type is Type.FLOAT)


def iso(column: Column, series: pd.Series[Any]) -> Values:
    """As SQLite stores them: timestamps and dates as ISO text, booleans as 0 and 1; missing as None."""
    if column.type is Type.TIMESTAMP:
        return _iso_timestamps(series)
    if column.type is Type.DATE:
        return _dates(series)
    return _objects(series, floats=column.type is Type.FLOAT)


def _objects(series: pd.Series[Any], *, floats: bool = False) -> Values:
    missing = series.isna().to_numpy()
    values = series.to_numpy(dtype=object)
    if missing.any():
        values = values.copy()
        values[missing] = None
    found = _unboxed(values.tolist())
    # pandas' Float64 can hold a NaN that it does not call missing.
    return [None if value is None or isnan(value) else value for value in found] if floats else found


def _unboxed(values: Values) -> Values:
    """Numpy scalars, where a frame holds some, as Python's own: drivers know only those."""
    first = next((value for value in values if value is not None), None)
    return [None if value is None else value.item() for value in values] if isinstance(first, np.generic) else values


def _iso_timestamps(series: pd.Series[Any]) -> Values:
    naive = series.dt.tz_convert(None) if getattr(series.dt, "tz", None) is not None else series
    # Many rows share a moment, and to spell one costs more than to look it up.
    codes, moments = pd.factorize(naive.to_numpy().astype("datetime64[us]"))
    return _taken(codes, np.datetime_as_string(moments, unit="us", timezone="UTC").tolist())


def _dates(series: pd.Series[Any]) -> Values:
    codes, days = pd.factorize(series.to_numpy(dtype=object))
    return _taken(codes, [(day.date() if isinstance(day, datetime) else day).isoformat() for day in days])


def _taken(codes: npt.NDArray[np.intp], distinct: Values) -> Values:
    """The value of each code; of -1, which stands for a missing one, None."""
    values: Values = np.array([*distinct, None], dtype=object)[codes].tolist()
    return values
