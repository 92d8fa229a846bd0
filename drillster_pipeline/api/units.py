"""The units of a walk: what is asked for, and which units follow from an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drillster_pipeline.response_shapes import id_text, items

from . import endpoints as api
from .endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing to read: an endpoint with its path parameters."""

    endpoint: Endpoint
    params: Mapping[str, str]
    expected: int | None = None
    """How many items Drillster's counts of the group promise, where they do."""

    @property
    def resource(self) -> str:
        """The resource that its answers belong to."""
        return self.endpoint.resource

    @property
    def group(self) -> str | None:
        """The group it belongs to."""
        return self.params.get("group_id")


PARENTS = frozenset({"catalogs", "groups", "group_members", "objectives"})
"""Resources from whose answers other units follow."""
_ENDPOINTS = [value for value in vars(api).values() if isinstance(value, Endpoint)]


def unit_of(resource: str, params: Mapping[str, str]) -> Unit:
    """The unit that an archived answer belongs to."""
    endpoint = next(each for each in _ENDPOINTS if each.resource == resource and set(each.unit) == set(params))
    return Unit(endpoint, params)


def found_in(unit: Unit, body: Any) -> list[Any]:
    """The things that an answer tells of."""
    return [body] if unit.endpoint.identify is None else items(unit.resource, body)


def followers(unit: Unit, found: list[Any], *, events: bool) -> list[Unit]:
    """The units that follow from things in an answer, but for groups (see :func:`group_units`).

    A test may follow from a group and from an objective, so it may be given more than once.
    """
    endpoint, group = unit.endpoint, unit.params.get("group_id", "")
    if endpoint.resource not in PARENTS:
        return []
    ids = [(item, id_of(item, endpoint)) for item in found]
    if endpoint is api.CATALOGS:
        return [Unit(each, {"catalog_id": key}) for _, key in ids if key for each in (api.CATALOG, api.CATALOG_CONTENT)]
    if endpoint is api.GROUP_MEMBERS:
        return [Unit(api.RESULTS, {"group_id": group, "account_id": key}) for _, key in ids if key]
    if endpoint is api.GROUP:
        return [unit for thing in found for unit in _tests(group, thing, "tests")]
    if endpoint is api.OBJECTIVES:
        following = api.OBJECTIVE_EVENTS if events else api.OBJECTIVE_EVALUATIONS
        units = [Unit(following, {"group_id": group, "objective_id": key}) for _, key in ids if key]
        if not events:
            tests = [item for item, _ in ids if isinstance(item, Mapping) and item.get("type") == "TEST"]
            units += [unit for item in tests for unit in _tests(group, item, "playables")]
        return units
    return []


def group_units(group: Any, *, events: bool) -> list[Unit]:
    """What is to be read of a group as the list gives it, its members last; nothing where it has no id."""
    key = id_of(group, api.GROUPS)
    if key is None:
        return []
    params = {"group_id": key}
    if events:
        return [Unit(api.OBJECTIVES, params)]
    counts = group.get("counts") if isinstance(group, Mapping) else None
    return [
        Unit(api.OBJECTIVES, params),
        Unit(api.GROUP, params),
        Unit(api.GROUP_DRILLABLES, params, count_in(counts, "drillables")),
        Unit(api.GROUP_STAFF, params),
        Unit(api.GROUP_MEMBERS, params, count_in(counts, "members")),
    ]


def id_of(item: Any, endpoint: Endpoint) -> str | None:
    """The id that is asked for with; None for an invitee without an account, or for what is malformed."""
    thing = item
    if isinstance(item, Mapping):
        for name in _WRAPPERS.get(endpoint.resource, ()):
            if isinstance(item.get(name), Mapping):
                thing = item[name]
                break
    return id_text(thing.get("id")) if isinstance(thing, Mapping) else None


_WRAPPERS = {"group_members": ("member", "user"), "catalogs": ("catalog",), "groups": ("group",)}


def count_in(counts: Any, name: str) -> int | None:
    """A count of a group (object GroupCounts), if there is one."""
    value = counts.get(name) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _tests(group: str, thing: Any, name: str) -> list[Unit]:
    tests = thing.get(name) if isinstance(thing, Mapping) else None
    if not isinstance(tests, list):
        return []
    keys = [id_of(test, api.TEST_RESULTS) for test in tests]
    return [Unit(api.TEST_RESULTS, {"group_id": group, "test_id": key}) for key in keys if key]
