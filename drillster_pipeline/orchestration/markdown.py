"""Small tables and pictures in Markdown, as Dagster's UI shows them.

The UI shows a Markdown entry in place when it is shorter than 1,000 characters, and behind a button when it is longer:
what stands here is kept so short.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import dagster as dg

SHOWN_IN_PLACE = 999
MAY_BREAK = "\u200b"
"""A place where a word may be broken: the column of values is narrow."""
_CELL, _WORD = 28, 12
"""Characters of a cell, and of a word that need not be broken."""
_BLANKS = re.compile(r"[ \t\r\n]+")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&])")
_EIGHTHS = "▏▎▍▌▋▊▉█"
_WIDTH, _HEIGHT, _BASE = 300, 74, 58
_COLOUR, _WORDS = "#4f7fc4", "#888"
"""Both can be read on the UI's light and on its dark ground."""


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, left: int = 1) -> dg.MarkdownMetadataValue:
    """A table whose first ``left`` columns hold words; rows at its end are left out where it would get too long."""
    lines = [
        _line(headings),
        "|" + "|".join("---" if place < left else "--:" for place in range(len(headings))) + "|",
        *(_line([cell(value) for value in row]) for row in rows),
    ]
    while len(lines) > 3 and sum(len(line) + 1 for line in lines) > SHOWN_IN_PLACE:
        lines.pop()
    return dg.MetadataValue.md("\n".join(lines))


def cell(value: Any) -> str:
    """A value as the text of a cell: short, on one line, and nothing in it is Markdown."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    text = _BLANKS.sub(" ", str(value))
    text = text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
    shown = _SPECIAL.sub(r"\\\1", text)
    return shown.replace("_", f"_{MAY_BREAK}") if len(text) > _WORD else shown


def bar(value: float, most: float, *, width: int = 8) -> str:
    """A bar of block characters; what is there at all is seen."""
    eighths = round(value / most * width * 8) if most else 0
    if value and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def columns_picture(
    values: Sequence[float | None], *, most: float, first: str, last: str, told: str
) -> dg.MarkdownMetadataValue:
    """Upright bars as a picture, with a word below the first and the last; ``told`` says it to who cannot see it."""
    step = _WIDTH // max(len(values), 1)
    paths = []
    for place, value in enumerate(values):
        height = round((value or 0) / most * (_BASE - 4)) if most else 0
        if value:
            paths.append(f"M{place * step} {_BASE}v-{max(height, 1)}h{step - 3}V{_BASE}")
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}">'
        f'<path d="{"".join(paths)}" fill="{_COLOUR}"/><path d="M0 {_BASE}h{_WIDTH}" stroke="{_WORDS}"/>'
        f'<g font-family="sans-serif" font-size="12" fill="{_WORDS}"><text y="72">{first}</text>'
        f'<text x="{len(values) * step - 3}" y="72" text-anchor="end">{last}</text></g></svg>'
    )
    return dg.MetadataValue.md(f"![{told}](data:image/svg+xml;base64,{b64encode(drawing.encode()).decode()})")


def _line(cells: Sequence[str]) -> str:
    return f"|{'|'.join(cells)}|"
