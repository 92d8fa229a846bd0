"""What a capture can show, worked out from the sandbox's organization and from what went wrong on that date.

Nothing here knows how the pipeline does it: it follows the contract of the warehouse, by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

from tests.drillster import Organization

from .soak_days import BENT, MISSING, Conditions, Loss

Key = tuple[Any, ...]
Row = dict[str, Any]
Rows = dict[Key, Row]

KEYS: Mapping[str, tuple[str, ...]] = {
    "organizations": ("organization_id",),
    "accounts": ("account_id",),
    "account_external_ids": ("account_id", "third_party", "external_id"),
    "playables": ("playable_id",),
    "catalogs": ("catalog_id",),
    "catalog_playables": ("catalog_id", "playable_id"),
    "groups": ("group_id",),
    "group_members": ("group_id", "member_key"),
    "group_staff": ("group_id", "account_id"),
    "group_playables": ("group_id", "playable_id"),
    "objectives": ("objective_id",),
    "objective_playables": ("objective_id", "playable_id"),
    "objective_evaluations": ("export_date", "objective_id", "account_id"),
    "results": ("export_date", "group_id", "account_id", "playable_id"),
    "test_results": ("test_result_id",),
    "test_result_scores": ("test_result_id", "transformation_id"),
    "test_result_drills": ("test_result_id", "drill_id"),
    "objective_events": ("event_id",),
}
ENTITIES = tuple(KEYS)[:12]
SNAPSHOTS = ("objective_evaluations", "results")
SOURCES: Mapping[str, tuple[str, ...]] = {
    "organizations": ("organization",),
    "accounts": ("accounts",),
    "account_external_ids": ("accounts",),
    "playables": ("group_drillables",),
    "catalogs": ("catalogs",),
    "catalog_playables": ("catalog_content",),
    "groups": ("groups",),
    "group_members": ("group_members",),
    "group_staff": ("group_staff",),
    "group_playables": ("groups", "group_drillables"),
    "objectives": ("objectives",),
    "objective_playables": ("objectives",),
    "objective_evaluations": ("objective_evaluations",),
    "results": ("results",),
    "test_results": ("test_results",),
    "test_result_scores": ("test_results",),
    "test_result_drills": ("test_results",),
}
"""What must be read for a table to be known; and completely, for absence from it to mean anything."""
MENTIONED_IN: Mapping[str, tuple[str, ...]] = {
    "accounts": ("group_members", "group_staff", "objective_evaluations", "results", "test_results"),
    "playables": ("catalog_content", "groups", "objectives", "results", "test_results"),
    "catalogs": ("catalog_content",),
}
"""Where else rows of a table are named."""
FOUND_IN: Mapping[str, tuple[str, ...]] = {
    "catalog_content": ("catalogs",),
    "group_members": ("groups",),
    "group_staff": ("groups",),
    "group_drillables": ("groups",),
    "objectives": ("groups",),
    "objective_evaluations": ("objectives",),
    "results": ("group_members",),
    "test_results": ("groups", "objectives"),
}
"""The lists that say what else is to be requested."""
IN_GROUPS = ("groups", "group_members", "group_staff", "group_playables", "objectives", "objective_playables")
ANYWHERE = "anywhere"
"""In place of the group that something was not seen of."""


@dataclass(kw_only=True)
class Shown:
    """What one capture says, table by table."""

    on: date
    kind: str
    moment: datetime
    loaded: set[str] = field(default_factory=set)
    """The tables that it says anything of."""
    seen: dict[str, Rows] = field(default_factory=dict)
    passing: dict[str, Rows] = field(default_factory=dict)
    """Rows that are only named; nothing is said of whether they are there in their own right."""
    complete: set[str] = field(default_factory=set)
    """Tables of which absence means that a row is deleted, but for what follows."""
    kept_groups: dict[str, set[str]] = field(default_factory=dict)
    keeps_strangers: bool = False
    """People who are not managed by the organization may be there all the same."""
    rejected: dict[str, dict[Key, Row]] = field(default_factory=dict)
    """Rows that do not fit, with what of them must stand if others refer to them."""


def invitee_key(email_address: str) -> str:
    return "invitee:" + hashlib.sha256(email_address.lower().encode()).hexdigest()[:32]


def moment_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def keyed(table: str, rows: Iterable[Row]) -> Rows:
    return {tuple(row[name] for name in KEYS[table]): row for row in rows}


class TablePreviews:
    """The organization at a moment, as far as it can be read in this conditions."""

    def __init__(self, organization: Organization, moment: datetime, conditions: Conditions) -> None:
        self.when = moment
        self.at = organization.at(moment)
        self.conditions = conditions

    # -- what can be read

    def listed(self, resource: str, items: Iterable[Any]) -> list[Any]:
        """A list as it comes."""
        found = list(items)
        return found[:-MISSING] if self.conditions.short == resource else found

    def bent(self, resource: str, items: list[Any]) -> list[Any]:
        """The items of a list that do not fit."""
        return items[:: BENT[resource][1]] if self.conditions.bent == resource else []

    def reads(self, resource: str, *, requested: bool = True) -> bool:
        """Whether a resource can be read. What was not requested was not refused either."""
        return all(self.reads(parent) for parent in FOUND_IN.get(resource, ())[:1]) and not (
            self.conditions.unavailable == resource and requested
        )

    @cached_property
    def groups(self) -> list[Any]:
        """Groups of which something can be read: that is not the one which is hidden."""
        there = {group.id: group for group in self.at.present_groups()}
        hidden = {self.conditions.group} if self.conditions.loss is Loss.HIDDEN else set()
        return [there[id_] for id_ in sorted(self.conditions.seen_groups([*there]) - hidden)]

    def inside(self, resource: str) -> list[Any]:
        """Groups of which a resource can be read."""
        if not self.reads(resource):
            return []
        return [group for group in self.groups if group.id != self.conditions.group]

    @cached_property
    def catalogs(self) -> list[Any]:
        """The catalogs that are listed."""
        return self.listed("catalogs", self.at.catalogs()) if self.reads("catalogs") else []

    def playables_of(self, catalog: Any) -> list[Any]:
        """What a catalog is seen to hold."""
        return self.listed("catalog_content", self.at.catalog_content(catalog))

    def members(self, group: Any) -> list[Any]:
        """Members and invitees that a group is seen to have."""
        return self.listed("group_members", self.at.members(group).all())

    def objectives(self, group: Any) -> list[Any]:
        """Objectives that a group is seen to have."""
        return self.listed("objectives", self.at.objectives(group))

    # -- what can't

    @cached_property
    def unavailable(self) -> set[str]:
        """Resources of which nothing was to be had."""
        requested: dict[str, Callable[[], bool]] = {
            "catalog_content": lambda: bool(self.catalogs),
            "objective_evaluations": lambda: any(map(self.objectives, self.inside("objectives"))),
            "results": lambda: any(
                "id" in item["member"] for group in self.inside("group_members") for item in self.members(group)
            ),
            "test_results": lambda: any(group.tests for group in self.inside("groups")),
        }
        names = {*FOUND_IN, *(name for names in SOURCES.values() for name in names)}
        return {name for name in names if not self.reads(name, requested=requested.get(name, lambda: True)())}

    def holes(self, resource: str) -> set[str]:
        """The groups in which something of a resource was not seen, or ``ANYWHERE``."""
        conditions = self.conditions
        if resource in self.unavailable:
            return {ANYWHERE}
        holes = set[str]()
        if conditions.group is not None and conditions.loss is not Loss.DELETED and self._is_in_groups(resource):
            holes.add(conditions.group)
        if conditions.short == resource:
            holes |= self._cut_short(resource)
        for parent in FOUND_IN.get(resource, ()):
            holes |= self.holes(parent)
        return holes

    def _is_in_groups(self, resource: str) -> bool:
        return resource == "groups" or any(map(self._is_in_groups, FOUND_IN.get(resource, ())))

    def _cut_short(self, resource: str) -> set[str]:
        if resource == "accounts":
            return {ANYWHERE} if len(self.at.accounts().all()) else set()
        if resource == "groups":
            return {ANYWHERE}
        if resource == "catalogs":
            return {ANYWHERE} if self.at.catalogs() else set()
        if resource == "catalog_content":
            return {ANYWHERE} if self.catalogs else set()
        return {group.id for group in self.inside(resource) if self._has_any(resource, group)}

    def _has_any(self, resource: str, group: Any) -> bool:
        if resource == "group_members":
            return bool(self.at.members(group).all())
        if resource == "objectives":
            return bool(self.at.objectives(group))
        if resource == "objective_evaluations":
            return bool(self.objectives(group)) and bool(self.at.learners(group))
        return any("id" in item["member"] for item in self.members(group)) and bool(self.at.drillables(group))


def dated(shown: Shown, view: TablePreviews) -> None:
    """Which tables a snapshot says anything of, and what absence from them means."""
    for table, sources in SOURCES.items():
        if view.unavailable & set(sources):
            if shown.seen.get(table):  # what is named elsewhere is only referenced
                shown.passing[table] = shown.seen.pop(table)
            if table not in MENTIONED_IN:
                shown.seen.pop(table, None)
            continue
        shown.loaded.add(table)
        holes = {hole for source in sources for hole in view.holes(source)}
        if table in IN_GROUPS:
            shown.kept_groups[table] = holes - {ANYWHERE}
            holes &= {ANYWHERE}
        mentions_whole = not any(map(view.holes, MENTIONED_IN.get(table, ())))
        if table == "accounts":
            shown.keeps_strangers = not mentions_whole
        if not holes and (mentions_whole or table == "accounts"):
            shown.complete.add(table)


def strangers(shown: Shown, view: TablePreviews, named: Mapping[str, Row], listed: Collection[str]) -> None:
    """People who are not on the list of accounts: of another organization, if the list was read completely."""
    others = {key: row for key, row in named.items() if key not in listed}
    is_complete = not view.holes("accounts")
    rows = keyed("accounts", ({**row, "is_managed": False if is_complete else None} for row in others.values()))
    if is_complete:
        shown.seen["accounts"].update(rows)
    else:
        shown.passing["accounts"] = rows
