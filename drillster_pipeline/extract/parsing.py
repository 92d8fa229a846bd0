"""Values of responses: single ones as readers need them, and columns of them as typed arrays.

Nothing here raises: a value that does not fit becomes a :class:`ParseError`, which makes its row a reject later. A
column is checked as one first (which Python types occur in it?); only where something is off are its values read one by
one, to find out which rows must be rejected and why.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from drillster_pipeline.response_shapes import Json, id_text
from drillster_pipeline.tables.schema import Column, Form, Type

# Single values


@dataclass(frozen=True, slots=True)
class ParseError:
    """Stands in a row where a value could not be read; ``problem`` says why, without the value."""

    problem: str


_MISSING, _EMPTY = ParseError("missing"), ParseError("is empty")
_TOO_LARGE = ParseError("a number beyond 64 bits")
_64_BITS = 1 << 63


def json_type(value: Json) -> str:
    """The JSON type of a value, in words for a reason."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "an object" if isinstance(value, dict) else "a list"


def type_error(expected: str, value: Json) -> ParseError:
    """``expected an integer, found text``; an error that is there already stays."""
    return value if isinstance(value, ParseError) else ParseError(f"expected {expected}, found {json_type(value)}")


class _NoObject(dict[str, Any]):
    """Stands for an object that is not one: whatever is read from it is the same error."""

    def __init__(self, error: ParseError) -> None:
        super().__init__()
        self._error = error

    def get(self, _name: str, _default: Any = None) -> Any:
        return self._error


_NOTHING: Final[dict[str, Any]] = {}


def as_object(value: Json) -> dict[str, Any]:
    """An object inside an object; left out, it is empty; of anything else every field is an error."""
    if type(value) is dict:
        return value
    return _NOTHING if value is None else _NoObject(type_error("an object", value))


def as_id(value: Json) -> Any:
    """An id as text, None where it is left out or empty."""
    if type(value) is str:
        return value or None
    found = id_text(value)
    if found is None and type(value) is int:
        return ParseError("expected an id, found a number beyond 64 bits")
    return type_error("an id", value) if found is None and value is not None else found


def as_text(value: Json) -> Any:
    """A text, or an error at once."""
    return value if value is None or type(value) is str else type_error("text", value)


def as_code(value: Json) -> Any:
    """A word of an enumeration in upper case; Drillster 2.0 wrote some of them in lower case."""
    return value.upper() if type(value) is str else as_text(value)


_DURATION = re.compile(
    r"P(?!$)(?:(\d+)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?!$)(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?",
    re.ASCII,
)
_SECONDS = (604_800, 86_400, 3_600, 60, 1)
_LONGEST_DURATION = 64


