"""The endpoints of the sandbox with faults: in what they list, and in their pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drillster_pipeline.sandbox.draws import iso, parse_iso
from drillster_pipeline.sandbox.endpoints import Endpoints, Problem
from drillster_pipeline.sandbox.model import Group
from drillster_pipeline.sandbox.organization import Listing, Snapshot

from .faults import Faults, FieldFault, PageFault
from .shapes import Json

_ENDLESS = 10_000


def change_field(item: Json, fault: FieldFault) -> bool:
    """Whether there was something to change."""
    *path, last = fault.field.split(".")
    for name in path:
        inner = item.get(name)
        if isinstance(inner, list):
            inner = inner[0] if inner else None
        if not isinstance(inner, dict):
            return False
        item = inner
    if fault.what == "missing":
        return item.pop(last, None) is not None
    item[last] = None if fault.what == "null" else fault.value
    return True


class _Inclusive(Listing):
    """A list whose next page starts at the cursor, not after it."""

    def position(self, cursor: str) -> int:
        """Where the page that follows a cursor begins."""
        start = super().position(cursor)
        while start and self.cursor(self.things[start - 1]) == cursor:
            start -= 1
        return start


class FaultyEndpoints(Endpoints):
    """One request, under faults."""

    def __init__(self, at: Snapshot, query: Mapping[str, str], faults: Faults, fired: set[int]) -> None:
        super().__init__(at, query)
        self.faults, self.shapes, self.fired = faults, faults.shapes, fired

    # -- groups --------------------------------------------------------------------------------------------------

    def listed_groups(self) -> list[Group]:
        """The groups that the list shows."""
        unseen = self.faults.hidden_groups | self.faults.unlisted_groups
        return [self._emptied(group) for group in super().listed_groups() if group.id not in unseen]

    def find_group(self, group_id: str) -> Group:
        """The group of a path. Raises Problem."""
        if group_id in self.faults.hidden_groups:
            raise Problem(404, "group_not_found")
        return self._emptied(super().find_group(group_id))

    def _emptied(self, group: Group) -> Group:
        if group.id not in self.faults.empty_groups:
            return group
        return replace(group, chairs=(), guests=0, drillables=0, tests=(), objectives=0)

    def groups(self) -> Json:
        """The list of groups, perhaps paged by index."""
        if self.shapes.groups_total != "top":
            return super().groups()
        return self.index_page("groups", [self.at.group(group) for group in self.listed_groups()])

    def group_members(self, group_id: str) -> Json:
        """The members of a group, perhaps all at once."""
        if self.shapes.members_paging == "all":
            self.query = {}
        return super().group_members(group_id)

    def results(self, group_id: str, account_id: str) -> Json:
        """The results of a member, and perhaps none of an invitee."""
        membership = self.at.with_account(self.find_group(group_id), account_id)
        if self.shapes.invitee_results == "missing" and membership and not self.at.is_member(membership):
            raise Problem(404, "not_group_member")
        return super().results(group_id, account_id)

    # -- pages ---------------------------------------------------------------------------------------------------

    def page_size(self, listing: Listing) -> int | None:
        """The size of a page, refused or cut down."""
        size, resource = super().page_size(listing), listing.resource
        if resource == "group_members" and "resultSize" not in self.query:
            size = None if self.shapes.members_paging == "all" else size
        elif resource == "groups" and self.shapes.groups_total == "top" and "resultSize" not in self.query:
            size = None
        refused, clamped = (
            sizes.get(resource, sizes.get("*")) for sizes in (self.faults.refused_sizes, self.faults.clamped_sizes)
        )
        if refused is not None and "resultSize" in self.query and (size or 0) > refused:
            raise Problem(400, "invalid_result_size", f"resultSize should be {refused} at most.")
        return size if clamped is None else min(size or clamped, clamped)

    def cursor_page(self, listing: Listing) -> Json:
        """A page of a list with other cursors, or in another order."""
        kind, resource = self.shapes.cursors, listing.resource
        if kind == "index":
            render = listing.render
            things = list(enumerate(listing.things))
            listing = Listing(resource, things, lambda pair: render(pair[1]), lambda pair: str(pair[0]), int)
        elif kind == "id" and resource == "accounts":
            listing = replace(listing, cursor=lambda stay: stay.id, read=None)
        elif kind == "id" and resource == "group_members":
            listing = replace(listing, cursor=lambda one: one.stay.id, read=None)
        elif kind == "timestamp" and resource == "objective_evaluations":
            listing = replace(listing, cursor=lambda one: iso(one.joined, "milliseconds"), read=parse_iso)
        elif kind == "timestamp" and resource == "objective_events":
            listing = replace(listing, cursor=lambda one: iso(one[0], "milliseconds"), read=parse_iso)
        if resource == "accounts" and self.shapes.accounts_order == "newest_first":
            read = listing.read
            newest = None if read is None else (lambda text: -read(text))
            listing = replace(listing, things=listing.things[::-1], read=newest)
        if self.shapes.applies(self.shapes.inclusive, resource):
            listing = _Inclusive(resource, listing.things, listing.render, listing.cursor, listing.read)
        return super().cursor_page(listing)

    def cut(self, listing: Listing, start: int, size: int | None) -> tuple[list[Json], dict[str, Any]]:
        """A page that does not add up."""
        begun, total, things = start > 0, len(listing.things), listing.things
        if things and self._fault(listing, "endless"):
            listing = replace(listing, things=[*things] * (_ENDLESS // total + 1), read=None)
            size, total = size or total, _ENDLESS
        elif things and (short := self._fault(listing, "short")):
            listing = replace(listing, things=things[: max(0, total - short.n)])
        elif begun and (shrink := self._fault(listing, "shrink")):
            listing = replace(listing, things=things[shrink.n :])
            total = len(listing.things)
        items, pagination = super().cut(listing, start, size)
        pagination["total"] = total
        if begun and self._fault(listing, "empty"):
            items, pagination = [], {"total": total, "moreAvailable": True}
        if off := self._fault(listing, "total_off"):
            pagination["total"] += off.n
        if not items and self.shapes.null_cursor_on_empty:
            pagination["lastOnPage"] = None
        if self._fault(listing, "stuck"):
            pagination["lastOnPage"] = self.query.get("resultFrom") or pagination.get("lastOnPage")
            pagination["moreAvailable"] = pagination["moreAvailable"] or begun
        return items, pagination

    def _fault(self, listing: Listing, what: str) -> PageFault | None:
        """The page fault of that kind for a list, if there is one; called only where it does something."""
        for fault in self.faults.pages:
            if fault.what == what and fault.resource in {listing.resource, "*"}:
                self.fired.add(id(fault))
                return fault
        return None
