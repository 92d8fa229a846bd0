"""How each table of a capture may be published, and what was decided about captures.

Absence is not deletion until the read is proven complete. A **read gap** is a place where a capture did not read
everything: a resource that could not be read, a unit that was closed to us (403) or gone (404), a list that is shorter
than Drillster counts. A gap in a list is one in everything that is requested item by item of that list, too: members
of a group that was never listed were not read, however well all others were.

Decisions are noted beside the manifests: refused by the guard, or confirmed by an operator. The guard compares a load
with what the warehouse has. A backfill may load dates in any order and leave some out; what is gone since those, or
what an operator has confirmed for them, must not count against the date at hand.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import chain
from typing import Any

from drillster_pipeline.archive.captures import CaptureRef
from drillster_pipeline.resources import RESOURCES, entry_of
from drillster_pipeline.response_shapes import shown_unit
from drillster_pipeline.tables import DATA_TABLES, Kind, Table
from drillster_pipeline.warehouse import LoadType, TablePlan

from .context import PipelineContext

REFUSED_MARK = "refused.json"
"""Beside a manifest whose publish was refused: the next run captures again instead of publishing the same."""
CONFIRMED_MARK = "confirmed.json"
"""Beside a manifest whose mass deletion an operator has allowed: its tables, for later backfills."""
_REFUSALS = frozenset({403, 404})

logger = logging.getLogger(__name__)


class GapCause(StrEnum):
    """Why something was not read."""

    FAILED = "failed"
    """There was no usable response, or a list was cut short."""
    CLOSED = "closed"
    """One request was answered with 403 or 404: closed to the service account, or not to be found."""
    REFUSED = "refused"
    """All requests for the resource were: the service account may not read any of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadGap:
    """Something that a capture did not read."""

    resource: str
    what: str
    """In words: ids, numbers and statuses only."""
    group: str | None = None
    """The group that it is confined to; None: it may be anywhere."""
    is_in_list: bool = False
    """Whether it is one of the list itself, not of an item on it."""
    cause: GapCause = GapCause.FAILED

    def __str__(self) -> str:
        return f"{self.resource} {self.what}"


def table_load_types(manifest: Mapping[str, Any], kind: str, selected: Collection[str]) -> dict[str, TablePlan]:
    """A plan per table to load: the selected ones that could be read, and what they refer to.

    A selected table that is missing from the response stays as it is: its resource was unavailable.
    """
    load_types = {name: plan for name in selected if (plan := _plan(DATA_TABLES[name], manifest)) is not None}
    for name in _referred(load_types):
        load_types.setdefault(name, TablePlan(load_type=LoadType.ADDITIVE))
    if kind == "events":
        # Events name accounts; what they have of them is incomplete, so it only adds rows.
        load_types["accounts"] = TablePlan(load_type=LoadType.ADDITIVE)
    return {name: load_types[name] for name in DATA_TABLES if name in load_types}


def unavailable_tables(manifest: Mapping[str, Any], selected: Collection[str]) -> dict[str, str]:
    """The selected tables that stay as they are, with the reason."""
    return {
        name: f"{resource}: {why}"
        for name in selected
        for resource in DATA_TABLES[name].sources
        if (why := entry_of(manifest, resource).get("why"))
    }


def unread_tables(manifest: Mapping[str, Any], selected: Collection[str]) -> dict[str, bool]:
    """The selected tables of which something could not be read; true: nothing of it, for lack of permission alone.

    What is closed within a resource that can be read is no part of what the service account is given.
    """
    gaps = {name: read_gaps_of(DATA_TABLES[name], manifest) for name in selected}
    causes = {name: {gap.cause for gap in found} - {GapCause.CLOSED} for name, found in gaps.items()}
    return {name: found == {GapCause.REFUSED} for name, found in causes.items() if found}


def requests_refused(manifest: Mapping[str, Any]) -> int:
    """How many single requests were answered with 403 or 404, but for those of groups that are gone."""
    return sum(
        gap.cause is GapCause.CLOSED
        for name, entry in manifest["resources"].items()
        if entry["status"] != "unavailable"
        for gap in _own_gaps(name, entry, manifest["groups"])
    )


def read_gaps_of(table: Table, manifest: Mapping[str, Any]) -> list[ReadGap]:
    """What was not read of the resources that decide which rows a table has."""
    return list(dict.fromkeys(gap for source in table.sources for gap in _gaps(source, manifest)))


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
    if unavailable_tables(manifest, [table.name]):
        # What others name is still added; the other rows stay as they are.
        return TablePlan(load_type=LoadType.ADDITIVE) if table.kind is Kind.ENTITY and table.secondary_sources else None
    gaps = read_gaps_of(table, manifest)
    kept: frozenset[str] = frozenset()
    if table.kind is Kind.ENTITY and table.group_path is not None:
        kept = frozenset(gap.group for gap in gaps if gap.group is not None)
        gaps = [gap for gap in gaps if gap.group is None]
    return TablePlan(
        load_type=LoadType.PARTIAL if gaps else LoadType.FULL,
        unobserved_groups=kept,
        keep_referenced=any(_gaps(name, manifest) for name in table.secondary_sources),
    )


