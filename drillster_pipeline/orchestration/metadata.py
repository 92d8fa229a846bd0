"""What the page of an asset shows: rows against the last nights, what changed, whether it is whole, and a few rows.

Numbers, ids, dates and sentences, and rows without what is personal or free text (see
:mod:`drillster_pipeline.warehouse.reads`): Dagster keeps all of it, and `forget` does not reach it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.tables import Kind, Table

from .keys import resource_key, table_key
from .markdown import bar, columns_picture, table

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.capture import CaptureOutcome
    from drillster_pipeline.pipeline.publish import PublishOutcome
    from drillster_pipeline.pipeline.quality import TablePreviews
    from drillster_pipeline.warehouse import TableLoad, TableReport

HOLES_SHOWN = 10
_ID_SHOWN = 8


def captured(resource: str, outcome: CaptureOutcome) -> dg.MaterializeResult[Any]:
    """The asset of a resource, after its capture."""
    manifest = outcome.capture.manifest
    entry, walk = manifest["resources"][resource], manifest["walk"]
    asked: dict[str, Any] = {
        "walk: requests": walk["requests"],
        "walk: retries": walk["retries"],
        "walk: tokens": walk["grants"],
        "walk: seconds": float(walk["seconds"]),
    }
    return dg.MaterializeResult(
        asset_key=resource_key(resource),
        metadata={
            "export date": str(outcome.capture.ref.export_date),
            "how": str(outcome.how),
            "status": entry["status"],
            "dagster/partition_row_count": entry["items"],
            "answers": entry["units"],
            "pages": entry["pages"],
            "bytes": sum(part["bytes"] for part in entry["parts"]),
            "captured until": manifest["captured_until"],
            "capture": outcome.capture.capture_id,
            **({"unavailable": entry["why"]} if entry["status"] == "unavailable" else {}),
            **(asked if outcome.asked else {}),
        },
    )


def published(table: Table, outcome: PublishOutcome, sight: TablePreviews, seconds: float) -> dg.MaterializeResult[Any]:
    """The asset of a table, after its load."""
    report = outcome.report.tables[table.name]
    rows = report.rows_inserted + report.rows_updated + report.rows_unchanged
    before = [night for night in sight.nights.get(table.name, []) if night.export_date < outcome.export_date]
    return dg.MaterializeResult(
        asset_key=table_key(table.name),
        metadata={
            "export date": str(outcome.export_date),
            "in short": _in_short(table, report, rows, before),
            "whole": _whole(table, outcome),
            "last nights": _nights(table, outcome.export_date, report, rows, before),
            **_figures(table, sight),
            **_glimpse(table, sight),
            "dagster/partition_row_count": rows,
            # The rows of a date of a snapshot; of events nobody counts all, which would take ever longer.
            **({} if table.kind is Kind.EVENT else {"dagster/row_count": rows}),
            "inserted": report.rows_inserted,
            "updated": report.rows_updated,
            "unchanged": report.rows_unchanged,
            "deleted": report.rows_deleted,
            "rejected": report.rows_rejected,
            "read": report.rows_read,
            **({} if report.history_rows is None else {"history rows written": report.history_rows}),
            "load": outcome.report.load_id,
            "capture": outcome.capture.capture_id,
            "load: seconds": round(seconds, 3),
        },
    )


def _in_short(table_of: Table, report: TableReport, rows: int, before: list[TableLoad]) -> str:
    """How many rows, against the night before, and what became of them."""
    told = f"{rows:,} row{'' if rows == 1 else 's'}"
    if before:
        more = rows - before[0].rows
        change = "as many as" if not more else f"{abs(more):,} {'more' if more > 0 else 'fewer'} than"
        told += f", {change} on {before[0].export_date}"
    changes = {"rejected": report.rows_rejected}
    if table_of.kind is not Kind.SNAPSHOT:  # every row of a date is a new one
        changes = {
            "new": report.rows_inserted,
            "changed": report.rows_updated,
            "marked deleted": report.rows_deleted,
            **changes,
        }
    counts = ", ".join(f"{number:,} {what}" for what, number in changes.items() if number)
    return f"{told}. {counts or ('None rejected' if table_of.kind is Kind.SNAPSHOT else 'Nothing changed')}."


def _nights(
    table_of: Table, day: date, report: TableReport, rows: int, before: list[TableLoad]
) -> dg.MarkdownMetadataValue:
    """Rows per night, the newest first."""
    nights: list[tuple[date, int, TableReport | TableLoad]] = [(day, rows, report)]
    nights += [(night.export_date, night.rows, night) for night in before]
    if table_of.kind is Kind.SNAPSHOT:
        most = max(number for _, number, _ in nights)
        lines = [(_day(day), bar(number, most), number, load.rows_rejected) for day, number, load in nights]
        return table(("night", "", "rows", "rejected"), lines, left=2)
    changes = {
        "new": [load.rows_inserted for _, _, load in nights],
        "changed": [load.rows_updated for _, _, load in nights],
        "gone": [load.rows_deleted for _, _, load in nights],
        "rejected": [load.rows_rejected for _, _, load in nights],
    }
    shown = {what: numbers for what, numbers in changes.items() if any(numbers)}  # there is little room
    return table(
        ("night", "rows", *shown),
        [
            (_day(day), number, *(numbers[place] for numbers in shown.values()))
            for place, (day, number, _) in enumerate(nights)
        ],
    )


def _day(day: date) -> str:
    return f"{day.day}\N{NO-BREAK SPACE}{day:%b}"


def _figures(table_of: Table, sight: TablePreviews) -> dict[str, Any]:
    """What a number or a picture says of a table."""
    if table_of.name == "objective_evaluations" and sight.evaluated:
        return {"objectives met, %": round(100 * sight.met / sight.evaluated, 1)}
    if table_of.name != "results" or not sight.proficiencies:
        return {}
    known = sum(sight.proficiencies.values())
    spread = [0] * 10
    for proficiency, count in sight.proficiencies.items():
        spread[min(proficiency // 10, 9)] += count
    average = sum(proficiency * count for proficiency, count in sight.proficiencies.items()) / known
    return {
        "average proficiency": round(average, 1),
        "spread of proficiency": spread_picture(spread),
    }


def spread_picture(spread: Sequence[int]) -> dg.MarkdownMetadataValue:
    """Results by proficiency, in ten steps."""
    told = ", ".join(
        f"{low}-{low + 9 if low < 90 else 100}: {count}" for low, count in zip(range(0, 100, 10), spread, strict=True)
    )
    return columns_picture(spread, most=max(spread), first="0", last="100", told=f"Results by proficiency: {told}")


def _glimpse(table_of: Table, sight: TablePreviews) -> dict[str, Any]:
    """A few rows, one beside the other, without what may say who they are about."""
    from drillster_pipeline.warehouse.reads import preview_columns

    columns, rows = preview_columns(table_of), sight.rows.get(table_of.name, [])
    if not rows or not columns:
        return {}
    lines = [
        (column.name, *(shown_value(column.name, row[place]) for row in rows)) for place, column in enumerate(columns)
    ]
    return {"a few rows": table(("column", *("" for _ in rows)), lines, left=1 + len(rows))}


def shown_value(name: str, value: Any) -> Any:
    """A value of a column as a table of metadata shows it: long ids by their beginning."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if name.endswith("_id") and isinstance(value, str) and len(value) > _ID_SHOWN:
        return f"{value[:_ID_SHOWN]}…".replace("-", "\N{NON-BREAKING HYPHEN}")
    return value


