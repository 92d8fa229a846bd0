"""From what was measured to docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .comparison import Claim, Comparison, Spread
from .machine import LOAD

MEASURES = {
    "seconds": "seconds",
    "cpu_seconds": "CPU seconds",
    "server_cpu_seconds": "CPU seconds of the server",
    "seconds_to_first_request": "seconds to the first request",
    "cpu_ms_per_request": "CPU ms per request",
    "entity_rows_written": "entity rows written",
    "wal_mib": "MiB of write-ahead log",
    "peak_mib": "peak MiB",
    "page_mib": "MiB of the page",
    "rows": "rows in the tables",
}
_RATIOS = ("seconds", "cpu_seconds")
_INTRODUCTION = """\
# Benchmarks

<!-- Written by `make benchmark`. Do not edit: the prose is in `benchmarks/`. -->

`make benchmark` measures all of this on your machine (about a quarter of an hour; `make benchmark FULL=1` goes
up to 4 million result rows). dlt is installed for that alone, into `.venv-benchmark`. **Read ratios, not seconds.**
All contenders of a comparison take turns within one run, each round begins with another one, and a ratio is taken
within a round; what is shown is the median, and in brackets the least and the most. CPU seconds are those of the
client's processes; those of the database server, where there is one, are shown apart. They vary far less than seconds
do on a machine that is busy.
"""
_FAIRNESS = """\
## What is compared with what

**dlt does** what its documentation advises for speed: pages rather than rows are yielded, `orjson` parses,
resources are `parallelized` with 16 workers and enough waiting items to keep them busy, and the pool is polled
every millisecond instead of every ten; columns are declared, so that no type is guessed; buffers hold 20,000 items,
files are cut at 100,000 so that a process per core can normalize them (one process where there are fewer rows:
starting more costs more than it saves); load files are not compressed; `fork` starts its processes. Load files are
CSV, brought in by COPY, for rows on PostgreSQL; Parquet, brought in by ADBC, for Arrow tables there; and Parquet on
SQLite, where the `sqlalchemy` destination inserts it, one load at a time, as SQLite has one writer. Each was the
fastest of the formats that dlt has there. Entities and events are merged by key (`upsert` on PostgreSQL,
`delete-insert` on SQLite), snapshots by date (`delete-insert` on `export_date`), so that a date can be repeated.

**In dlt's favour:** its rows are made by a few functions that read the one form in which the sandbox answers,
reject nothing, detect no unknown fields and hash nothing; two columns that need a second answer
(`catalogs.playable_count`, the norm of an evaluation) are left out, as are accounts that only groups know. It is
given an access token and never renews one. *dlt, Arrow* is dlt with Arrow tables that we make from the pages,
column by column, so that its own row-by-row normalization falls away: the best that an expert gets out of it.

**Only this program** keeps every answer as it came, synced to disk, checks that lists are complete, checks each
value against the contract, rejects what is not valid, checks keys and references, refuses a mass deletion, marks
what is deleted, publishes all tables in one transaction, and builds its tables with keys, comments and views. dlt
keeps its extracted files for as long as the load lasts, loads each table in a transaction of its own, and deletes
nothing that no longer exists. **Only dlt** infers schemas, evolves them by itself, and loads into many other
destinations.

