"""What the warehouse says after a publish, gathered for the checks and for the pages of assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

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
COUNTED_TABLES = tuple(name for name, table in DATA_TABLES.items() if table.counts)
"""All tables of which Drillster has a count of its own."""
_SHOWN = 3
NIGHTS_SHOWN = 7
ROWS_SHOWN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePreviews:
    """What is to be seen of a load without looking into the warehouse; nothing of it is personal."""

    nights: Mapping[str, list[TableLoad]]
    """Table -> what the loads of the last dates did to it, this one first."""
    rows: Mapping[str, list[Sequence[Any]]]
    """Table -> a few of its rows, in the columns that ``reads.preview_columns`` names."""
    proficiencies: Mapping[int, int] = field(default_factory=dict)
    """How many results of the date have each proficiency; empty where the load has no results."""
    evaluated: int = 0
    met: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadQuality:
    """Answers to the questions of the checks, and what the pages of the tables show."""

    differences: Mapping[str, str]
    """Table -> in words, how its rows differ from what Drillster counts. A table that agrees is not here."""
    not_compared: Mapping[str, str]
    """Table -> why its rows could not be compared with what Drillster counts."""
    reasons: Mapping[str, list[tuple[str, int]]]
    """Table -> why rows were rejected, and how many for each reason, the most frequent first."""
    sight: TablePreviews


def load_quality(session: PipelineContext, outcome: PublishOutcome) -> LoadQuality:
    """Ask the warehouse what the checks of the tables of a load need."""
    newest = session.warehouse.ledger.last_date_before(outcome.kind, date.max) or outcome.export_date
    differences: dict[str, str] = {}
    not_compared: dict[str, str] = {}
    for name in COUNTED_TABLES if outcome.kind == "snapshot" else ():
        if name not in outcome.plans:
            continue
        if why := _why_not_compared(outcome, name, newest):
            not_compared[name] = why
        elif told := _difference(session, outcome, name):
            differences[name] = told
    reasons: Mapping[str, list[tuple[str, int]]] = {}
    if any(report.rows_rejected for report in outcome.report.tables.values()):
        reasons = session.warehouse.ledger.reject_reasons(outcome.report.load_id)
    return LoadQuality(
        differences=differences, not_compared=not_compared, reasons=reasons, sight=_look(session, outcome)
    )


def _look(session: PipelineContext, outcome: PublishOutcome) -> TablePreviews:
    day, written = outcome.export_date, outcome.plans
    with session.warehouse.reading() as (connection, table):
        evaluated, met = (0, 0)
        if "objective_evaluations" in written:
            evaluated, met = reads.evaluations(connection, table, day)
        rows = {
            name: reads.preview_rows(connection, table, DATA_TABLES[name], day, limit=ROWS_SHOWN) for name in written
        }
        return TablePreviews(
            nights=session.warehouse.ledger.table_loads(outcome.kind, day, NIGHTS_SHOWN),
            rows=rows,
            proficiencies=reads.proficiencies(connection, table, day) if "results" in written else {},
            evaluated=evaluated,
            met=met,
        )


def _why_not_compared(outcome: PublishOutcome, name: str, newest: date) -> str | None:
    if outcome.capture.manifest.get("redacted"):
        return "a person was erased from this capture, whom Drillster still counted that night"
    if name == "results":
        return None  # its rows are those of the date, whatever came later
    if newest > outcome.export_date:
        return f"this table is as of {newest}, the newest date in the warehouse"
    for needed in (name, COUNTED_BY.get(name, name)):
        if needed not in outcome.plans or outcome.plans[needed].load_type is LoadType.ADDITIVE:
            return f"this load has not read {needed} whole, but only added what was missing"
    return None


def _difference(session: PipelineContext, outcome: PublishOutcome, name: str) -> str | None:
    if name in COUNTED_BY:
        with session.warehouse.reading() as (connection, table):
            found = reads.count_differences(connection, table, name, outcome.export_date)
        return _told([difference for difference in found if not _is_life(difference[1], difference[2])])
    named = outcome.capture.manifest["resources"][name]["named_total"]
    with session.warehouse.reading() as (connection, table):
        if name == "results":
            rows = reads.count_rows(connection, table(name), table(name).c.export_date == outcome.export_date)
        else:
            rows = reads.count_present(connection, table, name, managed=name == "accounts")
    # More rows than counted are no hole: those of a closed group stay, and not every list names its total.
    if named is None or rows >= named or _is_life(named, rows):
        return None
    return f"Drillster counts {named:,}, and {rows:,} rows are there"


def _is_life(named: int, rows: int) -> bool:
    """Whether people coming and going during the walk explain the difference."""
    from drillster_pipeline.api.paging import allowed_difference

    return abs(named - rows) <= allowed_difference(named)


def _told(found: list[tuple[str, int, int]]) -> str | None:
    if not found:
        return None
    shown = "; ".join(
        f"{shown_id(key)}: Drillster counts {named:,}, {rows:,} rows" for key, named, rows in found[:_SHOWN]
    )
    return f"{len(found)} differ ({shown}{'; …' if len(found) > _SHOWN else ''})"
