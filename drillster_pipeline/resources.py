"""The resources of Drillster's API that are captured: the one list of them.

A resource is a declaration: where it is, which lists lead to it, where its own list is in a response, what identifies
an item of that list, and how its pages are followed. The crawler, the tables, the load types and the assets
follow from it. Facts are those of the API 2.1.1 documentation; what that leaves open is read in every form it allows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import ContractError
from .response_shapes import Json, id_text, named_total, shown


class Path(NamedTuple):
    """A path template below ``/api/<version>/``."""

    path: str
    version: str = "2.1.1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Endpoint:
    """One GET."""

    resource: str
    """Name of the resource that its responses belong to."""
    paths: tuple[Path, ...]
    """The first that does not answer 404 to everybody is remembered."""
    unit: tuple[str, ...] = ()
    """The parameters that make a unit, those of its first parent and an item's id: by default those of the path."""
    counted_as: str | None = None
    """The field of ``counts`` of that item which says how long the list is."""

    def __post_init__(self) -> None:
        of_path = tuple(name for name in re.findall(r"\{(\w+)\}", self.path) if name != "organization_id")
        object.__setattr__(self, "unit", self.unit or of_path)

    @property
    def is_list(self) -> bool:
        """Whether a response is a page of a list; else it is one object."""
        return False

    @property
    def path(self) -> str:
        """The documented path template, by which the endpoint is named in messages."""
        return self.paths[0].path