**Left out:** networks (everything is on one machine, so latency to the database, where COPY gains most, is nil);
TLS; other dialects; dlt's `rest_api` configuration, which is built on the client that is measured; Dagster, but for
the start-up, on our side. PostgreSQL runs with the settings that it comes with, `fsync` included.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one benchmark measured, when, and on what machine."""

    title: str
    about: str
    machine: Mapping[str, str]
    comparisons: Sequence[Comparison]


def document(sections: Sequence[Section]) -> str:
    """The complete document."""
    machines = list(dict.fromkeys(tuple(_alike(section.machine).items()) for section in sections))
    parts = [
        _INTRODUCTION,
        "## The machine\n",
        *(_machine(dict(machine), [each.machine for each in sections]) for machine in machines),
        "## In short\n",
        "![Ratios to dlt](benchmarks/ratios.svg)\n",
        _summary(sections),
        _where_the_peer_is_ahead(sections),
        _FAIRNESS,
    ]
    for section in sections:
        parts += [f"## {section.title}\n", section.about.strip() + "\n"]
        parts += [f"**{one.title}**\n\n{_table(one)}" for one in section.comparisons]
    return "\n".join(parts)


def _alike(machine: Mapping[str, str]) -> dict[str, str]:
    """What is the same for all that was measured on a machine."""
    return {name: value for name, value in machine.items() if name != LOAD}


def _machine(machine: Mapping[str, str], measured: Sequence[Mapping[str, str]]) -> str:
    loads = sorted({float(each[LOAD]) for each in measured if LOAD in each and _alike(each) == machine})
    lines = dict(machine)
    if loads:
        lines[LOAD] = f"{loads[0]} to {loads[-1]} (of more than the cores, seconds would not be to be trusted)"
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in lines.items())


def _summary(sections: Sequence[Section]) -> str:
    lines = ["| what | measured | aim | |", "|---|---|---|---|"]
    for _, claim, found in claims_of(sections):
        holds = claim.holds(found.median)
        mark = "" if holds is None else "reached" if holds else "**missed**"
        lines.append(
            f"| {described(claim)} | {_spread(found, times=claim.over is not None)} | {_aim(claim)} | {mark} |"
        )
    return "\n".join(lines) + "\n"


def claims_of(sections: Sequence[Section]) -> list[tuple[Section, Claim, Spread]]:
    """All claims for which something was measured."""
    return [
        (section, claim, found)
        for section in sections
        for one in section.comparisons
        for claim in one.claims
        if (found := one.of(claim)) is not None
    ]


def of_the_peer(claim: Claim) -> bool:
    """Whether a claim is a ratio of dlt to this program."""
    return claim.over is not None and claim.contender.startswith("dlt")


def described(claim: Claim) -> str:
    """What a claim is about, in words."""
    return f"{claim.what}: {MEASURES[claim.measure]}, times ours" if of_the_peer(claim) else claim.what


def _aim(claim: Claim) -> str:
    if claim.at_most is not None:
        return f"at most {_number(claim.at_most)}"
    return "" if claim.at_least is None else f"at least {_number(claim.at_least)}"


def _where_the_peer_is_ahead(sections: Sequence[Section]) -> str:
    ahead = [
        f"- {described(claim)}: {_spread(found, times=True)}"
        for _, claim, found in claims_of(sections)
        if of_the_peer(claim) and found.median < 1
    ]
    listed = "\n".join(ahead) if ahead else "Nowhere in this run."
    return f"### Where dlt is ahead\n\n{listed}\n"


def _table(comparison: Comparison) -> str:
    measures = [
        name for name in MEASURES if any(name in one for rounds in comparison.rounds.values() for one in rounds)
    ]
    head = ["contender"]
    for name in measures:
        head += [MEASURES[name], "times"] if name in _RATIOS else [MEASURES[name]]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for contender in comparison.rounds:
        cells = [contender]
        for name in measures:
            cells.append(_spread(comparison.spread(contender, name)))
            if name in _RATIOS:
                same = contender == comparison.reference
                cells.append("1" if same else _spread(comparison.ratio(contender, name), times=True))
        lines.append(f"| {' | '.join(cells)} |")
    rounds = max(len(rounds) for rounds in comparison.rounds.values())
    said = "One round." if rounds == 1 else f"{rounds} rounds."
    return "\n".join(lines) + f"\n\n{said} *times*: of {comparison.reference}.\n"


def _spread(spread: Spread | None, *, times: bool = False) -> str:
    if spread is None:
        return ""
    unit = " \N{MULTIPLICATION SIGN}" if times else ""
    if spread.least == spread.most:
        return f"{_number(spread.median)}{unit}"
    return f"{_number(spread.median)}{unit} ({_number(spread.least)}\N{EN DASH}{_number(spread.most)})"


def _number(value: float) -> str:
    if value == int(value) and abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def as_json(section: Section) -> dict[str, Any]:
    """The form of a section in the file of results."""
    return {
        "title": section.title,
        "about": section.about,
        "machine": dict(section.machine),
        "comparisons": [one.as_json() for one in section.comparisons],
    }


def from_json(content: Mapping[str, Any]) -> Section:
    """The inverse of :func:`as_json`."""
    comparisons = [Comparison.from_json(one) for one in content["comparisons"]]
    return Section(title=content["title"], about=content["about"], machine=content["machine"], comparisons=comparisons)
