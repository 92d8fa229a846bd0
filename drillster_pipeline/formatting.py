"""Counts, sizes and durations as people read them: the one place that decides how."""

from __future__ import annotations


def count(value: float, noun: str = "") -> str:
    """``12,345``; with a noun ``12,345 rows``, or ``1 row``."""
    number = round(value)
    return f"{number:,} {noun}{'s' * (number != 1)}" if noun else f"{number:,}"


def size(value: float) -> str:
    """Bytes as ``12 bytes``, ``1.4 MB`` (1,400,000) or ``357 kB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as ``340 ms``, ``4.2 s``, ``1 min 32 s``, ``2 h 30 min`` or ``3 days``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"
    return f"{hours / 24:,.0f} days"


def listed(words: list[str], most: int = 12, separator: str = "; ") -> str:
    """The first words, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + more
