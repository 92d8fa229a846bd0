"""From the values of a column, as they stand in answers, to a typed array; quick where all is as it should be.

A column is looked at as a whole first (which Python types occur in it?); only where something is off are its
values read one by one, to find out which rows must be rejected and why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from drillster_pipeline.tables.schema import Column, Type

from .timestamps import moments
from .values import Misfit, misfit

STRING = pd.StringDtype("python", na_value=np.nan)
"""pandas' own ``str``, whether pyarrow happens to be installed or not."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A column's array, NA where a value is missing or could not be read; and what was wrong, by position."""

    array: Any
    missing: npt.NDArray[np.bool_]
    wrong: Mapping[int, Misfit]
    rounded: int = 0
    """How many values had a fraction that the column does not take."""


def cast(column: Column, values: Sequence[Any], *, of_key: bool = False) -> Typed:
    """Type a column. A missing value is wrong where the column is not nullable, an empty one where it is a key."""
    if column.type not in _TEXTS and "" in values:
        values = [None if value == "" else value for value in values]  # an empty text is no number and no date
    typed = _CASTS[column.type](column, values)
    wrong = dict(typed.wrong)
    if not column.nullable and typed.missing.any():
        wrong |= {place: _MISSING for place in np.flatnonzero(typed.missing).tolist() if place not in wrong}
    if of_key and "" in values:
        wrong |= {place: _EMPTY for place, value in enumerate(values) if value == ""}
    return replace(typed, wrong=wrong)


_TEXTS = (Type.TEXT, Type.JSON)
_NONE = type(None)
_NULL = np.array(None, dtype=object)
_MISSING = Misfit("missing")
_EMPTY = Misfit("is empty")

_Read = Callable[[Any], Any]


def _each(values: Sequence[Any], read: _Read) -> tuple[list[Any], dict[int, Misfit]]:
    """The slow path: every value read on its own, None in the place of each that does not fit."""
    found: list[Any] = []
    wrong: dict[int, Misfit] = {}
    for place, value in enumerate(values):
        one = value if value is None or isinstance(value, Misfit) else read(value)
        if isinstance(one, Misfit):
            wrong[place] = one
            one = None
        found.append(one)
    return found, wrong


def _objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    """An array of these very objects, without a guess at what they have in common."""
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects


def _texts(_column: Column, values: Sequence[Any]) -> Typed:
    kinds = set(map(type, values))
    wrong: dict[int, Misfit] = {}
    if not kinds <= {str, _NONE}:
        values, wrong = _each(values, _text)
    if not _storable("".join(values if kinds == {str} else filter(None, values))):
        values = [value if value is None else cleaned(value) for value in values]
    objects = _objects(values)
    missing = np.zeros(len(values), dtype=bool) if kinds == {str} else pd.isna(objects)
    return Typed(pd.array(objects, dtype=STRING), missing, wrong)


def _text(value: Any) -> Any:
    return value if type(value) is str else misfit("text", value)


def _storable(text: str) -> bool:
    """Whether every database can hold it: no NUL (PostgreSQL), no half of a surrogate pair (none can)."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cleaned(text: str) -> str:
    """Without NUL, and with U+FFFD for each half of a surrogate pair (what cutting a text inside an emoji leaves)."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _integers(column: Column, values: Sequence[Any]) -> Typed:
    kind = np.int16 if column.type is Type.SMALLINT else np.int64
    rounded = 0
    if column.rounded and float in set(map(type, values)):
        rounded = sum(type(value) is float and value % 1 > 0 for value in values)
        values = [_nearest(column, value) if type(value) is float else value for value in values]
    numbers, missing, wrong = _numbers(values, {int, _NONE}, _integer, np.int64)
    low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    low = low if column.minimum is None else max(low, column.minimum)
    high = high if column.maximum is None else min(high, column.maximum)
    outside = ((numbers < low) | (numbers > high)) & ~missing
    above = math.inf if column.maximum is None and column.minimum is not None else high
    _refuse(outside, numbers, missing, wrong, _out_of_range(low, above))
    return Typed(pd.arrays.IntegerArray(numbers.astype(kind), missing), missing, wrong, rounded)


def _nearest(column: Column, value: float) -> float:
    """The nearest whole number; of a value out of range one that is out of range, too."""
    low, high = column.minimum, column.maximum
    if not math.isfinite(value):
        return value
    if (low is not None and value < low) or (high is not None and value > high):
        return math.floor(value) if value < 0 else math.ceil(value)
    return math.floor(value) + (value % 1 >= 0.5)


def _floats(column: Column, values: Sequence[Any]) -> Typed:
    numbers, missing, wrong = _numbers(values, {float, int, _NONE}, _float, np.float64)
    low = -math.inf if column.minimum is None else column.minimum
    high = math.inf if column.maximum is None else column.maximum
    outside = ~(np.isfinite(numbers) & (numbers >= low) & (numbers <= high)) & ~missing
    _refuse(outside, numbers, missing, wrong, _out_of_range(low, high))
    return Typed(pd.arrays.FloatingArray(numbers, missing), missing, wrong)


def _out_of_range(low: float, high: float) -> Misfit:
    return Misfit(
        f"out of range, which is {low} to {high}" if high < math.inf else f"out of range, which is {low} or more"
    )


def _refuse(
    outside: npt.NDArray[np.bool_],
    numbers: npt.NDArray[Any],
    missing: npt.NDArray[np.bool_],
    wrong: dict[int, Misfit],
    problem: Misfit,
) -> None:
    if outside.any():
        wrong |= dict.fromkeys(np.flatnonzero(outside).tolist(), problem)
        numbers[outside] = 0
        missing |= outside


def _numbers(
    values: Sequence[Any], natural: set[type], read: _Read, kind: type[np.generic]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], dict[int, Misfit]]:
    wrong: dict[int, Misfit] = {}
    kinds = set(map(type, values))
    if not kinds <= natural:
        values, wrong = _each(values, read)
    try:
        if not wrong and _NONE not in kinds:
            return np.array(values, dtype=kind), np.zeros(len(values), dtype=bool), wrong
        objects = _objects(values)
        missing = objects == _NULL  # where pd.isna takes a NaN for missing too, which is out of range
        objects[missing] = 0
        return objects.astype(kind), missing, wrong
    except OverflowError:
        return _numbers(values, set(), read, kind)


_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,19}(?:\.\d{1,19})?", re.ASCII)
_64_BITS = 1 << 63


def _integer(value: Any) -> Any:
    """An integer, an integral float, or digits: Drillster 2.0 wrote ``"minimumProficiency": "90"``."""
    if type(value) is str and _WHOLE.fullmatch(value):
        value = int(value)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        return misfit("an integer", value)
    return value if -_64_BITS <= value < _64_BITS else Misfit("a number beyond 64 bits")


def _float(value: Any) -> Any:
    if type(value) is str and _DECIMAL.fullmatch(value):
        return float(value)
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return Misfit("a number beyond 64 bits")
    return value if type(value) is float else misfit("a number", value)


def _booleans(_column: Column, values: Sequence[Any]) -> Typed:
    wrong: dict[int, Misfit] = {}
    kinds = set(map(type, values))
    if not kinds <= {bool, _NONE}:
        values, wrong = _each(values, _boolean)
    objects = _objects(values)
    missing = pd.isna(objects)
    objects[missing] = False
    return Typed(pd.arrays.BooleanArray(objects.astype(bool), missing), missing, wrong)


def _boolean(value: Any) -> Any:
    return value if type(value) is bool else misfit("true or false", value)


def _timestamps(_column: Column, values: Sequence[Any]) -> Typed:
    found, wrong = moments(values)
    return Typed(pd.DatetimeIndex(found).tz_localize("UTC").array, np.isnat(found), wrong)


def _dates(_column: Column, values: Sequence[Any]) -> Typed:
    """Dates never come from answers: the caller's own, so only their absence is possible."""
    wrong: dict[int, Misfit] = {}
    if set(map(type, values)) != {date}:
        values, wrong = _each(values, _date)
    objects = _objects(values)
    return Typed(objects, pd.isna(objects), wrong)


def _date(value: Any) -> Any:
    return value if type(value) is date else misfit("a date", value)


_CASTS: Mapping[Type, Callable[[Column, Sequence[Any]], Typed]] = {
    Type.TEXT: _texts,
    Type.JSON: _texts,
    Type.INTEGER: _integers,
    Type.SMALLINT: _integers,
    Type.FLOAT: _floats,
    Type.BOOLEAN: _booleans,
    Type.TIMESTAMP: _timestamps,
    Type.DATE: _dates,
}
