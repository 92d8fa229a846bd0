"""(d) Peak memory over the number of result rows, for the complete way from archived pages to tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import peer
from .archives import results_of
from .comparison import OURS, Claim, Comparison, Measures, alternate
from .loading import load_peer, publish_ours
from .options import Options
from .places import sqlite
from .processes import isolated, peak_mib

ABOUT = """
Each load is a process of its own, and its peak is VmHWM: the interpreter and all libraries are in it. The processes
that dlt starts to normalize are not counted, nor is the database server.

![Peak memory over size](benchmarks/memory.svg)
"""
LARGEST, LARGEST_ROWS = 400.0, 2_000_000
"""MiB that the job may take up to so many result rows."""
GROWTH = 1.1
"""By how much memory may grow where the rows double."""


def measure(options: Options) -> list[Comparison]:
    """All sizes in one comparison: what matters is how little they differ."""
    contenders: dict[str, Callable[[], Measures]] = {}
    for rows in options.peaks:
        archive = options.archives.of(f"results-{rows}", results_of(rows))

        def run(function: Any, place: Any, *more: Any, archive: Path = archive, rows: int = rows) -> Any:
            def peak() -> Measures:
                with place() as url:
                    return {**isolated(function, archive, url, *more), "result_rows": rows}

            return peak

        database = options.postgresql.database
        contenders |= {
            named(f"{OURS}, PostgreSQL", rows): run(peak_of_ours, database),
            named(f"{OURS}, SQLite", rows): run(peak_of_ours, sqlite),
            named("dlt rows, PostgreSQL", rows): run(peak_of_peer, database, False),
            named("dlt Arrow, PostgreSQL", rows): run(peak_of_peer, database, True),
        }
    return [
        alternate(
            "Peak memory",
            contenders,
            rounds=1,
            reference=named(f"{OURS}, PostgreSQL", options.peaks[0]),
            claims=_claims(options.peaks),
            say=options.say,
        )
    ]


def named(what: str, rows: int) -> str:
    """A contender at a size."""
    return f"{what} · {rows:,} rows"


def _claims(sizes: tuple[int, ...]) -> list[Claim]:
    claims = []
    for database in ("PostgreSQL", "SQLite"):
        smaller, larger = (named(f"{OURS}, {database}", rows) for rows in sizes[-2:])
        claims.append(
            Claim(
                what=f"our peak at {sizes[-2]:,} result rows, MiB, {database}",
                contender=smaller,
                measure="peak_mib",
                at_most=LARGEST if sizes[-2] <= LARGEST_ROWS else None,
            )
        )
        claims.append(
            Claim(
                what=f"our peak at {sizes[-1]:,} result rows over that at {sizes[-2]:,}, {database}",
                contender=larger,
                over=smaller,
                measure="peak_mib",
                at_most=GROWTH,
            )
        )
    return claims


def peak_of_ours(archive: Path, url: str) -> Measures:
    """Normalize, stage, judge and publish."""
    return {**publish_ours(archive, url), "peak_mib": peak_mib()}


def peak_of_peer(archive: Path, url: str, arrow: bool) -> Measures:
    """Extract from the archive, normalize and load."""
    return {**load_peer(archive, url, peer.WORTH_PROCESSES, arrow), "peak_mib": peak_mib()}
