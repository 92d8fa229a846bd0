"""The endpoints of the walk, as data: where they are, how they page, and what identifies an item.

Facts are those of the API 2.1.1 documentation; what it leaves open (paging of evaluations, say) is followed as the
answer shows it, see :mod:`drillster_pipeline.api.paging`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drillster_pipeline.errors import ContractError
from drillster_pipeline.response_shapes import id_text

PAGE_SIZES = (100, 50, 10)
"""Sizes to ask for, in turn, as Drillster refuses them (400 ``invalid_result_size``); 100 is the documented maximum."""

SMALLEST_PAGE = 10
"""Drillster's default for most lists: no page but the last is shorter, whatever size is asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint is: the path template below ``/api/<version>/``."""

    path: str
    version: str = "2.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One GET. ``resource`` is the archive's folder; two endpoints may share it (a list, and one of its things)."""

    resource: str
    places: tuple[Place, ...]
    """The first that does not answer 404 to everybody is remembered."""
    identify: Callable[[Any], str] | None = None
    """What makes an item of the list itself; None where the answer is one object without paging."""
    unit: tuple[str, ...] = ()
    """The path parameters that make a unit, in the order of the path."""
    pages_by_id: bool = False
    """Its cursor is documented as the id of the last item, so that it can be followed even if the answer names none."""
    taker: Callable[[Any], str | None] | None = None
    """For a list of people that may instead be one of what they did: the person whose deed an item is, else None."""


def _inner(item: Any, *names: str) -> Any:
    """The first of the named objects inside an item, or the item itself."""
    if isinstance(item, dict):
        for name in names:
            if isinstance(item.get(name), dict):
                return item[name]
    return item


def _all_of(item: Any) -> str:
    """All that an item says, for one that says nothing of who or what it is."""
    try:
        return json.dumps(item, sort_keys=True)
    except RecursionError:
        too_deep = ContractError("an item is nested far deeper than any that Drillster gives")
    raise too_deep


def by_id(*inside: str) -> Callable[[Any], str]:
    """Identify an item by the ``id`` of an object inside it; failing that, by all that it says."""

    def identify(item: Any) -> str:
        thing = _inner(item, *inside)
        found = thing.get("id") if isinstance(thing, dict) else None
        return id_text(found) or _all_of(item)

    return identify


def by_member(item: Any) -> str:
    """A member by account id, an invitee by e-mail address (or by what privacy has put in its place)."""
    member = _inner(item, "member", "user")
    if isinstance(member, dict):
        for name in ("id", "emailAddress", "inviteeKey"):
            if found := id_text(member.get(name)):
                return f"{name}:{found.lower() if name == 'emailAddress' else found}"
    return _all_of(item)


def by_event(item: Any) -> str:
    """An event by its own id where it has one; failing that, by all that it says."""
    found = item.get("eventId") if isinstance(item, dict) else None
    return id_text(found) or _all_of(item)


_OF_AN_ATTEMPT = frozenset({"id", "started", "completed", "score", "progress"})


def attempt_taker(item: Any) -> str | None:
    """Who made the attempt that an item is; None where the item is a person with a list of attempts.

    Test results come in both forms, and their ``total`` counts people in the documented one (API notes, 14).
    """
    if not isinstance(item, dict) or _OF_AN_ATTEMPT.isdisjoint(item):
        return None
    return _person_of(item) or ""


def by_taker(item: Any) -> str:
    """An entry of test results by the person whose attempts it holds, or by the attempt that it is."""
    if attempt_taker(item) is not None:
        found = id_text(item.get("id"))
        return f"attempt:{found}" if found else _all_of(item)
    return _person_of(item) or _all_of(item)


def _person_of(item: Any) -> str | None:
    user = _inner(item, "user", "member")
    return id_text(user.get("id")) if isinstance(user, dict) and user is not item else None


ORGANIZATION = Endpoint(resource="organization", places=(Place("organization"),))
ACCOUNTS = Endpoint(
    resource="accounts", places=(Place("organizations/{organization_id}/accounts"),), identify=by_id("account")
)
CATALOGS = Endpoint(
    resource="catalogs", places=(Place("organization/{organization_id}/catalogs"),), identify=by_id("catalog")
)
CATALOG = Endpoint(resource="catalogs", places=(Place("catalog/{catalog_id}"),), unit=("catalog_id",))
CATALOG_CONTENT = Endpoint(
    resource="catalog_content",
    # The page stands under 2.1.1 and prints an address under 3 ("GET catalog/{id}/content").
    places=(Place("catalog/{catalog_id}/content"), Place("catalog/{catalog_id}/content", "3")),
    identify=by_id("playable"),
    unit=("catalog_id",),
)
GROUPS = Endpoint(resource="groups", places=(Place("groups"),), identify=by_id("group"), pages_by_id=True)
GROUP = Endpoint(resource="groups", places=(Place("group/{group_id}"),), unit=("group_id",))
GROUP_MEMBERS = Endpoint(
    resource="group_members", places=(Place("group/{group_id}/members"),), identify=by_member, unit=("group_id",)
)
GROUP_STAFF = Endpoint(
    resource="group_staff", places=(Place("group/{group_id}/staff"),), identify=by_id("user"), unit=("group_id",)
)
GROUP_DRILLABLES = Endpoint(
    resource="group_drillables", places=(Place("group/{group_id}/drillables"),), identify=by_id(), unit=("group_id",)
)
OBJECTIVES = Endpoint(
    resource="objectives", places=(Place("group/{group_id}/objectives"),), identify=by_id(), unit=("group_id",)
)
OBJECTIVE_EVALUATIONS = Endpoint(
    resource="objective_evaluations",
    places=(Place("group/{group_id}/objective/{objective_id}/evaluations"),),
    identify=by_id("user"),
    unit=("group_id", "objective_id"),
)
RESULTS = Endpoint(
    resource="results",
    places=(Place("group/{group_id}/member-results/{account_id}"),),
    identify=by_id("drillable"),
    unit=("group_id", "account_id"),
)
TEST_RESULTS = Endpoint(
    resource="test_results",
    places=(Place("group/{group_id}/test-results/{test_id}"),),
    identify=by_taker,
    unit=("group_id", "test_id"),
    taker=attempt_taker,
)
OBJECTIVE_EVENTS = Endpoint(
    resource="objective_events",
    # Both addresses stand in the documentation; the plural one is the page's resource URL.
    places=(Place("objectives/{objective_id}/events"), Place("objective/{objective_id}/events")),
    identify=by_event,
    unit=("group_id", "objective_id"),
)

SNAPSHOT_RESOURCES = (
    "organization",
    "accounts",
    "catalogs",
    "catalog_content",
    "groups",
    "group_members",
    "group_staff",
    "group_drillables",
    "objectives",
    "objective_evaluations",
    "results",
    "test_results",
)