def _whole(table_of: Table, outcome: PublishOutcome) -> str:
    """Whether all of it was seen, and what that means for rows that are no longer in Drillster's answers."""
    from drillster_pipeline.pipeline.load_types import read_gaps_of

    holes = read_gaps_of(table_of, outcome.capture.manifest)
    if holes:
        shown = "; ".join(map(str, holes[:HOLES_SHOWN])) + ("; …" if len(holes) > HOLES_SHOWN else "")
        return f"No. Not seen: {shown}. {_kept(table_of, outcome)}"
    if table_of.kind is Kind.EVENT:
        return "Yes: all that Drillster tells was read. Events are never deleted."
    if not outcome.validation.tables[table_of.name].is_complete:
        return (
            "Not sure: something that names such rows was not seen, or a row could not be read. Rows that are no "
            "longer there stay as they were."
        )
    if table_of.kind is Kind.SNAPSHOT:
        return "Yes: everything was seen. Rows of the date were replaced as a whole."
    return "Yes: everything was seen. What is no longer there was marked deleted."


def _kept(table_of: Table, outcome: PublishOutcome) -> str:
    if table_of.kind is Kind.EVENT:
        return "What there is stays."
    if outcome.validation.tables[table_of.name].is_complete:
        return "Rows of groups that were not seen whole stay as they were."
    return "Rows that were not seen stay as they were."
