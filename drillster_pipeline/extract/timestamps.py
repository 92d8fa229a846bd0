"""Timestamps of answers, a column at a time: ISO 8601, always UTC (API 2.1.1, general part).

Forms seen are ``2024-01-11T16:54Z``, ``…:11Z`` and ``…:11.814Z``; an offset, no zone (which is UTC) and a bare
date are read as well. pandas parses quickly, but its ``ISO8601`` also takes ``2024``, ``now`` and the like, and
reads a whole column differently once one value has nanoseconds. So the shape of every text is looked at first:
all digits become ``0``, which leaves a handful of distinct shapes per column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .values import Misfit, misfit

Moments = npt.NDArray[np.datetime64]

_DIGITS = str.maketrans("123456789", "000000000")
_SHAPE = re.compile(r"0000-00-00(?:T00:00(?::00(?:\.0{1,6})?)?(?:Z|[+-]00(?::?00)?)?)?", re.ASCII)
_FINER = re.compile(r"(.*:\d\d\.\d{6})\d+(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII)
_NOT_A_TIMESTAMP = Misfit("expected a timestamp, met other text")
_OUT_OF_RANGE = Misfit("a timestamp outside the years 1 to 9999")
_FIRST = np.datetime64("0001-01-01T00:00:00.000000", "us")
_LAST = np.datetime64("9999-12-31T23:59:59.999999", "us")
NOT_A_TIME = np.datetime64("NaT", "us")


def moments(values: Sequence[Any]) -> tuple[Moments, dict[int, Misfit]]:
    """UTC moments in microseconds, NaT where there is none; and by position what could not be read, and why."""
    kinds = set(map(type, values))
    if kinds == {datetime}:
        return _of_datetimes(values), {}
    if kinds == {str} and _all_plain(values):
        return _parsed(values)
    if kinds <= {str, type(None)}:
        places = [place for place, value in enumerate(values) if value is not None]
        texts = [values[place] for place in places]
        if not texts:
            return np.full(len(values), NOT_A_TIME), {}
        if _all_plain(texts):
            return _scattered(len(values), places, texts)
    return _one_by_one(values)


def _of_datetimes(values: Sequence[datetime]) -> Moments:
    """Few distinct ones, as all rows of a page share theirs."""
    known = {value: np.datetime64(value.astimezone(UTC).replace(tzinfo=None), "us") for value in set(values)}
    return np.array([known[value] for value in values], dtype="datetime64[us]")


def _all_plain(texts: Sequence[str]) -> bool:
    shapes = set("\n".join(texts).translate(_DIGITS).split("\n"))
    return all(_SHAPE.fullmatch(shape) for shape in shapes)


def _parsed(texts: Sequence[str]) -> tuple[Moments, dict[int, Misfit]]:
    """Texts of a known shape; a 30 February has it, too."""
    objects = np.empty(len(texts), dtype=object)
    objects[:] = texts
    index = pd.to_datetime(objects, format="ISO8601", utc=True, errors="coerce")
    found = index.tz_convert(None).to_numpy().astype("datetime64[us]")
    wrong: dict[int, Misfit] = dict.fromkeys(np.flatnonzero(np.isnat(found)).tolist(), _NOT_A_TIMESTAMP)
    outside = np.flatnonzero((found < _FIRST) | (found > _LAST))
    if len(outside):
        wrong |= dict.fromkeys(outside.tolist(), _OUT_OF_RANGE)
        found[outside] = NOT_A_TIME
    return found, wrong


def _scattered(length: int, places: list[int], texts: Sequence[str]) -> tuple[Moments, dict[int, Misfit]]:
    """Texts parsed together and put in their places, with nothing in between."""
    found = np.full(length, NOT_A_TIME)
    found[places], wrong = _parsed(texts)
    return found, {places[position]: problem for position, problem in wrong.items()}


def _one_by_one(values: Sequence[Any]) -> tuple[Moments, dict[int, Misfit]]:
    """A column in which some value is finer than a microsecond, or no timestamp at all."""
    texts: dict[int, str] = {}
    others: dict[int, datetime] = {}
    wrong: dict[int, Misfit] = {}
    for place, value in enumerate(values):
        if type(value) is str:
            finer = _FINER.fullmatch(value)
            text = finer[1] + (finer[2] or "") if finer else value
            if _SHAPE.fullmatch(text.translate(_DIGITS)):
                texts[place] = text
            else:
                wrong[place] = _NOT_A_TIMESTAMP
        elif isinstance(value, datetime):
            others[place] = value
        elif value is not None:
            wrong[place] = value if isinstance(value, Misfit) else misfit("a timestamp", value)
    found: Moments = np.full(len(values), NOT_A_TIME)
    unread: dict[int, Misfit] = {}
    if texts:
        found, unread = _scattered(len(values), list(texts), list(texts.values()))
    if others:
        found[list(others)] = _of_datetimes(list(others.values()))
    return found, wrong | unread
