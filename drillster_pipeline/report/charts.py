"""The charts of the report, as SVG that stands in the page itself: text stays text, nothing is fetched."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, FAINT, BLUE, ORANGE = "#1c2430", "#d5dae1", "#1f5fa8", "#b4530a"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "drillster-pipeline",  # the same numbers give the same page
    "font.family": "sans-serif",
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}
_WORDS_ABOVE = 12


def lines(dates: Sequence[date], series: Sequence[tuple[str, Sequence[float | None]]], *, unit: str) -> str:
    """One or two lines over the dates, from 0 to 100 where the unit is ``%``, each named at its end."""
    with _axes(6.4, 2.7) as (figure, axes):
        places = [day.toordinal() for day in dates]
        for (name, values), colour, style in zip(series, (BLUE, ORANGE), ("-", "--"), strict=False):
            numbers = [float("nan") if value is None else value for value in values]
            axes.plot(places, numbers, style, color=colour, linewidth=2, marker="o", markersize=4, label=name)
            if values[-1] is not None:
                told = f"{values[-1]:.0f}{unit}"
                axes.annotate(
                    told, (places[-1], values[-1]), (7, -3), textcoords="offset points", color=colour, weight="bold"
                )
        if unit:
            axes.set_ylim(0, 100)
        else:
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        shown = sorted({0, len(dates) // 2, len(dates) - 1})
        axes.set_xticks([places[one] for one in shown], [f"{dates[one].day} {dates[one]:%b}" for one in shown])
        axes.margins(x=0.09)
        axes.grid(axis="y", color=FAINT)
        if len(series) > 1:
            axes.legend(frameon=False, loc="lower left", ncols=len(series))
        return _svg(figure)


def bars(labels: Sequence[str], values: Sequence[float], *, unit: str = "") -> str:
    """Upright bars with their numbers above."""
    with _axes(6.4, 2.7) as (figure, axes):
        drawn = axes.bar(range(len(values)), values, color=BLUE, width=0.72)
        if len(values) <= _WORDS_ABOVE:
            axes.bar_label(drawn, [f"{value:,.0f}{unit}" for value in values], padding=2, fontsize=9.5)
        axes.set_xticks(range(len(labels)), labels)
        axes.tick_params(axis="x", length=0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.margins(y=0.15)
        return _svg(figure)


def sparkline(values: Sequence[float | None]) -> str:
    """A small line without words, from 0 to 100; empty where there is nothing to compare."""
    if sum(value is not None for value in values) < 2:
        return ""
    with _axes(1.05, 0.26) as (figure, axes):
        axes.axis("off")
        axes.set_ylim(-4, 104)
        axes.margins(x=0.06)
        numbers = [float("nan") if value is None else value for value in values]
        axes.plot(numbers, color=BLUE, linewidth=1.6)
        axes.plot(len(numbers) - 1, numbers[-1], "o", color=BLUE, markersize=3.2)
        figure.subplots_adjust(0, 0, 1, 1)
        return _svg(figure, tight=False)


@contextmanager
def _axes(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        yield figure, figure.subplots()


def _svg(figure: Figure, *, tight: bool = True) -> str:
    """The drawing without what belongs to a file of its own. It is hidden from readers: a table says the same."""
    written = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(
        written, format="svg", metadata=metadata, bbox_inches="tight" if tight else None, transparent=not tight
    )
    drawing = written.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    return drawing.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
