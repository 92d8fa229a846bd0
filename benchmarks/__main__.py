"""Run the benchmarks and write docs/benchmarks.md: ``python -m benchmarks [--full] [--only capture,run]``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import complete_run, fetching, loading, machine, memory, plots, reporting, second_run, starting
from .archives import Archives
from .comparison import Comparison
from .options import Options
from .places import postgresql
from .report import Section, as_json, document, from_json

DOCS = Path(__file__).parents[1] / "docs"
BENCHMARKS: dict[str, tuple[str, str, Callable[[Options], list[Comparison]]]] = {
    "run": ("A complete run", complete_run.ABOUT, complete_run.measure),
    "capture": ("Capture", fetching.ABOUT, fetching.measure),
    "load": ("Normalize and load", loading.ABOUT, loading.measure),
    "second": ("A second run", second_run.ABOUT, second_run.measure),
    "memory": ("Peak memory over size", memory.ABOUT, memory.measure),
    "start": ("Start-up", starting.ABOUT, starting.measure),
    "report": ("The nightly report", reporting.ABOUT, reporting.measure),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="up to 4 million result rows; takes more than an hour")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help=f"some of {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=_numbers, help="result rows to load")
    parser.add_argument("--peaks", type=_numbers, help="result rows of which the peak memory is measured")
    parser.add_argument("--accounts", type=int, help="accounts of the second run")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(BENCHMARKS):
        sys.exit(f"There is no benchmark {', '.join(unknown)}: choose of {', '.join(BENCHMARKS)}")
    results = DOCS / "benchmarks" / "results.json"
    results.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, postgresql() as server:
        shared = Options(
            rounds=options.rounds,
            sizes=options.sizes or ((20_000, 200_000, 2_000_000) if options.full else (20_000, 200_000)),
            peaks=options.peaks or ((200_000, 2_000_000, 4_000_000) if options.full else (50_000, 100_000, 200_000)),
            accounts=options.accounts or (200_000 if options.full else 20_000),
            archives=Archives(Path(folder)),
            postgresql=server,
            say=lambda text: print(text, flush=True),
        )
        for name in names:
            title, about, measure = BENCHMARKS[name]
            print(f"{title} …", flush=True)
            described, started = machine.described(server.version()), time.monotonic()
            section = Section(title=title, about=about, machine=described, comparisons=measure(shared))
            print(f"{title}: {time.monotonic() - started:.0f} seconds", flush=True)
            keep(results, name, section)
    print(write(results))


def keep(results: Path, name: str, section: Section) -> None:
    """Put what was measured beside what was measured before."""
    known = json.loads(results.read_text()) if results.exists() else {}
    _store(results, {**known, name: as_json(section)})


def _store(results: Path, known: dict[str, Any]) -> None:
    results.write_text(json.dumps({name: known[name] for name in BENCHMARKS if name in known}, indent=1) + "\n")


def write(results: Path) -> str:
    """Write the document and its pictures from the results, with the prose of today; returns the document."""
    sections = {
        name: replace(from_json(content), title=BENCHMARKS[name][0], about=BENCHMARKS[name][1])
        for name, content in json.loads(results.read_text()).items()
    }
    _store(results, {name: as_json(section) for name, section in sections.items()})
    plots.ratios(list(sections.values()), results.with_name("ratios.svg"))
    if "memory" in sections:
        plots.memory(sections["memory"].comparisons[0], results.with_name("memory.svg"))
    text = document(list(sections.values()))
    (DOCS / "benchmarks.md").write_text(text)
    return text


def _numbers(text: str) -> Sequence[int]:
    return tuple(int(number.replace("_", "")) for number in text.split(","))


if __name__ == "__main__":
    main()
