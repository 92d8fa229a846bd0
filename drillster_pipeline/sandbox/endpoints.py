"""The endpoints that a client of an organization needs, and their pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .draws import DAY, parse_iso
from .learning import Objective
from .model import Catalog, Group
from .organization import Json, Listing, Object, Snapshot, by_id, icon, playable

PAGE = 10
LARGEST_PAGE = 100
_WINDOW = 7 * DAY


class Problem(Exception):
    """Ends a request with an error answer: ``id`` is for programs, ``description`` for people."""

    def __init__(self, status: int, id_: str, description: str = "") -> None:
        self.status, self.id = status, id_
        self.description = description or id_.replace("_", " ").capitalize() + "."
        super().__init__(self.description)


class Endpoint(NamedTuple):
    """A path behind the version, and the resource that it answers: also the name of the method of Endpoints."""

    path: str
    resource: str
    versions: tuple[str, ...] = ("2.1.1",)


ENDPOINTS = (
    Endpoint("version", "version"),
    Endpoint("organization", "organization"),
    Endpoint("organization/{organization_id}", "organization"),
    Endpoint("organization/{organization_id}/catalogs", "catalogs"),
    Endpoint("organizations/{organization_id}/accounts", "accounts"),
    Endpoint("catalog/{catalog_id}", "catalog"),
    Endpoint("catalog/{catalog_id}/content", "catalog_content", ("2.1.1", "3")),
    Endpoint("groups", "groups"),
    Endpoint("group/{group_id}", "group"),
    Endpoint("group/{group_id}/members", "group_members"),
    Endpoint("group/{group_id}/staff", "group_staff"),
    Endpoint("group/{group_id}/drillables", "group_drillables"),
    Endpoint("group/{group_id}/objectives", "objectives"),
    Endpoint("group/{group_id}/objective/{objective_id}/evaluations", "objective_evaluations"),
    Endpoint("group/{group_id}/member-results/{account_id}", "results"),
    Endpoint("group/{group_id}/test-results/{test_id}", "test_results"),
    Endpoint("objectives/{objective_id}/events", "objective_events"),
    Endpoint("objective/{objective_id}/events", "objective_events"),
)


class Endpoints:
    """One request: the organization at its moment, and its query. Each method takes the parameters of its path."""

    def __init__(self, at: Snapshot, query: Mapping[str, str]) -> None:
        self.at, self.query = at, query

    def version(self) -> Json:
        """The version of Drillster, which needs no token."""
        return {"version": "2-1-1.601"}

    # -- the organization ----------------------------------------------------------------------------------------

    def _check_organization(self, organization_id: str) -> None:
        if organization_id not in {"self", self.at.model.id}:
            raise Problem(403, "not_permitted", "No access to this organization.")

    def organization(self, organization_id: str = "self") -> Json:
        """Our own organization, and no other."""
        self._check_organization(organization_id)
        return self.at.organization()

    def accounts(self, organization_id: str) -> Json:
        """The accounts of the organization."""
        self._check_organization(organization_id)
        items, pagination = self.cursor_page("accounts", self.at.accounts())
        return {"accounts": items, "pagination": pagination}

    def catalogs(self, organization_id: str) -> Json:
        """Catalogs that the organization can publish to."""
        self._check_organization(organization_id)
        items, pagination = self.cursor_page("catalogs", Listing(self.at.catalogs(), _catalog, by_id))
        return {"catalogs": items, "pagination": pagination}

    def _catalog(self, catalog_id: str) -> Catalog:
        for catalog in self.at.catalogs():
            if catalog.id == catalog_id:
                return catalog
        raise Problem(404, "catalog_not_found", "The catalog does not exist.")

    def catalog(self, catalog_id: str) -> Json:
        """A UserCatalog."""
        catalog = self._catalog(catalog_id)
        organization = {"type": "ORGANIZATION", "id": self.at.model.id}
        return _catalog(catalog) | {"description": catalog.description, "organization": organization}

    def catalog_content(self, catalog_id: str) -> Json:
        """The playables of a catalog, by name."""
        catalog = self._catalog(catalog_id)
        items, pagination = self.cursor_page(
            "catalog_content", Listing(self.at.catalog_content(catalog), playable, by_id)
        )
        container = _catalog(catalog) | {"organization": {"id": self.at.model.id}}
        return {"playableContainer": container, "playables": items, "pagination": pagination}

    # -- groups --------------------------------------------------------------------------------------------------

    def listed_groups(self) -> list[Group]:
        """The groups that the list shows."""
        return list(self.at.present_groups())

    def find_group(self, group_id: str) -> Group:
        """The group of a path. Raises Problem."""
        group = self.at.find_group(group_id)
        if group is None:
            raise Problem(404, "group_not_found", "The group does not exist, or no longer.")
        return group

    def groups(self) -> Json:
        """The groups that the service account may see, by id."""
        items, pagination = self.cursor_page("groups", Listing(self.listed_groups(), self.at.group, by_id, str))
        return {"groups": items, "pagination": pagination}

    def group(self, group_id: str) -> Json:
        """One group, with its tests."""
        return self.at.group_detail(self.find_group(group_id))

    def group_members(self, group_id: str) -> Json:
        """Members and invitees, by the time they joined or were invited."""
        group = self.find_group(group_id)
        items, pagination = self.cursor_page("group_members", self.at.members(group))
        joined = len(self.at.learners(group))
        counts = {"members": joined, "invitees": len(self.at.memberships(group)) - joined}
        return {"members": items, "counts": counts, "pagination": pagination}

    def group_staff(self, group_id: str) -> Json:
        """Who manages and views the group."""
        staff = self.at.group_staff(self.find_group(group_id))
        items, total = self.index_page("group_staff", staff, default=None)
        return {"group": {"id": group_id}, "count": total, "groupStaffUsers": items}

    def group_drillables(self, group_id: str) -> Json:
        """A Group with (a page of) its drillables, and no word on how many there are."""
        group = self.find_group(group_id)
        items, _ = self.index_page("group_drillables", [playable(thing) for thing in self.at.drillables(group)])
        return self.at.brief_group(group) | {"drillables": items}

    # -- results -------------------------------------------------------------------------------------------------

    def results(self, group_id: str, account_id: str) -> Json:
        """One member's results for all drills and courses of the group."""
        group = self.find_group(group_id)
        membership = self.at.with_account(group, account_id)
        if membership is None:
            raise Problem(404, "not_group_member", "The user is no member of the group.")
        items, pagination = self.cursor_page("results", self.at.results(group, membership))
        return {
            "group": self.at.brief_group(group),
            "member": self.at.member_user(membership.stay),
            "pagination": pagination,
            "groupDrillableMemberResults": items,
        }

    def test_results(self, group_id: str, test_id: str) -> Json:
        """Everybody's attempts at one test; pages are of members, and so is the total."""
        group = self.find_group(group_id)
        test = next((test for test in group.tests if test.id == test_id), None)
        if test is None:
            raise Problem(404, "unknown_test", "The test is not one of this group.")
        items, total = self.index_page("test_results", self.at.test_results(group, test))
        return {"group": self.at.brief_group(group), "total": total, "test": playable(test), "memberTestResults": items}

    # -- objectives ----------------------------------------------------------------------------------------------

    def find_objective(self, objective_id: str, group: Group | None = None) -> Objective:
        """The objective of a path, which must belong to the group if there is one. Raises Problem."""
        objective = self.at.find_objective(objective_id)
        if objective is None or (group is not None and objective.group.id != group.id):
            raise Problem(404, "unknown_objective", "The objective does not exist.")
        self.find_group(objective.group.id)
        return objective

    def objectives(self, group_id: str) -> Json:
        """All objectives of the group."""
        group = self.find_group(group_id)
        found = [self.at.objective(one) for one in self.at.objectives(group)]
        items, total = self.index_page("objectives", found, default=None)
        return {"total": total, "objectives": items}

    def objective_evaluations(self, group_id: str, objective_id: str) -> Json:
        """How every member does."""
        objective = self.find_objective(objective_id, self.find_group(group_id))
        items, pagination = self.cursor_page("objective_evaluations", self.at.evaluations(objective))
        return {"evaluations": items, "pagination": pagination}

    def objective_events(self, objective_id: str) -> Json:
        """What changed within a window of time: by default the last seven days."""
        objective, now = self.find_objective(objective_id), self.at.moment
        try:
            since = parse_iso(self.query["fromDate"]) if "fromDate" in self.query else now - _WINDOW
            until = parse_iso(self.query["toDate"]) if "toDate" in self.query else now + 1
        except ValueError:
            raise Problem(400, "illegal_date", "fromDate and toDate should be ISO 8601 dates.") from None
        listing = self.at.events(objective, since, until)
        items, pagination = self.cursor_page("objective_events", listing, default=LARGEST_PAGE)
        return {"events": items, "pagination": pagination}

    # -- pages ---------------------------------------------------------------------------------------------------

    def _number(self, name: str, default: int, error: str) -> int:
        try:
            return int(self.query.get(name, default))
        except ValueError:
            raise Problem(400, error, f"{name} should be a whole number.") from None

    def page_size(self, resource: str, default: int | None) -> int | None:
        """``resultSize``; None: everything that remains. Raises Problem."""
        del resource
        if "resultSize" not in self.query:
            return default
        size = self._number("resultSize", PAGE, "invalid_result_size")
        if not 1 <= size <= LARGEST_PAGE:
            raise Problem(400, "invalid_result_size", f"resultSize should be positive, and {LARGEST_PAGE} at most.")
        return size

    def position(self, resource: str, listing: Listing) -> int:
        """Where the page that ``resultFrom`` asks for begins. Raises ValueError."""
        del resource
        return listing.position(self.query["resultFrom"])

    def cursor_page(
        self, resource: str, listing: Listing, *, default: int | None = PAGE
    ) -> tuple[list[Json], dict[str, Any]]:
        """The items of the page that ``resultFrom`` and ``resultSize`` ask for, and its Pagination."""
        size = self.page_size(resource, default)
        try:
            start = self.position(resource, listing) if "resultFrom" in self.query else 0
        except ValueError:
            raise Problem(400, "invalid_result_from", "resultFrom is not a cursor of this list.") from None
        return self.cut(resource, listing, start, size)

    def index_page(self, resource: str, items: list[Object], *, default: int | None = PAGE) -> tuple[list[Json], int]:
        """The items that ``resultStart`` and ``resultSize`` ask for, and the total."""
        size = self.page_size(resource, default)
        start = self._number("resultStart", 0, "invalid_result_start")
        if start < 0:
            raise Problem(400, "invalid_result_start", "resultStart should not be negative.")
        page, pagination = self.cut(resource, Listing(items, lambda item: item, lambda _: ""), start, size)
        return page, pagination["total"]

    def cut(self, resource: str, listing: Listing, start: int, size: int | None) -> tuple[list[Json], dict[str, Any]]:
        """Items from ``start``, and what the Pagination says of them."""
        del resource
        total = len(listing.things)
        things = listing.things[start : total if size is None else start + size]
        pagination: dict[str, Any] = {"total": total}
        if things:
            pagination["lastOnPage"] = listing.cursor(things[-1])
        pagination["moreAvailable"] = start + len(things) < total
        return [listing.render(thing) for thing in things], pagination


def _catalog(catalog: Catalog) -> Object:
    return {"id": catalog.id, "name": catalog.name, "icon": icon("catalog")}
