"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from drillster_pipeline import __version__

from .figures import NAMES_SHOWN, Figures, Objective, week_before

_TEMPLATE = Path(__file__).with_name("page.html.j2")
SPARKLINES = 150
"""Rows with a small trend of their own; more would only slow down the page, whose tables have the numbers anyway."""


def render(figures: Figures, *, now: datetime) -> str:
    """The report as HTML."""
    from . import charts

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": _number, "percent": _percent, "change": _change, "day": _day, "moment": _moment}
    environment.filters["groupby_group"] = _by_group
    has_trend = len(figures.dates) > 1
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        figures=figures,
        version=__version__,
        written_at=now,
        before=week_before(figures),
        names_shown=NAMES_SHOWN,
        overdue=sorted(
            (one for one in figures.objectives if one.overdue), key=lambda one: (-one.overdue, one.group.casefold())
        ),
        spread_labels=SPREAD_LABELS,
        charts={
            "trend": charts.lines(
                figures.dates,
                [("objectives met", figures.compliance), ("average proficiency", figures.proficiency)],
                unit="%",
            )
            if has_trend
            else "",
            "activity": charts.lines(figures.dates, [("learners", figures.activity)], unit="") if has_trend else "",
            "spread": charts.bars(SPREAD_LABELS, figures.spread) if any(figures.spread) else "",
            "fading": charts.bars(
                [one.label.replace(" to ", "\N{EN DASH}") for one in figures.fading],
                [one.proficiency or 0 for one in figures.fading],
                unit="%",
            )
            if figures.fading
            else "",
        },
        sparkline=_Sparklines(charts.sparkline),
    )


def _by_group(objectives: Sequence[Objective]) -> list[list[Objective]]:
    """The objectives of each group together; two groups of one name stay apart."""
    found: dict[str, list[Objective]] = {}
    for objective in objectives:
        found.setdefault(objective.group_id, []).append(objective)
    return list(found.values())


class _Sparklines:
    """Draws the trend of a row, for as many rows as make sense."""

    def __init__(self, draw: Callable[[Sequence[float | None]], str]) -> None:
        self._draw = draw
        self._left = SPARKLINES

    def __call__(self, values: Sequence[float | None]) -> Markup:
        self._left -= 1
        return Markup(self._draw(values) if self._left >= 0 else "")  # noqa: S704 - drawn from numbers alone


SPREAD_LABELS = tuple(f"{low}-{low + 9 if low < 90 else 100}" for low in range(0, 100, 10))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} %"


def _change(values: Sequence[float | None], before: int | None) -> str:
    """The change in points since a week before, in words for eyes and ears alike."""
    if before is None or values[before] is None or values[-1] is None:
        return "-"
    points = round(float(values[-1])) - round(float(values[before] or 0))
    if not points:
        return "="
    return f"▲ {points}" if points > 0 else f"▼ {-points}"


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _moment(moment: Any) -> str:
    return "unknown" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
