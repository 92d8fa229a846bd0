"""How far this machine's clock is from Drillster's, by the Date header of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .retry import http_date

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Skew:
    """Seconds that our clock is ahead of the server's (negative: behind), and how far off that may be."""

    ahead: float
    within: float


def skew_between(headers: Mapping[str, str], asked: datetime, answered: datetime) -> Skew | None:
    """The difference at an answer to what was asked and answered at these moments; None without a usable Date.

    The header holds whole seconds, rounded down (RFC 9110, section 6.6.1), and was written at some moment in between.
    """
    date = http_date(headers.get("Date"))
    if date is None:
        return None
    took = (answered - asked).total_seconds()
    ahead = (asked - date).total_seconds() + took / 2 - 0.5
    return Skew(round(ahead, 2), round(0.5 + abs(took) / 2, 2))
