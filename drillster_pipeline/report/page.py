"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from drillster_pipeline import __version__

from . import charts
from .figures import Figures, by_group

_TEMPLATE = Path(__file__).with_name("page.html.j2")
SPREAD_LABELS = tuple(f"{low}-{low + 9 if low < 90 else 100}" for low in range(0, 100, 10))
SPARKLINES = 150
"""Rows with a small trend of their own; more would only slow down the page, whose tables have the numbers anyway."""


def render(figures: Figures, *, now: datetime) -> str:
    """The report as HTML."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": _number, "percent": _percent, "change": _change, "day": _day, "moment": _moment}
    left = iter(range(SPARKLINES))
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        figures=figures,
        by_group=by_group(figures.objectives),
        version=__version__,
        written_at=now,
        before=figures.week_before,
        overdue=sorted((one for one in figures.objectives if one.overdue), key=lambda one: -one.overdue),
        spread_labels=SPREAD_LABELS,
        charts=_charts(figures),
        sparkline=lambda values: charts.sparkline(values) if next(left, None) is not None else "",
    )


def _charts(figures: Figures) -> dict[str, Markup]:
    """The charts by name; one that would show nothing is left out."""
    found = {}
    if len(figures.dates) > 1:
        series = [("objectives met", figures.compliance), ("average proficiency", figures.proficiency)]
        found["trend"] = charts.lines(figures.dates, series, unit="%")
        found["activity"] = charts.lines(figures.dates, [("learners", figures.activity)], unit="")
    if any(figures.spread):
        found["spread"] = charts.bars(SPREAD_LABELS, figures.spread)
    if figures.fading:
        labels = [words.replace(" to ", "\N{EN DASH}") for words, *_ in figures.fading]
        found["fading"] = charts.bars(labels, [average or 0 for _, _, average, _ in figures.fading], unit="%")
    return found


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} %"


def _change(values: tuple[float | None, ...], before: int | None) -> str:
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
