"""Chance, names, ids and moments: what the made-up organization is made of.

A moment is a number of milliseconds since 1970, UTC.
"""

from __future__ import annotations

import tomllib
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOUNDING = int(datetime(2024, 1, 8, tzinfo=UTC).timestamp()) * SECOND
"""The organization's first day on Drillster: nothing exists before."""
END = int(datetime(2030, 1, 7, tzinfo=UTC).timestamp()) * SECOND
"""Nobody comes or leaves, and nothing begins, from this day on."""
FOREVER = 1 << 52
STEP = 15 * MINUTE
"""The organization changes in steps of a quarter of an hour: two requests within one step get the same answer."""


names = SimpleNamespace(**tomllib.loads(Path(__file__).with_name("names.toml").read_text(encoding="utf-8")))
"""What people, groups and drills are called."""


def draw(*parts: object) -> Random:
    """A source of chance for the thing that the parts name: the same for the same parts."""
    return Random("/".join(map(str, parts)))  # noqa: S311 - nothing here is secret


def make_id(chance: Random, size: int = 16) -> str:
    """An id that looks like Drillster's: 22 characters of ``[A-Za-z0-9_-]``, or 43 for 32 bytes."""
    return urlsafe_b64encode(chance.randbytes(size)).rstrip(b"=").decode()


def between(chance: Random, low: int, high: int) -> int:
    """An integer from ``low`` to ``high``, both included; three times as quick as ``randint``."""
    return low + int(chance.random() * (high - low + 1))


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def step_of(moment: datetime) -> int:
    """The start of the step that the moment falls in."""
    return milliseconds(moment) // STEP * STEP


def iso(moment: int, timespec: str = "seconds") -> str:
    """``2024-01-11T16:54:11Z``, or with ``timespec="milliseconds"``, as in cursors and events, ``…:11.814Z``."""
    return (EPOCH + timedelta(milliseconds=moment)).isoformat(timespec=timespec)[:-6] + "Z"


def parse_iso(text: str) -> int:
    """Milliseconds of an ISO 8601 date or time (UTC where it names no offset). Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return milliseconds(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