def as_seconds(value: Json) -> Any:
    """Seconds of an ISO 8601 duration such as ``PT48H``, to the nearest; months and years have no fixed length."""
    if type(value) is not str:
        return None if value is None else type_error("an ISO 8601 duration", value)
    match = _DURATION.fullmatch(value) if len(value) <= _LONGEST_DURATION else None
    if match is None:
        return ParseError("expected an ISO 8601 duration of weeks, days, hours, minutes and seconds, found other text")
    return round(sum(float(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_MILLISECOND = 10**11  # 3 March 1973; as seconds: the year 5138
_LAST_MILLISECOND = 10**13  # 20 November 2286


def as_login(value: Json) -> Any:
    """A ``lastLogin``: the documentation's table is cut before its type, and other fields are epoch milliseconds.

    An integer from 10^11 up to 10^13 can only be milliseconds (1973 to 2286; as seconds it would be a year beyond
    5000). Smaller numbers could be seconds, so they are left as they are, and rejected as no timestamp.
    """
    if type(value) is int and _FIRST_MILLISECOND <= value < _LAST_MILLISECOND:
        return _EPOCH + timedelta(milliseconds=value)
    return value


FORMS: Mapping[Form, Callable[[Json], Any]] = {
    Form.ID: as_id,
    Form.CODE: as_code,
    Form.STRICT_TEXT: as_text,
    Form.DURATION: as_seconds,
    Form.LOGIN: as_login,
}
"""How a value is read that has one of the forms of a column."""

# Columns

STRING = pd.StringDtype("python", na_value=np.nan)
"""pandas' own ``str``, whether pyarrow happens to be installed or not."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A column's array, NA where a value is missing or could not be read; and what was wrong, by position."""

    array: Any
    missing: npt.NDArray[np.bool_]
    wrong: Mapping[int, ParseError]
    rounded: int = 0
    """How many values had a fraction that the column does not take."""


def cast(column: Column, values: Sequence[Any], *, of_key: bool = False) -> Typed:
    """Type a column. A missing value is wrong where the column is not nullable, an empty one where it is a key."""
    if column.type not in {Type.TEXT, Type.JSON} and "" in values:
        values = [None if value == "" else value for value in values]  # an empty text is no number and no date
    typed = _CASTS[column.type](column, values)
    wrong = dict(typed.wrong)
    if not column.nullable and typed.missing.any():
        wrong |= {place: _MISSING for place in np.flatnonzero(typed.missing).tolist() if place not in wrong}
    if of_key and "" in values:
        wrong |= {place: _EMPTY for place, value in enumerate(values) if value == ""}
    return replace(typed, wrong=wrong)


_NONE = type(None)
_NULL = np.array(None, dtype=object)


def _each(values: Sequence[Any], read: Callable[[Any], Any]) -> tuple[list[Any], dict[int, ParseError]]:
    """The slow path: every value read on its own, None in the place of each that does not fit."""
    found = [value if value is None or isinstance(value, ParseError) else read(value) for value in values]
    wrong = {place: one for place, one in enumerate(found) if isinstance(one, ParseError)}
    for place in wrong:
        found[place] = None
    return found, wrong


def _objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    """An array of these very objects, without a guess at what they have in common."""
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects


def _texts(_column: Column, values: Sequence[Any]) -> Typed:
    kinds = set(map(type, values))
    wrong: dict[int, ParseError] = {}
    if not kinds <= {str, _NONE}:
        values, wrong = _each(values, as_text)
    if not _storable("".join(values if kinds == {str} else filter(None, values))):
        values = [value if value is None else cleaned(value) for value in values]
    objects = _objects(values)
    missing = np.zeros(len(values), dtype=bool) if kinds == {str} else pd.isna(objects)
    return Typed(pd.array(objects, dtype=STRING), missing, wrong)


def _storable(text: str) -> bool:
    """Whether every database can store it: no NUL (PostgreSQL), no half of a surrogate pair (none can)."""
    try:
        return "\0" not in text and (text.isascii() or bool(text.encode()))
    except UnicodeEncodeError:
        return False


def cleaned(text: str) -> str:
    """Without NUL, and with U+FFFD for each half of a surrogate pair (what cutting a text inside an emoji leaves)."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _numbers(column: Column, values: Sequence[Any]) -> Typed:
    kinds = set(map(type, values))
    rounded = 0
    if column.rounded and float in kinds:
        rounded = sum(type(value) is float and value % 1 > 0 for value in values)
        values = [_nearest(column, value) if type(value) is float else value for value in values]
        kinds = set(map(type, values))
    is_float = column.type is Type.FLOAT
    wrong: dict[int, ParseError] = {}
    if not kinds <= ({float, int, _NONE} if is_float else {int, _NONE}):
        values, wrong = _each(values, _float if is_float else _integer)
    try:
        numbers, missing = _array(values, np.float64 if is_float else np.int64)
    except OverflowError:
        values, wrong = _each(values, _float if is_float else _integer)
        numbers, missing = _array(values, np.float64 if is_float else np.int64)
    low, high = _limits(column)
    outside = ~((numbers >= low) & (numbers <= high)) & ~missing
    if outside.any():
        wrong |= dict.fromkeys(np.flatnonzero(outside).tolist(), _out_of_range(column))
        numbers[outside] = 0
        missing |= outside
    if is_float:
        return Typed(pd.arrays.FloatingArray(numbers, missing), missing, wrong)
    kind = np.int16 if column.type is Type.SMALLINT else np.int64
    return Typed(pd.arrays.IntegerArray(numbers.astype(kind), missing), missing, wrong, rounded)


def _array(values: Sequence[Any], kind: type[np.generic]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """The numbers, 0 where there is none, and where that is."""
    if None not in values:
        return np.array(values, dtype=kind), np.zeros(len(values), dtype=bool)
    objects = _objects(values)
    missing = objects == _NULL  # where pd.isna takes a NaN for missing too, which is out of range
    objects[missing] = 0
    return objects.astype(kind), missing


_LIMITS: Mapping[Type, tuple[float, float]] = {
    Type.FLOAT: (-sys.float_info.max, sys.float_info.max),
    Type.INTEGER: (-_64_BITS, _64_BITS - 1),
    Type.SMALLINT: (-(1 << 15), (1 << 15) - 1),
}


def _limits(column: Column) -> tuple[float, float]:
    """The lowest and the highest value that the column, and its type, can have."""
    low, high = _LIMITS[column.type]
    return (
        low if column.minimum is None else max(low, column.minimum),
        high if column.maximum is None else min(high, column.maximum),
    )


def _out_of_range(column: Column) -> ParseError:
    low, high = _limits(column)
    if column.maximum is None and column.minimum is not None:
        return ParseError(f"out of range, which is {low} or more")
    return ParseError(f"out of range, which is {low} to {high}")


def _nearest(column: Column, value: float) -> Any:
    """The nearest integer of a fraction that is in range."""
    if not math.isfinite(value):
        return value
    low, high = _limits(column)
    return math.floor(value) + (value % 1 >= 0.5) if low <= value <= high else _out_of_range(column)


_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,19}(?:\.\d{1,19})?", re.ASCII)


def _integer(value: Any) -> Any:
    """An integer, an integral float, or digits: Drillster 2.0 wrote ``"minimumProficiency": "90"``."""
    if type(value) is str and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        return type_error("an integer", value)
    return value if -_64_BITS <= value < _64_BITS else _TOO_LARGE


def _float(value: Any) -> Any:
    if type(value) is str and _DECIMAL.fullmatch(value):
        return float(value)
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return _TOO_LARGE
    return value if type(value) is float else type_error("a number", value)


def _booleans(_column: Column, values: Sequence[Any]) -> Typed:
    wrong: dict[int, ParseError] = {}
    if not set(map(type, values)) <= {bool, _NONE}:
        values, wrong = _each(
            values, lambda value: value if type(value) is bool else type_error("true or false", value)
        )
    objects = _objects(values)
    missing = pd.isna(objects)
    objects[missing] = False
    return Typed(pd.arrays.BooleanArray(objects.astype(bool), missing), missing, wrong)


Timestamps = npt.NDArray[np.datetime64]

_DIGITS = str.maketrans("123456789", "000000000")
_PLAIN = re.compile(r"0000-00-00T00:00(?::00(?:\.0{1,6})?)?Z", re.ASCII)
_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d(?:T(?:[01]\d|2[0-3]):\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_NAT = np.iinfo(np.int64).min
_FIRST = np.datetime64("0001-01-01T00:00:00", "us")


def timestamps(values: Sequence[Any]) -> tuple[Timestamps, dict[int, ParseError]]:
    """UTC timestamps in microseconds, NaT where there is none; and by position what could not be read, and why.

    ISO 8601, always UTC (API 2.1.1, general part). Forms seen are ``2024-01-11T16:54Z``, ``…:11Z`` and ``…:11.814Z``;
    an offset, no zone (which is UTC) and a bare date are read as well. numpy parses quickly, but takes more forms, so
    the shapes of all texts are checked first: all digits become ``0``, which leaves a few distinct shapes per column.
    """
    kinds = set(map(type, values))
    wrong: dict[int, ParseError] = {}
    if kinds == {datetime}:
        known = {value: _microseconds(value) for value in set(values)}  # few: all rows of a page share theirs
        found = [known[value] for value in values]
    elif kinds <= {str, _NONE} and (plain := _plain_timestamps(values)) is not None:
        return plain, wrong
    else:
        found, wrong = _each(values, _microseconds)
    return np.array([_NAT if one is None else one for one in found], dtype=np.int64).view("datetime64[us]"), wrong


def _plain_timestamps(values: Sequence[Any]) -> Timestamps | None:
    """A column of timestamps of the documented forms; None where there may be others."""
    texts = [value for value in values if value is not None] if None in values else values
    together = "\n".join(texts)
    shapes = together.translate(_DIGITS).split("\n") if texts else []
    if len(shapes) != len(texts) or not all(map(_PLAIN.fullmatch, set(shapes))):
        return None
    found = np.full(len(values), _NAT, dtype=np.int64).view("datetime64[us]")
    try:
        if texts:
            places = slice(None) if texts is values else [value is not None for value in values]
            found[places] = np.array(together.replace("Z", "").split("\n"), dtype="datetime64[us]")
    except ValueError:  # a 30 February has the shape, too
        return None
    return None if (found < _FIRST).any() else found


def _microseconds(value: Any) -> Any:
    """Microseconds since 1970 of one timestamp."""
    if type(value) is str:
        try:
            value = datetime.fromisoformat(value) if _TIMESTAMP.fullmatch(value) else None
        except ValueError:
            value = None
        if value is None:
            return ParseError("expected a timestamp, found other text")
    if not isinstance(value, datetime):
        return type_error("a timestamp", value)
    try:
        return ((value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC) - _EPOCH) // _MICROSECOND
    except OverflowError:
        return ParseError("a timestamp outside the years 1 to 9999")


def _timestamps(_column: Column, values: Sequence[Any]) -> Typed:
    found, wrong = timestamps(values)
    return Typed(pd.DatetimeIndex(found).tz_localize("UTC").array, np.isnat(found), wrong)


def _dates(_column: Column, values: Sequence[Any]) -> Typed:
    """Dates never come from responses: the caller's own, so only their absence is possible."""
    objects = _objects(values)
    return Typed(objects, pd.isna(objects), {})


_CASTS: Mapping[Type, Callable[[Column, Sequence[Any]], Typed]] = {
    Type.TEXT: _texts,
    Type.JSON: _texts,
    Type.INTEGER: _numbers,
    Type.SMALLINT: _numbers,
    Type.FLOAT: _numbers,
    Type.BOOLEAN: _booleans,
    Type.TIMESTAMP: _timestamps,
    Type.DATE: _dates,
}
