"""Charts as SVG: those of the report stand in the page itself, those of the Dagster UI in a ``data:`` address.

Nothing is fetched, text stays text, and the same numbers give the same drawing. A chart is hidden from screen readers
in the page: a table beside it has the same numbers.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import count

from markupsafe import Markup

from drillster_pipeline.language import Language

INK, FAINT, BLUE, ORANGE = "#1c2430", "#d5dae1", "#1f5fa8", "#b4530a"
_WIDTH, _HEIGHT = 640, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 570, 34, 236
"""The edges of the area that lines are drawn in."""
_LABELS_ABOVE = 12
_UI_WIDTH, _UI_BASE, _UI_COLOUR, _UI_INK = 300, 58, "#4f7fc4", "#888"
"""Both colours can be read on the light and on the dark ground of the Dagster UI."""

Values = Sequence[float | None]


def lines(dates: Sequence[date], series: Sequence[tuple[str, Values]], language: Language, *, unit: str = "") -> Markup:
    """One or two lines over the dates, from 0 to 100 where the unit is ``%``, with the newest value at their end."""
    step = 25 if unit else _round_step(max((value or 0 for _, values in series for value in values), default=0) / 4)
    places = [_scaled(day.toordinal(), dates[0].toordinal(), dates[-1].toordinal(), _LEFT, _RIGHT) for day in dates]
    drawn = []
    for tick in range(5):
        y = _height(tick * step, 4 * step)
        drawn.append(f'<path d="M{_LEFT} {y}H{_RIGHT}" stroke="{FAINT}"/>')
        drawn.append(_text(_LEFT - 8, y + 4, language.number(tick * step), "end"))
    drawn += [
        _text(places[place], _BOTTOM + 20, language.short_day(dates[place]), "middle")
        for place in sorted({0, len(dates) // 2, len(dates) - 1})
    ]
    for number, (name, values) in enumerate(series):
        colour, dashes = ((BLUE, ""), (ORANGE, ' stroke-dasharray="7 4"'))[number]
        heights = [None if value is None else _height(value, 4 * step) for value in values]
        drawn.append(
            f'<g fill="{colour}"><path d="{_path(places, heights)}" fill="none" stroke="{colour}"'
            f' stroke-width="2"{dashes}/>{"".join(_dots(places, heights, 3))}'
        )
        if values[-1] is not None and heights[-1] is not None:
            drawn.append(_text(_RIGHT + 9, heights[-1] + 4, f"{language.number(values[-1])}{unit}", "start", bold=True))
        if len(series) > 1:
            x = _LEFT + number * 190
            drawn.append(f'<path d="M{x} 14h26" stroke="{colour}" stroke-width="2"{dashes}/>')
            drawn.append(_text(x + 33, 18, name, "start"))
        drawn.append("</g>")
    return _svg(_WIDTH, _HEIGHT, "".join(drawn))


def bars(labels: Sequence[str], values: Sequence[float], language: Language, *, unit: str = "") -> Markup:
    """Upright bars, with their numbers above if there is room."""
    step, most = _WIDTH / len(values), max(values) or 1
    drawn = [f'<path d="M0 {_BOTTOM}H{_WIDTH}" stroke="{INK}"/>']
    for place, (label, value) in enumerate(zip(labels, values, strict=True)):
        x, y = place * step, _height(value, most)
        drawn.append(f'<path d="M{x + step * 0.14:.1f} {_BOTTOM}V{y}h{step * 0.72:.1f}V{_BOTTOM}" fill="{BLUE}"/>')
        drawn.append(_text(x + step / 2, _BOTTOM + 20, label, "middle"))
        if len(values) <= _LABELS_ABOVE:
            drawn.append(_text(x + step / 2, y - 6, f"{language.number(value)}{unit}", "middle"))
    return _svg(_WIDTH, _HEIGHT, "".join(drawn))


def sparkline(values: Values) -> Markup:
    """A small line without words, from 0 to 100; empty where there is nothing to compare."""
    if sum(value is not None for value in values) < 2:
        return Markup()
    places = [_scaled(place, 0, len(values) - 1, 4, 96) for place in range(len(values))]
    heights = [None if value is None else _scaled(value, 0, 100, 23, 2) for value in values]
    last = "".join(_dots(places[-1:], heights[-1:], 3))
    return _svg(100, 25, f'<g fill="{BLUE}"><path d="{_path(places, heights)}" fill="none" stroke="{BLUE}"/>{last}</g>')


def picture(values: Values, *, most: float, first: str, last: str, words: str) -> str:
    """Upright bars as Markdown for the Dagster UI, which shows it in place up to 1,000 characters.

    ``first`` and ``last`` stand below the ends; ``words`` say the same to who cannot see it.
    """
    step = _UI_WIDTH // max(len(values), 1)
    columns = "".join(
        f"M{place * step} {_UI_BASE}v-{max(round(value / most * (_UI_BASE - 4)), 1)}h{step - 3}V{_UI_BASE}"
        for place, value in enumerate(values)
        if value and most
    )
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_UI_WIDTH}" height="74">'
        f'<path d="{columns}" fill="{_UI_COLOUR}"/><path d="M0 {_UI_BASE}h{_UI_WIDTH}" stroke="{_UI_INK}"/>'
        f'<g font-family="sans-serif" font-size="12" fill="{_UI_INK}"><text y="72">{first}</text>'
        f'<text x="{len(values) * step - 3}" y="72" text-anchor="end">{last}</text></g></svg>'
    )
    return f"![{words}](data:image/svg+xml;base64,{b64encode(drawing.encode()).decode()})"


def _scaled(value: float, low: float, high: float, start: float, end: float) -> float:
    """Where a value lies between ``start`` and ``end``."""
    return round(start + (end - start) * (value - low) / (high - low), 1) if high > low else end


def _height(value: float, most: float) -> float:
    return _scaled(value, 0, most, _BOTTOM, _TOP)


def _round_step(least: float) -> int:
    """The next one of 1, 2, 5, 10, 20, 50 and so on."""
    steps = (int(digit * 10**zeros) for zeros in count() for digit in (1, 2, 5))
    return next(step for step in steps if step >= least)


def _path(places: Sequence[float], heights: Values) -> str:
    """A line through the points that are there; it is interrupted where one is not."""
    command, path = "M", ""
    for x, y in zip(places, heights, strict=True):
        path += "" if y is None else f"{command}{x} {y}"
        command = "M" if y is None else "L"
    return path


def _dots(places: Sequence[float], heights: Values, radius: int) -> Iterator[str]:
    for x, y in zip(places, heights, strict=True):
        if y is not None:
            yield f'<circle cx="{x}" cy="{y}" r="{radius}"/>'


def _text(x: float, y: float, words: str, anchor: str, *, bold: bool = False) -> str:
    style = ' font-weight="bold"' if bold else f' fill="{INK}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{words}</text>'


def _svg(width: int, height: int, content: str) -> Markup:
    return Markup(  # noqa: S704 - made of numbers and of words of this program
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false"'
        f' font-family="sans-serif" font-size="13">{content}</svg>'
    )
