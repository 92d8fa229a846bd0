"""Responses of Drillster: JSON decoded, and ids, totals and names for messages, read in every documented form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import orjson

Json: TypeAlias = Any
"""A decoded JSON value, exactly as ``json.loads`` gives it."""


_FIELD_NAME = re.compile(r"[a-z][A-Za-z_]{0,39}[0-9]{0,2}", re.ASCII)
_MOST_NAMES = 10


def field_name(name: str) -> str:
    """The name of a field as it may be shown; ``*`` where it looks like data (an object used as a map)."""
    return name if _FIELD_NAME.fullmatch(name) else "*"


def shown(names: Collection[str]) -> str:
    """The names of an object's fields, for a message."""
    known = sorted({field_name(name) for name in names})
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return ", ".join(known[:_MOST_NAMES]) + more or "an empty object"


_SHOWN_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)


def shown_id(key: str) -> str:
    """An id as it may be shown; ``*`` where it may be an address or a name."""
    return key if _SHOWN_ID.fullmatch(key) else "*"


def shown_unit(unit: Mapping[str, str]) -> str:
    """Path parameters for a message, such as ``group …, account …``."""
    return ", ".join(f"{name.removesuffix('_id')} {shown_id(value)}" for name, value in unit.items())


MOST_ITEMS = 1 << 63
"""More than any list has and any database counts: a larger total is as wrong as this one, and harder to reckon with."""
_MOST_DIGITS = len(str(MOST_ITEMS))


def named_total(body: Json) -> int | None:
    """How many items the query matches, as Drillster says in this response; None where it does not say.

    Read from ``pagination.total``, else from a top-level ``total`` or ``count`` (API 2.1.1, "Pagination"); at most
    ``MOST_ITEMS``, since a text may hold more digits than Python reads.
    """
    if not isinstance(body, dict):
        return None
    pagination = body.get("pagination")
    places = (pagination.get("total") if isinstance(pagination, dict) else None, body.get("total"), body.get("count"))
    for value in places:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return min(value, MOST_ITEMS)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            digits = value.lstrip("0") or "0"
            return MOST_ITEMS if len(digits) > _MOST_DIGITS else min(int(digits), MOST_ITEMS)
    return None


def id_text(value: Json) -> str | None:
    """An id as text: an integer is taken as its digits; None where it is left out, empty or no id at all."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    return None


_DIGITS_AS_ZEROS = bytes(ord("0") if chr(byte) in "0123456789" else ord("x") for byte in range(256))
_LONG_NUMBER = b"0" * len(str(1 << 63))
"""So many digits in a row may be more than 64 bits hold. Ids that have as many are rare: Drillster's have letters."""


def decoded(content: bytes, otherwise: Callable[[bytes], Any] = json.loads) -> Any:
    """The value of a JSON text, as ``json.loads`` gives it, in two thirds of the time.

    orjson decodes. It accepts less than ``json`` (no half surrogates, NaN, byte order marks or other encodings than
    UTF-8), which is then left to ``otherwise``; and it makes a float of a whole number beyond 64 bits (its README,
    "Deserialize"), for which digits are searched before. How deep a text may be nested is all that is not the same:
    1,024 levels, where ``json`` gives up somewhere below.

    Raises what ``otherwise`` raises: ValueError for what is no JSON, RecursionError where it is nested too deeply.
    """
    if _LONG_NUMBER not in content.translate(_DIGITS_AS_ZEROS):
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            pass
    return otherwise(content)
