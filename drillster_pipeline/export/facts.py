"""What the warehouse says after a publish, gathered for the checks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from drillster_pipeline.warehouse import audit

from .session import Session

if TYPE_CHECKING:
    from .loads import PublishOutcome

COUNTED_BY_PARENT = ("group_members", "group_playables", "catalog_playables")
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Answers to the questions of the checks."""

    orphans: dict[str, dict[str, int]]
    """Table -> column -> rows that refer to what is not there."""
    differences: dict[str, str]
    """Table -> in words, how its rows differ from what Drillster counts. A table that agrees is not here."""
    newest_loaded: date | None
    """The newest export date of the kind that is in the warehouse."""
    newest_complete: date
    """The newest export date that has ended."""


def gather(session: Session, kind: str, export_date: date, outcome: PublishOutcome, tables: Collection[str]) -> Facts:
    """Ask the warehouse what the checks of ``tables`` need."""
    warehouse = session.warehouse
    newest = warehouse.latest_loads().get(kind)
    newest_loaded = newest.export_date if newest else None
    with warehouse.reading() as (connection, table):
        found = audit.facts(connection, table, tables, export_date)
        differences = {}
        # Entities are as of the newest date, so only that date's counts can be compared with them.
        if kind == "snapshot" and newest_loaded == export_date:
            for name in tables:
                if name in COUNTED_BY_PARENT:
                    told = _by_parent(audit.count_differences(connection, table, name))
                elif name in {"accounts", "groups"}:
                    rows = audit.present(connection, table, name, managed=name == "accounts")
                    told = _by_total(outcome.capture.manifest["resources"][name]["named_total"], rows)
                else:
                    continue
                if told:
                    differences[name] = told
        if "results" in tables:
            entry = outcome.capture.manifest["resources"]["results"]
            if told := _by_total(entry["named_total"], warehouse.rows_on("results", export_date)):
                differences["results"] = told
    return Facts(
        orphans=found,
        differences=differences,
        newest_loaded=newest_loaded,
        newest_complete=session.newest_complete,
    )


def _by_total(named: int | None, rows: int) -> str | None:
    return None if named is None or named == rows else f"Drillster counts {named:,}, and {rows:,} rows are there"


def _by_parent(found: list[tuple[str, int, int]]) -> str | None:
    if not found:
        return None
    shown = "; ".join(f"{key}: Drillster counts {named:,}, {rows:,} rows" for key, named, rows in found[:_SHOWN])
    return f"{len(found)} differ ({shown}{'; …' if len(found) > _SHOWN else ''})"
