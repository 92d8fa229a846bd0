"""The endpoints of the sandbox with faults: in what they list, in their pages, and in the form of what they answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import time
from typing import Any

from starlette.responses import Response

from drillster_pipeline.sandbox.app import Drillster
from drillster_pipeline.sandbox.draws import iso, parse_iso
from drillster_pipeline.sandbox.endpoints import PAGE, Endpoint, Endpoints, Problem
from drillster_pipeline.sandbox.model import Group
from drillster_pipeline.sandbox.oauth import Grants, Refusal
from drillster_pipeline.sandbox.organization import Listing, Organization, Snapshot

from .faults import Faults, FieldFault, PageFault
from .shapes import Json, items_of, reshape

_ENDLESS = 10_000
PROXY_PAGE = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Please try again later</h1></body></html>"


class FaultyDrillster(Drillster):
    """The application, as far as faults are a matter of what it answers."""

    def __init__(self, organization: Organization, grants: Grants, step: Callable[[], int]) -> None:
        super().__init__(organization, grants, step)
        self.clock = lambda: time() + self.faults.clock_skew
        self.set_faults(Faults())

    def set_faults(self, faults: Faults) -> None:
        """Answer with these faults from now on."""
        self.faults = faults
        self.fired: set[int] = set()
        """``id()`` of the faults that have done something."""
        self.grants.lifetime = faults.token_lifetime
        self.bodies.cache_clear()

    def token(self, form: bytes, headers: Mapping[str, str], url: str) -> Json:
        """A Token object, with another word on how long it is valid where the faults say so."""
        body, stated = super().token(form, headers, url), self.faults.stated_lifetime
        if stated is None:
            del body["expires_in"]
        return body if stated in {"real", None} else body | {"expires_in": stated}

    def answer(self, endpoint: Endpoint, version: str, query: dict[str, str], parameters: tuple[str, ...]) -> Json:
        """The answer of an endpoint, changed as the faults ask for."""
        shapes, resource = self.faults.shapes, endpoint.resource
        if resource == "catalog_content" and shapes.content_version not in {"both", version}:
            raise Problem(404, "not_found", "There is no such resource.")
        at = self.organization.snapshot(self._step())
        endpoints = FaultyEndpoints(at, query, self.faults, self.fired)
        body = getattr(endpoints, resource)(*parameters)
        for fault in self.faults.fields:
            if fault.resource in {resource, "*"}:
                for item in items_of(resource, body)[:: fault.every]:
                    if _bend(item, fault):
                        self.fired.add(id(fault))
        return reshape(resource, body, shapes)

    def problem(self, problem: Problem, **headers: str) -> Response:
        """An error answer of the API, in the form that the shapes ask for."""
        shapes = self.faults.shapes
        if problem.status == 403:
            problem = Problem(shapes.permission_status, problem.id, problem.description)
        return _error(super().problem(problem, **headers), shapes.errors, (problem.id, problem.description))

    def refusal(self, refusal: Refusal) -> Response:
        """An error answer of the token endpoint, in the form that the shapes ask for."""
        form = self.faults.shapes.grant_errors
        return _error(super().refusal(refusal), form, (refusal.error, refusal.description))


def _error(response: Response, form: str, texts: tuple[str, str]) -> Response:
    names = {"object": ("id", "description"), "oauth": ("error", "error_description")}
    body = json.dumps(dict(zip(names[form], texts, strict=True))) if form in names else ""
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    if form in {"html", "nothing"}:
        body, headers["content-type"] = (PROXY_PAGE, "text/html") if form == "html" else ("", "text/plain")
    return Response(body, response.status_code, headers)


def _bend(item: Json, fault: FieldFault) -> bool:
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


class FaultyEndpoints(Endpoints):
    """One request, under faults."""

    def __init__(self, at: Snapshot, query: Mapping[str, str], faults: Faults, fired: set[int]) -> None:
        super().__init__(at, query)
        self.faults, self.shapes, self.fired = faults, faults.shapes, fired

    # -- groups --------------------------------------------------------------------------------------------------

    def listed_groups(self) -> list[Group]:
        """The groups that the list shows."""
        unseen = self.faults.hidden_groups | self.faults.unlisted_groups
        return [self._as_seen(group) for group in super().listed_groups() if group.id not in unseen]

    def find_group(self, group_id: str) -> Group:
        """The group of a path. Raises Problem."""
        if group_id in self.faults.hidden_groups:
            raise Problem(404, "group_not_found")
        return self._as_seen(super().find_group(group_id))

    def _as_seen(self, group: Group) -> Group:
        if group.id not in self.faults.empty_groups:
            return group
        return replace(group, chairs=(), guests=0, drillables=0, tests=(), objectives=0)

    def groups(self) -> Json:
        """The list of groups, perhaps paged by index."""
        if self.shapes.groups_total != "top":
            return super().groups()
        things = [self.at.group(group) for group in self.listed_groups()]
        items, total = self.index_page("groups", things, default=None)
        return {"groups": items, "total": total}

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

    def page_size(self, resource: str, default: int | None) -> int | None:
        """The size of a page, refused or cut down."""
        if resource == "group_members":
            default = None if self.shapes.members_paging == "all" else self.shapes.members_default
        size = super().page_size(resource, default)
        refused, clamped = (
            sizes.get(resource, sizes.get("*")) for sizes in (self.faults.refused_sizes, self.faults.clamped_sizes)
        )
        if refused is not None and "resultSize" in self.query and (size or 0) > refused:
            raise Problem(400, "invalid_result_size", f"resultSize should be {refused} at most.")
        return size if clamped is None else min(size or clamped, clamped)

    def position(self, resource: str, listing: Listing) -> int:
        """Where a page begins."""
        inclusive = self.shapes.applies(self.shapes.inclusive, resource)
        return listing.position(self.query["resultFrom"], inclusive=inclusive)

    def cursor_page(
        self, resource: str, listing: Listing, *, default: int | None = PAGE
    ) -> tuple[list[Json], dict[str, Any]]:
        """A page of a list with other cursors, or in another order."""
        kind = self.shapes.cursors
        if kind == "index":
            render = listing.render
            things = list(enumerate(listing.things))
            listing = Listing(things, lambda pair: render(pair[1]), lambda pair: str(pair[0]), int)
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
        return super().cursor_page(resource, listing, default=default)

    def cut(self, resource: str, listing: Listing, start: int, size: int | None) -> tuple[list[Json], dict[str, Any]]:
        """A page that does not add up."""
        begun, total, things = start > 0, len(listing.things), listing.things
        if things and self._fault(resource, "endless"):
            listing = replace(listing, things=[*things] * (_ENDLESS // total + 1), read=None)
            size, total = size or total, _ENDLESS
        elif things and (short := self._fault(resource, "short")):
            listing = replace(listing, things=things[: max(0, total - short.n)])
        elif begun and (shrink := self._fault(resource, "shrink")):
            listing = replace(listing, things=things[shrink.n :])
            total = len(listing.things)
        elif begun and (repeat := self._fault(resource, "repeat")):
            start, size = max(0, start - repeat.n), size and size + repeat.n
        items, pagination = super().cut(resource, listing, start, size)
        pagination["total"] = total
        if not pagination["moreAvailable"] and self._fault(resource, "more_lies"):
            pagination["moreAvailable"] = True
        if begun and self._fault(resource, "empty"):
            items = []
            pagination = {"total": total, "moreAvailable": True}
        if off := self._fault(resource, "total_off"):
            pagination["total"] += off.n
        if not items and self.shapes.null_cursor_on_empty:
            pagination["lastOnPage"] = None
        if self._fault(resource, "stuck"):
            pagination["lastOnPage"] = self.query.get("resultFrom") or pagination.get("lastOnPage")
            pagination["moreAvailable"] = pagination["moreAvailable"] or begun
        return items, pagination

    def _fault(self, resource: str, what: str) -> PageFault | None:
        """The page fault of that kind for a resource, if there is one; asked for only where it does something."""
        for fault in self.faults.pages:
            if fault.what == what and fault.resource in {resource, "*"}:
                self.fired.add(id(fault))
                return fault
        return None
