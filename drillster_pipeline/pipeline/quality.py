"""What the warehouse says after a publish, for the checks and for the pages of assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from drillster_pipeline.response_shapes import shown_id
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import LoadType, TableLoad, reads

from .context import PipelineContext

if TYPE_CHECKING:
    from .publish import PublishOutcome

COUNTED_BY: Mapping[str, str] = {
    "group_members": "groups",
    "group_playables": "groups",
    "catalog_playables": "catalogs",
}
"""Tables of which Drillster counts the rows per group or catalog, and the table that has these counts."""
DATES_SHOWN, ROWS_SHOWN, _DIFFERENCES_SHOWN = 7, 2, 3


class Comparison(NamedTuple):
    """Rows against what Drillster counts: in words, and as numbers where there is one count for the table."""

    agrees: bool
    words: str
    rows: int | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePreview:
    """What a load did to a table, and a few of its rows; nothing of it is personal."""

    last_loads: Sequence[TableLoad]
    """What the loads of the last dates did to it, this one first."""
    rows: Sequence[Sequence[Any]]
    """In the columns that ``reads.preview_columns`` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadQuality:
    """Of the tables of one load."""

    comparisons: Mapping[str, Comparison]
    """For each table of which Drillster has a count of its own."""
    reject_reasons: Mapping[str, list[tuple[str, int]]]
    """Why rows were rejected, and how many for each reason, the most frequent first."""
    previews: Mapping[str, TablePreview]
    proficiencies: Mapping[int, int] = field(default_factory=dict)
    """How many results of the date have each proficiency."""
    evaluated: int = 0
    met: int = 0
    """Evaluations of objectives, and how many of them are met."""


def load_quality(context: PipelineContext, outcome: PublishOutcome) -> LoadQuality:
    """Ask the warehouse about a load that was just published."""
    day, names = outcome.export_date, outcome.plans
    newest = context.warehouse.ledger.last_date_before(outcome.kind, date.max) or day
    counted = [name for name in names if DATA_TABLES[name].counts and outcome.kind == "snapshot"]
    comparisons = {name: _compared(context, outcome, name, newest) for name in counted}
    last_loads = context.warehouse.ledger.table_loads(outcome.kind, day, DATES_SHOWN)
    with context.warehouse.reading() as (connection, table):
        evaluated, met = 0, 0
        if "objective_evaluations" in names:
            evaluated, met = reads.evaluations(connection, table, day)
        return LoadQuality(
            comparisons=comparisons,
            reject_reasons=context.warehouse.ledger.reject_reasons(outcome.report.load_id),
            previews={
                name: TablePreview(
                    last_loads=last_loads.get(name, []),
                    rows=reads.preview_rows(connection, table, DATA_TABLES[name], day, limit=ROWS_SHOWN),
                )
                for name in names
            },
            proficiencies=reads.proficiencies(connection, table, day) if "results" in names else {},
            evaluated=evaluated,
            met=met,
        )


def _compared(context: PipelineContext, outcome: PublishOutcome, name: str, newest: date) -> Comparison:
    if why := _why_not_compared(outcome, name, newest):
        return Comparison(agrees=True, words=f"Not compared: {why}")
    agree = "There are as many rows as Drillster itself counts"
    with context.warehouse.reading() as (connection, table):
        if name in COUNTED_BY:
            found = reads.count_differences(connection, table, name, outcome.export_date)
            found = [each for each in found if not _is_change_during_walk(each[1], each[2])]
            return Comparison(not found, _words(found) if found else agree)
        expected = outcome.capture.manifest["resources"][name]["named_total"]
        if name == "results":
            rows = reads.count_rows(connection, table(name), table(name).c.export_date == outcome.export_date)
        else:
            rows = reads.count_present(connection, table, name, managed=name == "accounts")
    # More rows than counted are no gap: those of a closed group stay, and not every list names its total.
    if expected is None or rows >= expected or _is_change_during_walk(expected, rows):
        return Comparison(agrees=True, words=agree, rows=rows, expected=expected)
    words = f"Drillster counts {expected:,}, and there are {rows:,} rows"
    return Comparison(agrees=False, words=words, rows=rows, expected=expected)


def _why_not_compared(outcome: PublishOutcome, name: str, newest: date) -> str | None:
    if outcome.capture.manifest.get("redacted"):
        return "a person was erased from this capture, whom Drillster still counted on that date"
    if name == "results":
        return None  # its rows are those of the date, whatever came later
    if newest > outcome.export_date:
        return f"this table is as of {newest}, the newest date in the warehouse"
    for needed in (name, COUNTED_BY.get(name, name)):
        if needed not in outcome.plans or outcome.plans[needed].load_type is LoadType.ADDITIVE:
            return f"this load has not read {needed} completely, but only added what was missing"
    return None


def _is_change_during_walk(expected: int, rows: int) -> bool:
    """Whether people coming and going while the capture was made explain the difference."""
    from drillster_pipeline.api.paging import allowed_difference

    return abs(expected - rows) <= allowed_difference(expected)


def _words(found: Sequence[tuple[str, int, int]]) -> str:
    shown = "; ".join(
        f"{shown_id(key)}: Drillster counts {expected:,}, {rows:,} rows"
        for key, expected, rows in found[:_DIFFERENCES_SHOWN]
    )
    return f"{len(found)} differ ({shown}{'; …' if len(found) > _DIFFERENCES_SHOWN else ''})"
