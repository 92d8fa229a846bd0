"""Amounts that are estimated: with a range, and in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Amount:
    """A likely value, and about how far off it may be to either side (95 of 100 times, where samples are fair)."""

    likely: float
    spread: float = 0.0

    @property
    def low(self) -> float:
        """The lower end."""
        return max(0.0, self.likely - self.spread)

    @property
    def high(self) -> float:
        """The upper end."""
        return self.likely + self.spread

    def times(self, factor: float) -> Amount:
        """So many times as much."""
        return Amount(self.likely * factor, self.spread * factor)

    def by(self, factor: Amount) -> Amount:
        """So many times as much, where the factor is estimated, too."""
        spread = math.hypot(self.spread * factor.likely, self.likely * factor.spread)
        return Amount(self.likely * factor.likely, spread)


def total(amounts: Iterable[Amount]) -> Amount:
    """The sum; spreads that have nothing to do with each other add up as squares."""
    found = list(amounts)
    return Amount(sum(each.likely for each in found), math.hypot(*(each.spread for each in found)))


def scaled(sample: Sequence[float], population: float) -> Amount:
    """What all ``population`` come to, of which a sample was seen: by its mean, twice its standard error either way.

    Of a single one nothing says how different the others are: then the others may be nothing, or twice as much.
    """
    count = len(sample)
    if not count or population <= 0:
        return Amount(0.0)
    mean = sum(sample) / count
    unseen = max(0.0, population - count)
    if not unseen:
        return Amount(mean * population)
    if count == 1:
        return Amount(mean * population, mean * unseen)
    variance = sum((value - mean) ** 2 for value in sample) / (count - 1)
    # The error is in those that were not looked at (finite population correction).
    error = population * math.sqrt(variance / count * unseen / population)
    return Amount(mean * population, min(2 * error, mean * unseen))


def count(value: float) -> str:
    """``12,345``."""
    return f"{round(value):,}"


def size(value: float) -> str:
    """Bytes for people: ``1.4 MB`` (1,000,000)."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def lasting(seconds: float) -> str:
    """A duration for people: ``340 ms``, ``12 s``, ``4 min``, ``2.5 h``, ``3 days``."""
    if seconds < 0.0005:
        return "<1 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, length, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            value = seconds / length
            return f"{value:.1f} {unit}" if value < 10 and value % 1 > 0.05 else f"{value:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"
