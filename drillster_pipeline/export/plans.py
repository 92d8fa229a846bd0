"""From what a capture could read to how each table may be published.

Absence is not deletion until the read is proven complete: this module says, per table, what absence means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from drillster_pipeline.tables import DATA_TABLES, Kind, Table
from drillster_pipeline.warehouse import Mode, TablePlan


def table_plans(manifest: Mapping[str, Any], kind: str, selected: Collection[str]) -> dict[str, TablePlan]:
    """A plan per table to load: the selected ones that could be read, and what they refer to.

    A selected table that is missing from the answer stays as it is: its resource was unavailable.
    """
    plans: dict[str, TablePlan] = {}
    for name in selected:
        plan = _plan(DATA_TABLES[name], manifest)
        if plan is not None:
            plans[name] = plan
    for name in _referred(plans):
        plans.setdefault(name, TablePlan(mode=Mode.ADDITIVE))
    if kind == "events":
        # Events name people; what they say of them is the least that can be known, so it only ever adds.
        plans["accounts"] = TablePlan(mode=Mode.ADDITIVE)
    return {name: plans[name] for name in DATA_TABLES if name in plans}


def unavailable_tables(manifest: Mapping[str, Any], selected: Collection[str]) -> dict[str, str]:
    """The selected tables that stay as they are, with the reason."""
    reasons = {}
    for name in selected:
        for resource in DATA_TABLES[name].sources:
            entry = manifest["resources"].get(resource)
            if entry is not None and entry["status"] == "unavailable":
                reasons[name] = f"{resource}: {entry['why']}"
    return reasons


def _referred(names: Collection[str]) -> list[str]:
    """The tables that these refer to, directly and by way of others."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        for column in DATA_TABLES[waiting.pop()].columns:
            parent = (column.references or "").split(".")[0]
            if parent in DATA_TABLES and parent not in found:
                found.append(parent)
                waiting.append(parent)
    return found


def _plan(table: Table, manifest: Mapping[str, Any]) -> TablePlan | None:
    resources = manifest["resources"]
    groups = manifest["groups"]
    sources = [resources[name] for name in table.sources if name in resources]
    mentions = [resources[name] for name in table.mentions if name in resources]
    closed = frozenset(groups["closed"])
    if any(entry["status"] == "unavailable" for entry in sources):
        # People and things that others name are still added; whatever else there is stays as it is.
        return TablePlan(mode=Mode.ADDITIVE) if table.kind is Kind.ENTITY and table.mentions else None
    gone = set(groups["gone"])
    lost = [unit["unit"] for entry in sources for unit in entry["lost"] if unit["unit"].get("group_id") not in gone]
    whole = not any(entry["short"] for entry in sources)
    kept: frozenset[str] = frozenset()
    if table.group_path is not None:
        kept = closed | frozenset(unit["group_id"] for unit in lost if "group_id" in unit)
        lost = [unit for unit in lost if "group_id" not in unit]
    if table.kind is not Kind.ENTITY:
        whole = whole and not kept  # rows of a closed group, captured earlier for the same date, are not thrown away
    mentions_whole = not closed and all(
        entry["status"] == "captured"
        and not entry["short"]
        and all(unit["unit"].get("group_id") in gone for unit in entry["lost"])
        for entry in mentions
    )
    return TablePlan(
        mode=Mode.FULL if whole and not lost else Mode.PARTIAL,
        kept_groups=kept,
        keep_mentioned=bool(table.mentions) and not mentions_whole,
    )
