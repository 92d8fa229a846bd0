"""The endpoints that a client of an organization needs, and their pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from .draws import DAY, parse_iso
from .learning import Objective
from .model import Catalog, Group
from .organization import Json, Listing, Object, Snapshot, by_id, icon, playable

Thing = TypeVar("Thing")
PAGE = 10
LARGEST_PAGE = 100
_DEFAULT_SIZES = {"objective_events": LARGEST_PAGE, "group_staff": None, "objectives": None}
"""Of lists that give more than PAGE items where no size is requested; None: all of them."""
_WINDOW = 7 * DAY
PATHS = {
    "2.1.1/version": "version",
    "2.1.1/user": "user",
    "2.1.1/organization": "organization",
    "2.1.1/organization/{organization_id}": "organization",
    "2.1.1/organization/{organization_id}/catalogs": "catalogs",
    "2.1.1/organizations/{organization_id}/accounts": "accounts",
    "2.1.1/catalog/{catalog_id}": "catalog",
    "2.1.1/catalog/{catalog_id}/content": "catalog_content",
    "3/catalog/{catalog_id}/content": "catalog_content",
    "2.1.1/groups": "groups",
    "2.1.1/group/{group_id}": "group",
    "2.1.1/group/{group_id}/members": "group_members",
    "2.1.1/group/{group_id}/staff": "group_staff",
    "2.1.1/group/{group_id}/drillables": "group_drillables",
    "2.1.1/group/{group_id}/objectives": "objectives",
    "2.1.1/group/{group_id}/objective/{objective_id}/evaluations": "objective_evaluations",
    "2.1.1/group/{group_id}/member-results/{account_id}": "results",
    "2.1.1/group/{group_id}/test-results/{test_id}": "test_results",
    "2.1.1/objectives/{objective_id}/events": "objective_events",
    "2.1.1/objective/{objective_id}/events": "objective_events",
}
"""The paths, and the resource of each: also the name of the method of Endpoints."""
LISTS = {
    "accounts": "accounts",
    "catalogs": "catalogs",
    "catalog_content": "playables",
    "groups": "groups",
    "group_members": "members",
    "group_staff": "groupStaffUsers",
    "group_drillables": "drillables",
    "objectives": "objectives",
    "objective_evaluations": "evaluations",
    "objective_events": "events",
    "results": "groupDrillableMemberResults",
    "test_results": "memberTestResults",
}
"""The field of a response that has its list."""


class Problem(Exception):
    """Ends a request with an error response: ``id`` is for programs, ``description`` for people."""

    names = ("id", "description")
    """The fields of the error object."""

    def __init__(self, status: int, id_: str, description: str = "") -> None:
        self.status, self.id = status, id_
        self.description = description or id_.replace("_", " ").capitalize() + "."
        super().__init__(self.description)


class Endpoints:
    """One request: the organization at its moment, and its query. Each method takes the parameters of its path."""

    def __init__(self, at: Snapshot, query: Mapping[str, str]) -> None:
        self.at, self.query = at, query

    def version(self) -> Json:
        """The version of Drillster, which needs no token."""
        return {"version": "2-1-1.601"}

    def user(self, account_id: str) -> Json:
        """The User that the token is for."""
        return _found([self.at.account(account_id)], "nonexistent_user")["account"]

    # -- the organization ----------------------------------------------------------------------------------------

    def _check_organization(self, organization_id: str) -> None:
        if organization_id not in {"self", self.at.model.id}:
            raise Problem(403, "not_permitted", "No access to this organization.")

    def organization(self, organization_id: str = "self") -> Json:
        """The organization of the service account, and no other."""
        self._check_organization(organization_id)
        return self.at.organization()

    def accounts(self, organization_id: str) -> Json:
        """The accounts of the organization."""
        self._check_organization(organization_id)
        return self.cursor_page(self.at.accounts())

    def catalogs(self, organization_id: str) -> Json:
        """Catalogs that the organization can publish to."""
        self._check_organization(organization_id)
        return self.cursor_page(Listing("catalogs", self.at.catalogs(), _catalog, by_id))

    def _catalog(self, catalog_id: str) -> Catalog:
        return _found((one for one in self.at.catalogs() if one.id == catalog_id), "catalog_not_found")

    def catalog(self, catalog_id: str) -> Json:
        """A UserCatalog."""
        catalog = self._catalog(catalog_id)
        organization = {"type": "ORGANIZATION", "id": self.at.model.id}
        return _catalog(catalog) | {"description": catalog.description, "organization": organization}

    def catalog_content(self, catalog_id: str) -> Json:
        """The playables of a catalog, by name."""
        catalog = self._catalog(catalog_id)
        container = _catalog(catalog) | {"organization": {"id": self.at.model.id}}
        listing = Listing("catalog_content", self.at.catalog_content(catalog), playable, by_id)
        return {"playableContainer": container, **self.cursor_page(listing)}

    # -- groups --------------------------------------------------------------------------------------------------

    def listed_groups(self) -> list[Group]:
        """The groups that the list shows."""
        return list(self.at.present_groups())

    def find_group(self, group_id: str) -> Group:
        """The group of a path. Raises Problem."""
        return _found([self.at.find_group(group_id)], "group_not_found")

    def groups(self) -> Json:
        """The groups that the service account may see, by id."""
        return self.cursor_page(Listing("groups", self.listed_groups(), self.at.group, by_id, str))

    def group(self, group_id: str) -> Json:
        """One group, with its tests."""
        return self.at.group_detail(self.find_group(group_id))

    def group_members(self, group_id: str) -> Json:
        """Members and invitees, by the time they joined or were invited."""
        group = self.find_group(group_id)
        joined = len(self.at.learners(group))
        counts = {"members": joined, "invitees": len(self.at.memberships(group)) - joined}
        return {"counts": counts, **self.cursor_page(self.at.members(group))}

    def group_staff(self, group_id: str) -> Json:
        """Who manages and views the group."""
        staff = self.at.group_staff(self.find_group(group_id))
        return {"group": {"id": group_id}, **self.index_page("group_staff", staff, "count")}

    def group_drillables(self, group_id: str) -> Json:
        """A Group with (a page of) its drillables, and no word on how many there are."""
        group = self.find_group(group_id)
        items = [playable(thing) for thing in self.at.drillables(group)]
        page = self.index_page("group_drillables", items)
        return self.at.brief_group(group) | {"drillables": page["drillables"]}

    # -- results -------------------------------------------------------------------------------------------------

    def results(self, group_id: str, account_id: str) -> Json:
        """One member's results for all drills and courses of the group."""
        group = self.find_group(group_id)
        membership = _found([self.at.with_account(group, account_id)], "not_group_member")
        user = self.at.member_user(membership.stay)
        page = self.cursor_page(self.at.results(group, membership))
        return {"group": self.at.brief_group(group), "member": user, **page}

    def test_results(self, group_id: str, test_id: str) -> Json:
        """Everybody's attempts at one test; pages are of members, and so is the total."""
        group = self.find_group(group_id)
        test = _found((test for test in group.tests if test.id == test_id), "unknown_test")
        page = self.index_page("test_results", self.at.test_results(group, test))
        return {"group": self.at.brief_group(group), "test": playable(test), **page}

    # -- objectives ----------------------------------------------------------------------------------------------

    def _find_objective(self, objective_id: str) -> Objective:
        objective = _found([self.at.model.objective(objective_id, self.at.moment)], "unknown_objective")
        self.find_group(objective.group.id)
        return objective

    def objectives(self, group_id: str) -> Json:
        """All objectives of the group."""
        group = self.find_group(group_id)
        found = [self.at.objective(one) for one in self.at.objectives(group)]
        return self.index_page("objectives", found)

    def objective_evaluations(self, group_id: str, objective_id: str) -> Json:
        """How every member does."""
        found = self._find_objective(objective_id)
        objective = _found([found if found.group.id == group_id else None], "unknown_objective")
        return self.cursor_page(self.at.evaluations(objective))

    def objective_events(self, objective_id: str) -> Json:
        """What changed within a window of time: by default the last seven days."""
        objective, now = self._find_objective(objective_id), self.at.moment
        try:
            since = parse_iso(self.query["fromDate"]) if "fromDate" in self.query else now - _WINDOW
            until = parse_iso(self.query["toDate"]) if "toDate" in self.query else now + 1
        except ValueError:
            raise Problem(400, "illegal_date", "fromDate and toDate should be ISO 8601 dates.") from None
        return self.cursor_page(self.at.events(objective, since, until))

    # -- pages ---------------------------------------------------------------------------------------------------

    def _number(self, name: str, least: int, error: str) -> int:
        try:
            value = int(self.query[name])
        except ValueError:
            value = least - 1
        if value < least:
            raise Problem(400, error, f"{name} should be a whole number, and {least} at least.")
        return value

    def page_size(self, listing: Listing) -> int | None:
        """``resultSize``; None: everything that remains. Raises Problem."""
        if "resultSize" not in self.query:
            return _DEFAULT_SIZES.get(listing.resource, PAGE)
        size = self._number("resultSize", 1, "invalid_result_size")
        if size > LARGEST_PAGE:
            raise Problem(400, "invalid_result_size", f"resultSize should be {LARGEST_PAGE} at most.")
        return size

    def cursor_page(self, listing: Listing) -> Object:
        """The items of the page that ``resultFrom`` and ``resultSize`` ask for, and its Pagination."""
        size = self.page_size(listing)
        try:
            start = listing.position(self.query["resultFrom"]) if "resultFrom" in self.query else 0
        except ValueError:
            raise Problem(400, "invalid_result_from", "resultFrom is not a cursor of this list.") from None
        items, pagination = self.cut(listing, start, size)
        return {LISTS[listing.resource]: items, "pagination": pagination}

    def index_page(self, resource: str, items: list[Object], total: str = "total") -> Object:
        """The items that ``resultStart`` and ``resultSize`` ask for; and how many there are, by that name."""
        listing = Listing(resource, items, dict, lambda _: "")
        start = self._number("resultStart", 0, "invalid_result_start") if "resultStart" in self.query else 0
        page, pagination = self.cut(listing, start, self.page_size(listing))
        return {LISTS[resource]: page, total: pagination["total"]}

    def cut(self, listing: Listing, start: int, size: int | None) -> tuple[list[Json], dict[str, Any]]:
        """Items from ``start``, and what the Pagination says of them."""
        total = len(listing.things)
        things = listing.things[start : total if size is None else start + size]
        pagination: dict[str, Any] = {"total": total, "moreAvailable": start + len(things) < total}
        if things:
            pagination["lastOnPage"] = listing.cursor(things[-1])
        return [listing.render(thing) for thing in things], pagination


def _found(things: Iterable[Thing | None], error: str) -> Thing:
    """The first of the things. Raises Problem where there is none."""
    thing = next(iter(things), None)
    if thing is None:
        raise Problem(404, error)
    return thing


def _catalog(catalog: Catalog) -> Object:
    return {"id": catalog.id, "name": catalog.name, "icon": icon("catalog")}