def _gaps(resource: str, manifest: Mapping[str, Any]) -> list[ReadGap]:
    """The gaps of one resource, those of the lists that lead to it included."""
    entry = manifest["resources"].get(resource)
    if entry is None:
        return []  # not part of this kind of capture
    if entry["status"] == "unavailable":
        cause = GapCause.REFUSED if _is_refused(resource, manifest["resources"]) else GapCause.FAILED
        return [ReadGap(resource=resource, what=f"could not be read ({entry['why']})", cause=cause)]
    of_lists = (gap for parent in RESOURCES[resource].parents for gap in _gaps_of_list(parent, manifest))
    return [*_own_gaps(resource, entry, manifest["groups"]), *of_lists]


def _is_refused(resource: str, resources: Mapping[str, Any]) -> bool:
    """Whether nothing but 403 and 404 keeps a resource from being read: its own, or of the lists that lead to it."""
    if lost := resources[resource]["lost"]:
        return all(each["status"] in _REFUSALS for each in lost)
    parents = [name for name in RESOURCES[resource].parents if resources.get(name, {}).get("status") == "unavailable"]
    return all(_is_refused(name, resources) for name in parents)


def _gaps_of_list(resource: str, manifest: Mapping[str, Any]) -> list[ReadGap]:
    """Those gaps of a resource that hide units of other resources."""
    entry = manifest["resources"].get(resource)
    if entry is None or RESOURCES[resource].detail is None or entry["status"] == "unavailable":
        return _gaps(resource, manifest)
    # An item that is listed is requested for everything else, whether it answers for itself or not.
    listed = set(manifest["groups"]["listed"])
    return [
        gap
        for gap in _own_gaps(resource, entry, manifest["groups"])
        if gap.is_in_list or (gap.group is not None and gap.group not in listed)
    ]


def _own_gaps(resource: str, entry: Mapping[str, Any], groups: Mapping[str, Any]) -> Iterator[ReadGap]:
    # A group that answers 404 to everything is gone, and so are its rows; one that is also closed proves nothing.
    gone = set(groups["gone"]) - set(groups["closed"])
    for lost in entry["lost"]:
        if lost["unit"].get("group_id") not in gone:
            cause = GapCause.CLOSED if lost["status"] in _REFUSALS else GapCause.FAILED
            yield _gap(resource, lost["unit"], str(lost["status"]), cause)
    for short in entry["short"]:
        yield _gap(resource, short["unit"], f"{short['items']} of {short['expected']}", GapCause.FAILED)


def _gap(resource: str, unit: Mapping[str, str], what: str, cause: GapCause) -> ReadGap:
    where = f"of {shown_unit(unit)}" if unit else "list"
    return ReadGap(
        resource=resource, what=f"{where}: {what}", group=unit.get("group_id"), is_in_list=not unit, cause=cause
    )


def mark_refused(context: PipelineContext, ref: CaptureRef) -> None:
    """Note that the publish of a capture was refused, so that the next run captures again."""
    context.archive.storage.write(f"{ref.folder}/{REFUSED_MARK}", b"{}")


def is_refused(context: PipelineContext, ref: CaptureRef) -> bool:
    """Whether the publish of a capture was refused, and has not been allowed since."""
    names = context.archive.storage.names(ref.folder)
    return REFUSED_MARK in names and CONFIRMED_MARK not in names


def mark_confirmed(context: PipelineContext, ref: CaptureRef, tables: Iterable[str]) -> None:
    """Note that an operator has allowed a capture to delete so much of these tables."""
    allowed = sorted({*tables, *_confirmed(context, ref)})
    context.archive.storage.write(f"{ref.folder}/{CONFIRMED_MARK}", json.dumps({"tables": allowed}).encode())


def confirmed_tables(
    context: PipelineContext, unpublished: Mapping[str, Iterable[CaptureRef]], current: CaptureRef
) -> frozenset[str]:
    """Tables of which a mass deletion was allowed, of the current capture or of an unpublished one before it."""
    confirmed = {ref: _confirmed(context, ref) for ref in {current, *chain.from_iterable(unpublished.values())}}
    return frozenset(
        name for name, refs in unpublished.items() if any(name in confirmed[ref] for ref in (current, *refs))
    )


def _confirmed(context: PipelineContext, ref: CaptureRef) -> list[str]:
    if CONFIRMED_MARK not in context.archive.storage.names(ref.folder):
        return []
    try:
        return list(map(str, json.loads(context.archive.storage.read(f"{ref.folder}/{CONFIRMED_MARK}"))["tables"]))
    except (ValueError, KeyError, TypeError):
        logger.warning("%s/%s can't be read: what it confirmed must be confirmed again", ref.folder, CONFIRMED_MARK)
        return []


def unpublished_captures(
    context: PipelineContext, kind: str, export_date: date, tables: Iterable[str]
) -> dict[str, list[CaptureRef]]:
    """Per table, the captures that count between this date and the newest one loaded before it, but for refused ones.

    Each of them may have lost as many rows as one load is allowed to. One that was refused does not count: else the
    guard would yield by itself after some dates.
    """
    before = context.warehouse.ledger.last_reads_before(kind, export_date)
    oldest = min((before[name] for name in tables if name in before), default=export_date)
    days = [day for day in context.archive.dates() if oldest < day < export_date]
    sealed = [[ref for ref in context.archive.captures(day, kind) if ref.sealed] for day in days]
    unpublished = [refs[-1] for refs in sealed if refs and not is_refused(context, refs[-1])]
    return {
        name: [ref for ref in unpublished if before[name] < ref.export_date] if name in before else []
        for name in tables
    }
