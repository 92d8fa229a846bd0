"""Single values as they stand in answers, before they are typed column by column.

Nothing here raises: a value that does not fit becomes a :class:`Misfit`, which makes its row a reject later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from drillster_pipeline.response_shapes import Json, id_text


@dataclass(frozen=True, slots=True)
class Misfit:
    """Stands in a row where a value could not be read; ``problem`` says why, without the value."""

    problem: str


def met(value: Json) -> str:
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


def misfit(expected: str, value: Json) -> Misfit:
    """``expected an integer, met text``."""
    return Misfit(f"expected {expected}, met {met(value)}")


class _Broken(dict[str, Any]):
    """Stands for an object that is not one: whatever is read from it is the same misfit."""

    def __init__(self, problem: Misfit) -> None:
        super().__init__()
        self._problem = problem

    def get(self, _name: str, _default: Any = None) -> Any:
        return self._problem


_NOTHING: Final[dict[str, Any]] = {}


def inner(value: Json) -> dict[str, Any]:
    """An object inside an object; left out, it is empty; anything else answers every question with a misfit."""
    if type(value) is dict:
        return value
    if value is None:
        return _NOTHING
    return _Broken(value if isinstance(value, Misfit) else misfit("an object", value))


def identity(value: Json) -> Any:
    """An id as text, None where it is left out or empty (see ``answers.id_text``)."""
    if type(value) is str:
        return value or None
    if value is None or isinstance(value, Misfit):
        return value
    if type(value) is int:
        return id_text(value) or Misfit("expected an id, met a number beyond 64 bits")
    return misfit("an id", value)


def overall(value: Json) -> Any:
    """A proficiency as one number: the ``overall`` of an object Proficiency, or the number itself."""
    return value.get("overall") if type(value) is dict else value


def upper(value: Json) -> Any:
    """A word of an enumeration in upper case; Drillster 2.0 wrote some of them in lower case."""
    return value.upper() if type(value) is str else value


_DURATION = re.compile(
    r"P(?!$)(?:(\d+)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?!$)(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?",
    re.ASCII,
)
_SECONDS = (604_800, 86_400, 3_600, 60, 1)
_LONGEST_DURATION = 64


def seconds(value: Json) -> Any:
    """Whole seconds of an ISO 8601 duration such as ``PT48H``, to the nearest; months and years have no length."""
    if value is None or isinstance(value, Misfit):
        return value
    if type(value) is not str:
        return misfit("an ISO 8601 duration", value)
    match = _DURATION.fullmatch(value) if len(value) <= _LONGEST_DURATION else None
    if match is None:
        return Misfit("expected an ISO 8601 duration of weeks, days, hours, minutes and seconds, met other text")
    return round(sum(float(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MILLISECOND = 10**11  # 3 March 1973; as seconds: the year 5138
_LAST_MILLISECOND = 10**13  # 20 November 2286


def login_moment(value: Json) -> Any:
    """A ``lastLogin``: the documentation's table is cut before its type, and other fields are epoch milliseconds.

    A whole number from 10^11 up to 10^13 can only be milliseconds (1973 to 2286; as seconds it would be a year
    beyond 5000). Smaller numbers could be seconds, so they are left as they are, and rejected as no timestamp.
    """
    if type(value) is int and _FIRST_MILLISECOND <= value < _LAST_MILLISECOND:
        return _EPOCH + timedelta(milliseconds=value)
    return value
