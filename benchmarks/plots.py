"""Two pictures: how many times as long dlt takes, and memory over size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from .comparison import Comparison
from .report import Section, claims_of, of_the_peer

_INK, _QUIET, _GRID = "#22303c", "#6b7a88", "#e3e8ec"
_COLOURS = {"seconds": "#1f77a4", "cpu_seconds": "#e08e45"}
_LINES = ("#1f77a4", "#63b0d3", "#e08e45", "#b5562b")


def _styled() -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(
        {
            "svg.hashsalt": "benchmarks",  # the same picture gives the same file
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 9,
            "text.color": _INK,
            "axes.labelcolor": _QUIET,
            "axes.edgecolor": _GRID,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "xtick.color": _QUIET,
            "ytick.color": _INK,
            "ytick.major.size": 0,
        }
    )


def ratios(sections: Sequence[Section], file: Path) -> None:
    """Bars: dlt over this program, in seconds and in CPU seconds, with the spread over the rounds."""
    _styled()
    from matplotlib import pyplot as plt

    found: dict[str, dict[str, tuple[float, float, float]]] = defaultdict(dict)
    for _, claim, spread in claims_of(sections):
        if of_the_peer(claim) and claim.measure in _COLOURS:
            found[claim.what][claim.measure] = (spread.median, spread.least, spread.most)
    if not found:
        return
    names = list(found)[::-1]
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.5 * len(names)), layout="constrained")
    axes.axvline(1, color=_INK, linewidth=1, zorder=3)
    for measure, shift, label in (("seconds", 0.19, "seconds"), ("cpu_seconds", -0.19, "CPU seconds of the client")):
        there = [(place, found[name][measure]) for place, name in enumerate(names) if measure in found[name]]
        places = [place + shift for place, _ in there]
        medians = [median for _, (median, _, _) in there]
        spread = [
            [median - least for _, (median, least, _) in there],
            [most - median for _, (median, _, most) in there],
        ]
        axes.barh(places, medians, height=0.34, color=_COLOURS[measure], label=label, zorder=2)
        axes.errorbar(medians, places, xerr=spread, fmt="none", ecolor=_INK, elinewidth=0.9, capsize=2, zorder=4)
        for place, (median, _, most) in there:
            axes.text(most * 1.06, place + shift, f"{median:.1f}", va="center", fontsize=8, color=_QUIET)
    axes.set_xscale("log")
    highest = max(most for row in found.values() for _, _, most in row.values())
    axes.set_xlim(0.3, highest * 1.6)
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if tick < highest * 1.6]
    axes.set_xticks(ticks, [f"{tick:g}\N{MULTIPLICATION SIGN}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", color=_GRID, linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_title("How many times as long dlt takes (more than 1: this program is ahead)", loc="left", fontsize=10)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.06), ncols=2, frameon=False)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def memory(comparison: Comparison, file: Path) -> None:
    """Lines: peak memory over the number of result rows."""
    _styled()
    from matplotlib import pyplot as plt

    lines: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for contender, rounds in comparison.rounds.items():
        lines[contender.partition(" · ")[0]].append((rounds[0]["result_rows"], rounds[0]["peak_mib"]))
    figure, axes = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    for (name, points), colour in zip(lines.items(), _LINES, strict=False):
        rows, peaks = zip(*sorted(points), strict=True)
        axes.plot(rows, peaks, color=colour, marker="o", markersize=4, linewidth=1.8, label=name)
        axes.annotate(
            name,
            (rows[-1], peaks[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
        )
    axes.axhline(400, color=_QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_ylim(0)
    axes.set_xticks(rows, [f"{each:,.0f}" for each in rows])
    axes.set_xlim(min(rows) * 0.9, max(rows) * 1.35)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_xlabel("result rows")
    axes.set_title("Peak memory of a load, MiB (dashed: what it may take)", loc="left", fontsize=10)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
