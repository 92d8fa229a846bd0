"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

import jinja2
from markupsafe import Markup

from drillster_pipeline import __version__
from drillster_pipeline.language import Language

from . import charts
from .figures import Figures, by_group

_TEMPLATE = Path(__file__).with_name("page.html.j2")
SPREAD_LABELS = tuple(f"{low}-{low + 9 if low < 90 else 100}" for low in range(0, 100, 10))
SPARKLINES = 150
"""Rows with a small trend of their own; more would only slow down the page, whose tables have the numbers anyway."""


def render(figures: Figures, language: Language, *, now: datetime) -> str:
    """The report as HTML."""
    environment = environment_of(language)
    environment.filters["change"] = partial(_change, language)
    left = iter(range(SPARKLINES))
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        figures=figures,
        language=language.code,
        by_group=by_group(figures.objectives),
        version=__version__,
        written_at=now,
        before=figures.week_before,
        overdue=sorted((one for one in figures.objectives if one.overdue), key=lambda one: -one.overdue),
        spread_labels=SPREAD_LABELS,
        charts=_charts(figures, language),
        sparkline=lambda values: charts.sparkline(values) if next(left, None) is not None else "",
    )


def environment_of(language: Language) -> jinja2.Environment:
    """Of templates in a language, with filters for its dates and numbers."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(language.catalog, newstyle=True)  # type: ignore[attr-defined]  # i18n adds it
    formats = ("number", "percent", "numeric_day", "day", "moment", "translated")
    environment.filters |= {name: getattr(language, name) for name in formats}
    return environment


def _charts(figures: Figures, language: Language) -> dict[str, Markup]:
    """The charts by name; one that would show nothing is left out."""
    found = {}
    if len(figures.dates) > 1:
        series = [
            (language.translated("objectives met"), figures.compliance),
            (language.translated("average proficiency"), figures.proficiency),
        ]
        found["trend"] = charts.lines(figures.dates, series, language, unit="%")
        found["activity"] = charts.lines(figures.dates, [("", figures.activity)], language)
    if any(figures.spread):
        found["spread"] = charts.bars(SPREAD_LABELS, figures.spread, language)
    if figures.fading:
        labels = [language.translated(words) for words, *_ in figures.fading]
        found["fading"] = charts.bars(labels, [average or 0 for _, _, average, _ in figures.fading], language, unit="%")
    return found


def _change(language: Language, values: tuple[float | None, ...], before: int | None) -> str:
    """The change in points since a week before, in words for eyes and ears alike."""
    if before is None or values[before] is None or values[-1] is None:
        return "-"
    points = round(float(values[-1])) - round(float(values[before] or 0))
    if not points:
        return "="
    return f"{'▲' if points > 0 else '▼'}\N{NO-BREAK SPACE}{language.number(abs(points))}"
