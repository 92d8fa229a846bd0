"""One request, as an endpoint sees it: the organization at this moment, the query, and pages to answer with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .calendar import DAY, parse_iso
from .content import Playable
from .faults import Faults, PageFault
from .groups import Group
from .objective import Objective
from .objects import Object, icon
from .paging import Json, Listing, by_index, endless_of, without_first
from .problems import Problem
from .snapshot import Snapshot

PAGE = 10
LARGEST_PAGE = 100
_WINDOW = 7 * DAY

Answer = tuple[str, Json]
"""The name of a resource, and what it answers."""


def matches(query: str, *texts: str) -> bool:
    """Whether one of the texts holds the query, in whatever case."""
    return any(query.casefold() in text.casefold() for text in texts)


def user_matches(query: str, user: Object) -> bool:
    """Whether a User goes by that name or address."""
    return matches(query, user.get("name", ""), user.get("emailAddress", ""))


def by_id(thing: Playable) -> str:
    """The cursor of a list of playables."""
    return thing.id


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of whom, and under which faults."""

    snapshot: Snapshot
    query: Mapping[str, str]
    faults: Faults
    version: str
    fired: set[int] = field(default_factory=set)
    """``id()`` of the faults that have done something; shared by all questions under the same faults."""

    # -- what the path names -------------------------------------------------------------------------------------

    def groups(self) -> list[Group]:
        """The groups that the list shows."""
        unseen = self.faults.hidden_groups | self.faults.unlisted_groups
        return [self.as_seen(group) for group in self.snapshot.present_groups() if group.id not in unseen]

    def as_seen(self, group: Group) -> Group:
        """The group, emptied if the faults say so."""
        return group.emptied() if group.id in self.faults.empty_groups else group

    def group(self, group_id: str) -> Group:
        """The group of a path, or 404."""
        group = None if group_id in self.faults.hidden_groups else self.snapshot.find_group(group_id)
        if group is None:
            raise Problem(404, "group_not_found", "The group does not exist, or no longer.")
        return self.as_seen(group)

    def objective(self, objective_id: str, group: Group | None = None) -> Objective:
        """The objective of a path, or 404; ``group`` is the one that it must belong to."""
        objective = self.snapshot.find_objective(objective_id)
        if objective is None or (group is not None and objective.group.id != group.id):
            raise Problem(404, "unknown_objective", "The objective does not exist.")
        self.group(objective.group.id)
        return objective

    def brief_group(self, group: Group) -> Object:
        """The Group as results tell of it."""
        groups, moment = self.snapshot.model.groups, self.snapshot.moment
        return {
            "id": group.id,
            "name": groups.name(group, moment),
            "description": groups.description(group),
            "icon": icon("group"),
        }

    # -- the query -----------------------------------------------------------------------------------------------

    def number(self, name: str, default: int, error: str) -> int:
        """A whole number of the query, or 400."""
        text = self.query.get(name)
        if text is None:
            return default
        try:
            return int(text)
        except ValueError:
            raise Problem(400, error, f"{name} should be a whole number.") from None

    def page_size(self, resource: str, default: int | None, largest: int | None) -> int | None:
        """``resultSize``, within what the resource allows; None: everything that remains."""
        if "resultSize" not in self.query:
            return default
        size = self.number("resultSize", PAGE, "invalid_result_size")
        refused = self.faults.largest(self.faults.refused_sizes, resource)
        limit = min((one for one in (largest, refused) if one is not None), default=size)
        if size < 1 or size > limit:
            raise Problem(400, "invalid_result_size", f"resultSize should be positive, and {limit} at most.")
        return size

    def window(self) -> tuple[int, int]:
        """``fromDate`` and ``toDate``: by default the last seven days."""
        now = self.snapshot.moment
        try:
            since = parse_iso(self.query["fromDate"]) if "fromDate" in self.query else now - _WINDOW
            until = parse_iso(self.query["toDate"]) if "toDate" in self.query else now + 1
        except ValueError:
            raise Problem(400, "illegal_date", "fromDate and toDate should be ISO 8601 dates.") from None
        return since, until

    # -- pages ---------------------------------------------------------------------------------------------------

    def cursor_page(
        self, resource: str, listing: Listing, *, default: int | None = PAGE, largest: int | None = LARGEST_PAGE
    ) -> tuple[list[Json], dict[str, Any]]:
        """The items of the page that the query asks for, and its Pagination."""
        shapes = self.faults.shapes
        size = self.page_size(resource, default, largest)
        clamp = self.faults.largest(self.faults.clamped_sizes, resource)
        if clamp is not None:
            size = min(size or clamp, clamp)
        if shapes.cursors == "index":
            listing = by_index(listing)
        start = 0
        if "resultFrom" in self.query:
            inclusive = shapes.leaves_out(shapes.inclusive, resource)
            try:
                start = (listing.at if inclusive else listing.after)(self.query["resultFrom"])
            except ValueError:
                raise Problem(400, "invalid_result_from", "resultFrom is not a cursor of this list.") from None
        return self._cut(resource, listing, start, size)

    def index_page(
        self, resource: str, listing: Listing, *, default: int | None = PAGE, largest: int | None = LARGEST_PAGE
    ) -> tuple[list[Json], int]:
        """The items that ``resultStart`` and ``resultSize`` ask for, and the total."""
        size = self.page_size(resource, default, largest)
        clamp = self.faults.largest(self.faults.clamped_sizes, resource)
        if clamp is not None:
            size = min(size or clamp, clamp)
        start = self.number("resultStart", 0, "invalid_result_start")
        if start < 0:
            raise Problem(400, "invalid_result_start", "resultStart should not be negative.")
        items, pagination = self._cut(resource, listing, start, size)
        return items, pagination["total"]

    def _cut(self, resource: str, listing: Listing, start: int, size: int | None) -> tuple[list[Json], dict[str, Any]]:
        """Items from ``start``, and what the Pagination says of them, with the page faults of the resource."""
        begun, total = start > 0, listing.total
        listing, start, size = self._bent(resource, listing, start, size)
        stop = listing.total if size is None else min(start + size, listing.total)
        items = listing.items(start, stop)
        more = stop < listing.total
        if not more and self._fault(resource, "more_lies"):
            more = True
        if begun and self._fault(resource, "empty"):
            more, items = True, []
        if begun and self._fault(resource, "shrink"):
            total = listing.total
        pagination: dict[str, Any] = {"total": total + (off.n if (off := self._fault(resource, "total_off")) else 0)}
        if items:
            pagination["lastOnPage"] = listing.cursor(stop - 1)
        elif self.faults.shapes.null_cursor_on_empty:
            pagination["lastOnPage"] = None
        if self._fault(resource, "stuck"):
            pagination["lastOnPage"] = self.query.get("resultFrom") or pagination.get("lastOnPage")
            more = more or begun
        pagination["moreAvailable"] = more
        return items, pagination

    def _bent(self, resource: str, listing: Listing, start: int, size: int | None) -> tuple[Listing, int, int | None]:
        """The list as faults make it look from a page on: without its first items, with some repeated, or endless."""
        if listing.total and self._fault(resource, "endless"):
            return endless_of(listing), start, size if size is not None else listing.total
        if listing.total and (short := self._fault(resource, "short")):
            listing = replace(listing, total=max(0, listing.total - short.n))
        if start > 0 and (shrink := self._fault(resource, "shrink")):
            return without_first(listing, shrink.n), start, size
        if start > 0 and (repeat := self._fault(resource, "repeat")):
            return listing, max(0, start - repeat.n), size + repeat.n if size is not None else None
        return listing, start, size

    def _fault(self, resource: str, what: str) -> PageFault | None:
        """The page fault of that kind for a resource, if there is one; asked for only where it does something."""
        for fault in self.faults.pages:
            if fault.what == what and fault.resource in (resource, "*"):
                self.fired.add(id(fault))
                return fault
        return None