RESOURCES: dict[str, Resource] = {}
"""All resources by name, in the order in which they are declared and read: what leads to another comes before it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resource(Endpoint):
    """A resource, and the endpoint that answers it: a list, or a single object where ``list_names`` is empty."""

    description: str
    parents: tuple[str, ...] = ()
    """The resources whose items lead to its units; the first is the one without which nothing is known of it.

    It is requested for each item of that list, but for test results, which :mod:`drillster_pipeline.api.crawler` finds.
    """
    detail: Endpoint | None = None
    """The endpoint of a single item, where there is one besides the list."""
    list_names: tuple[str, ...] = ()
    """Field of a response that holds the list: the documented name first."""
    other_lists: frozenset[str] = frozenset()
    """Lists that the same object may have for another reason."""
    list_is_optional: bool = False
    """Drillster leaves out optional fields: an object without the list then means that it is empty."""
    item_in: tuple[str, ...] = ()
    """Field of an item that holds the object with the id, where that is not the item itself."""
    key_of: Callable[[Any], str | None] | None = None
    """What identifies an item, where that is not the id of its object."""
    attempt_by: Callable[[Any], str | None] | None = None
    """For a list of people that may be one of attempts instead: who made the attempt; None where it is a person."""
    pages_by_id: bool = False
    """Its cursor is documented as the id of the last item, so that it can be followed even if the response has none."""

    def __post_init__(self) -> None:
        Endpoint.__post_init__(self)
        RESOURCES[self.resource] = self

    @property
    def is_list(self) -> bool:
        """See :class:`Endpoint`."""
        return bool(self.list_names)

    def id_of(self, item: Any) -> str | None:
        """The id of an item; None for an invitee without an account, or for what is malformed."""
        found = _inner(item, self.item_in)
        return id_text(found.get("id")) if isinstance(found, dict) else None

    def identity(self, item: Any) -> str:
        """What makes an item of the list itself; its complete content where it names no key."""
        key = self.id_of(item) if self.key_of is None else self.key_of(item)
        if key:
            return key
        try:
            return json.dumps(item, sort_keys=True)
        except RecursionError:
            too_deep = ContractError("an item is nested far deeper than any that Drillster gives")
        raise too_deep

    def items(self, body: Json) -> list[Json]:
        """The list in a response. Raises ContractError, naming the fields that are there, for none or several."""
        if isinstance(body, list):
            return body
        if not isinstance(body, dict):
            raise ContractError(f"{self.resource}: expected an object or a list, found {type(body).__name__}")
        for name in self.list_names:
            if (found := body.get(name)) is not None:
                if not isinstance(found, list):
                    raise ContractError(f"{self.resource}: '{name}' should be a list, is {type(found).__name__}")
                return found
        candidates = {
            name: value
            for name, value in body.items()
            if isinstance(value, list)
            and name not in self.other_lists
            and all(isinstance(item, dict) for item in value)
        }
        filled = {name: value for name, value in candidates.items() if value}
        expected = " or ".join(f"'{name}'" for name in self.list_names)
        if len(filled) > 1:
            raise ContractError(f"{self.resource}: expected one list under {expected}, found several: {shown(filled)}")
        if filled or len(candidates) == 1:
            return next(iter((filled or candidates).values()))
        if candidates or self.list_is_optional or _is_stated_to_be_empty(body):
            return []
        raise ContractError(f"{self.resource}: expected a list under {expected}, found {shown(body)}")


def _is_stated_to_be_empty(body: Mapping[str, Json]) -> bool:
    total = named_total(body)
    if total is not None:
        return total == 0
    pagination = body.get("pagination")
    return (
        isinstance(pagination, dict)
        and pagination.get("moreAvailable") is False
        and pagination.get("lastOnPage") is None
    )


def _inner(item: Any, names: tuple[str, ...]) -> Any:
    """The first of the named objects inside an item, or the item itself."""
    if isinstance(item, dict):
        for name in names:
            if isinstance(item.get(name), dict):
                return item[name]
    return item


def _member_key(item: Any) -> str | None:
    """A member by account id, an invitee by e-mail address (or by what privacy has put in its place)."""
    member = _inner(item, ("member", "user"))
    for name in ("id", "emailAddress", "inviteeKey") if isinstance(member, dict) else ():
        if found := id_text(member.get(name)):
            return f"{name}:{found.lower() if name == 'emailAddress' else found}"
    return None


def _event_key(item: Any) -> str | None:
    return id_text(item.get("eventId")) if isinstance(item, dict) else None


_OF_AN_ATTEMPT = frozenset({"id", "started", "completed", "score", "progress"})


def _taker(item: Any) -> str | None:
    user = _inner(item, ("user", "member"))
    return id_text(user.get("id")) if isinstance(user, dict) and user is not item else None


def attempt_by(item: Any) -> str | None:
    """Who made the attempt that an item is; None where the item is a person with a list of attempts.

    Test results come in both forms, and their ``total`` counts people in the documented one (API notes, 14).
    """
    if not isinstance(item, dict) or _OF_AN_ATTEMPT.isdisjoint(item):
        return None
    return _taker(item) or ""


def _test_result_key(item: Any) -> str | None:
    """The person whose attempts an item has, or the attempt that it is."""
    if attempt_by(item) is None:
        return _taker(item)
    found = id_text(item.get("id"))
    return f"attempt:{found}" if found else None


ORGANIZATION = Resource(
    resource="organization",
    description="The organization, as `organization` answers it.",
    paths=(Path("organization"),),
)
ACCOUNTS = Resource(
    resource="accounts",
    description="All accounts that the organization manages, staff included (`organizations/{o}/accounts`).",
    paths=(Path("organizations/{organization_id}/accounts"),),
    list_names=("accounts", "organizationAccounts"),
    item_in=("account",),
)
CATALOG = Endpoint(resource="catalogs", paths=(Path("catalog/{catalog_id}"),))
CATALOGS = Resource(
    resource="catalogs",
    description="The catalogs of the organization (`organization/{o}/catalogs`) and each of them (`catalog/{c}`).",
    paths=(Path("organization/{organization_id}/catalogs"),),
    detail=CATALOG,
    list_names=("catalogs",),
    item_in=("catalog",),
)
CATALOG_CONTENT = Resource(
    resource="catalog_content",
    description="The playables of each catalog (`catalog/{c}/content`).",
    # The page stands under 2.1.1 and prints an address under 3 ("GET catalog/{id}/content").
    paths=(Path("catalog/{catalog_id}/content"), Path("catalog/{catalog_id}/content", "3")),
    parents=("catalogs",),
    list_names=("playables", "content"),
    item_in=("playable",),
)
GROUP = Endpoint(resource="groups", paths=(Path("group/{group_id}"),))
GROUPS = Resource(
    resource="groups",
    description=(
        "The groups that the service account may see (`groups`), and each of them with its tests (`group/{g}`)."
    ),
    paths=(Path("groups"),),
    detail=GROUP,
    list_names=("groups",),
    item_in=("group",),
    pages_by_id=True,
)
GROUP_MEMBERS = Resource(
    resource="group_members",
    description="Members and invitees of each group (`group/{g}/members`).",
    paths=(Path("group/{group_id}/members"),),
    counted_as="members",
    parents=("groups",),
    list_names=("members",),
    item_in=("member", "user"),
    key_of=_member_key,
)
GROUP_STAFF = Resource(
    resource="group_staff",
    description="Who may view or manage each group (`group/{g}/staff`).",
    paths=(Path("group/{group_id}/staff"),),
    parents=("groups",),
    list_names=("groupStaffUsers",),
    item_in=("user",),
)
GROUP_DRILLABLES = Resource(
    resource="group_drillables",
    description="Drills and courses of each group (`group/{g}/drillables`).",
    paths=(Path("group/{group_id}/drillables"),),
    counted_as="drillables",
    parents=("groups",),
    list_names=("drillables",),
    # The response is a Group object, which may carry its tests and members as well.
    other_lists=frozenset({"tests", "members", "affordances", "catalogs"}),
    list_is_optional=True,
)
OBJECTIVES = Resource(
    resource="objectives",
    description="Objectives of each group (`group/{g}/objectives`).",
    paths=(Path("group/{group_id}/objectives"),),
    parents=("groups",),
    list_names=("objectives",),
)
OBJECTIVE_EVALUATIONS = Resource(
    resource="objective_evaluations",
    description="Who meets each objective now (`group/{g}/objective/{o}/evaluations`).",
    paths=(Path("group/{group_id}/objective/{objective_id}/evaluations"),),
    parents=("objectives",),
    list_names=("evaluations", "objectiveEvaluations"),
    item_in=("user",),
)
RESULTS = Resource(
    resource="results",
    description="Results of each member for each drillable (`group/{g}/member-results/{a}`): the cost driver.",
    paths=(Path("group/{group_id}/member-results/{account_id}"),),
    parents=("group_members",),
    list_names=("groupDrillableMemberResults",),
    item_in=("drillable",),
)
TEST_RESULTS = Resource(
    resource="test_results",
    description="Attempts at each test of each group (`group/{g}/test-results/{t}`).",
    paths=(Path("group/{group_id}/test-results/{test_id}"),),
    parents=("groups", "objectives"),
    list_names=("memberTestResults", "testResults", "groupTestResults"),
    key_of=_test_result_key,
    attempt_by=attempt_by,
)
OBJECTIVE_EVENTS = Resource(
    resource="objective_events",
    description=(
        "Who came to meet an objective, or no longer met it, in the window of the partition and the day before "
        "(`objectives/{o}/events`): the one resource that can be fetched for a past date."
    ),
    # Both addresses stand in the documentation; the plural one is the page's resource URL.
    paths=(Path("objectives/{objective_id}/events"), Path("objective/{objective_id}/events")),
    unit=("group_id", "objective_id"),
    parents=("objectives",),
    list_names=("events",),
    key_of=_event_key,
)

CAPTURED: Mapping[str, tuple[str, ...]] = {
    "snapshot": tuple(name for name in RESOURCES if name != OBJECTIVE_EVENTS.resource),
    "events": (OBJECTIVE_EVENTS.resource,),
}
"""The resources of each kind of capture."""

NOT_CAPTURED: Mapping[str, Any] = {
    "status": "not captured",
    "why": "not captured, as this resource was added later",
    **dict.fromkeys(("units", "pages", "items"), 0),
    **dict.fromkeys(("lost", "short", "parts"), ()),
    "named_total": None,
}
"""The entry of a resource that a manifest lacks: an earlier version of this program made the capture."""


def entry_of(manifest: Mapping[str, Any], resource: str) -> Mapping[str, Any]:
    """What a manifest says of a resource of its kind."""
    entry: Mapping[str, Any] = manifest["resources"].get(resource, NOT_CAPTURED)
    return entry


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing to read: an endpoint with its path parameters."""

    endpoint: Endpoint
    params: Mapping[str, str]
    expected: int | None = None
    """How many items Drillster's counts of the group promise, where they do."""

    @property
    def resource(self) -> str:
        """The resource that its responses belong to."""
        return self.endpoint.resource

    @property
    def group(self) -> str | None:
        """The group it belongs to."""
        return self.params.get("group_id")


def unit_of(resource: str, params: Mapping[str, str]) -> Unit:
    """The unit that an archived response belongs to."""
    declared = RESOURCES[resource]
    if declared.detail is not None and len(params) > len(declared.unit):
        return Unit(declared.detail, params)
    return Unit(declared, params)
