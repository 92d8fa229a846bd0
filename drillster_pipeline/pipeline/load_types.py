"""From what a capture could read to how each table may be published.

Absence is not deletion until the read is proven complete. A **hole** is a place where a capture did not see
everything: a resource that could not be read, a unit that was closed to us (403) or gone (404), a list that is shorter
than Drillster counts. A hole in a list is one in everything that is asked for item by item of that list, too: members
of a group that was never listed were not seen, however well all others were. This module finds the holes under each
table, and says what absence from it still means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.response_shapes import shown_unit
from drillster_pipeline.tables import DATA_TABLES, Kind, Table
from drillster_pipeline.warehouse import LoadType, TablePlan


class Cause(StrEnum):
    """Why something was not seen."""

    FAILED = "failed"
    """There was no usable answer, or a list was cut short."""
    CLOSED = "closed"
    """One request was answered with 403 or 404: closed to the service account, or not to be found."""
    REFUSED = "refused"
    """All requests for the resource were: the service account may not read any of it."""


_REFUSALS = frozenset({403, 404})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadGap:
    """Something that a capture did not see."""

    resource: str
    group: str | None
    """The group that it is confined to; None: it may be anywhere."""
    what: str
    """In words, for people: ids, numbers and statuses only."""
    cause: Cause = Cause.FAILED

    def __str__(self) -> str:
        return f"{self.resource} {self.what}"


def table_load_types(manifest: Mapping[str, Any], kind: str, selected: Collection[str]) -> dict[str, TablePlan]:
    """A plan per table to load: the selected ones that could be read, and what they refer to.

    A selected table that is missing from the answer stays as it is: its resource was unavailable.
    """
    plans: dict[str, TablePlan] = {}
    for name in selected:
        plan = _plan(DATA_TABLES[name], manifest)
        if plan is not None:
            plans[name] = plan
    for name in _referred(plans):
        plans.setdefault(name, TablePlan(load_type=LoadType.ADDITIVE))
    if kind == "events":
        # Events name people; what they say of them is the least that can be known, so it only ever adds.
        plans["accounts"] = TablePlan(load_type=LoadType.ADDITIVE)
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


def unread_tables(manifest: Mapping[str, Any], selected: Collection[str]) -> dict[str, bool]:
    """The selected tables of which something could not be read; true: nothing of it, for lack of permission alone.

    What is closed within a resource that can be read is no part of what the service account is given.
    """
    holes = {name: read_gaps_of(DATA_TABLES[name], manifest) for name in selected}
    causes = {name: {hole.cause for hole in found} - {Cause.CLOSED} for name, found in holes.items()}
    return {name: found == {Cause.REFUSED} for name, found in causes.items() if found}


def requests_refused(manifest: Mapping[str, Any]) -> int:
    """How many single requests were answered with 403 or 404, but for those of groups that are gone."""
    return sum(
        hole.cause is Cause.CLOSED
        for name, entry in manifest["resources"].items()
        if entry["status"] != "unavailable"
        for _, hole in _own_holes(name, entry, manifest["groups"])
    )


def read_gaps_of(table: Table, manifest: Mapping[str, Any]) -> list[ReadGap]:
    """What was not seen of the resources that decide which rows a table has."""
    return list(dict.fromkeys(hole for source in table.sources for hole in _holes(source, manifest)))


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
    if any(resources[name]["status"] == "unavailable" for name in table.sources if name in resources):
        # People and things that others name are still added; whatever else there is stays as it is.
        return TablePlan(load_type=LoadType.ADDITIVE) if table.kind is Kind.ENTITY and table.secondary_sources else None
    holes = read_gaps_of(table, manifest)
    kept: frozenset[str] = frozenset()
    if table.kind is Kind.ENTITY and table.group_path is not None:
        kept = frozenset(hole.group for hole in holes if hole.group is not None)
        holes = [hole for hole in holes if hole.group is None]
    return TablePlan(
        load_type=LoadType.PARTIAL if holes else LoadType.FULL,
        unobserved_groups=kept,
        keep_referenced=any(_holes(name, manifest) for name in table.secondary_sources),
    )


def _holes(resource: str, manifest: Mapping[str, Any]) -> list[ReadGap]:
    """The holes of one resource, those of the lists that lead to it included."""
    entry = manifest["resources"].get(resource)
    if entry is None:
        return []  # not part of this kind of capture
    if entry["status"] == "unavailable":
        cause = Cause.REFUSED if _is_refused(resource, manifest["resources"]) else Cause.FAILED
        return [ReadGap(resource=resource, group=None, what=f"could not be read ({entry['why']})", cause=cause)]
    found = [hole for _, hole in _own_holes(resource, entry, manifest["groups"])]
    for parent in RESOURCES[resource].parents:
        found += _holes_of_list(parent, manifest)
    return found


def _is_refused(resource: str, resources: Mapping[str, Any]) -> bool:
    """Whether nothing but 403 and 404 keeps a resource from being read: its own, or of the lists that lead to it."""
    if lost := resources[resource]["lost"]:
        return all(each["status"] in _REFUSALS for each in lost)
    parents = [name for name in RESOURCES[resource].parents if resources.get(name, {}).get("status") == "unavailable"]
    return all(_is_refused(name, resources) for name in parents)


def _holes_of_list(resource: str, manifest: Mapping[str, Any]) -> list[ReadGap]:
    """Those holes of a resource that hide units of other resources."""
    entry = manifest["resources"].get(resource)
    if entry is None or RESOURCES[resource].detail is None or entry["status"] == "unavailable":
        return _holes(resource, manifest)
    # A thing that is listed is asked for everything else, whether it answers for itself or not.
    listed = set(manifest["groups"]["listed"])
    return [
        hole
        for unit, hole in _own_holes(resource, entry, manifest["groups"])
        if not unit or (hole.group is not None and hole.group not in listed)
    ]


def _own_holes(
    resource: str, entry: Mapping[str, Any], groups: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, str], ReadGap]]:
    # A group that answers 404 to everything is gone, and so are its rows; one that is also closed proves nothing.
    gone = set(groups["gone"]) - set(groups["closed"])
    for lost in entry["lost"]:
        unit = lost["unit"]
        if unit.get("group_id") not in gone:
            what, cause = (
                f"{_of(unit)}: {lost['status']}",
                Cause.CLOSED if lost["status"] in _REFUSALS else Cause.FAILED,
            )
            yield unit, ReadGap(resource=resource, group=unit.get("group_id"), what=what, cause=cause)
    for short in entry["short"]:
        unit = short["unit"]
        what = f"{_of(unit)}: {short['items']} of {short['expected']}"
        yield unit, ReadGap(resource=resource, group=unit.get("group_id"), what=what)


def _of(unit: Mapping[str, str]) -> str:
    return f"of {shown_unit(unit)}" if unit else "list"
