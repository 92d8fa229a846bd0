"""The units of a walk: what is asked for, and which units follow from an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drillster_pipeline import resources as api
from drillster_pipeline.resources import Endpoint


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


PARENTS = frozenset(parent for resource in api.RESOURCES.values() for parent in resource.parents)
"""Resources from whose answers other units follow."""


def unit_of(resource: str, params: Mapping[str, str]) -> Unit:
    """The unit that an archived answer belongs to."""
    declared = api.RESOURCES[resource]
    is_detail = declared.detail is not None and len(params) > len(declared.unit)
    return Unit(declared.detail if is_detail and declared.detail else declared, params)


def found_in(unit: Unit, body: Any) -> list[Any]:
    """The things that an answer tells of."""
    return api.RESOURCES[unit.resource].items(body) if unit.endpoint.is_list else [body]


def followers(unit: Unit, found: list[Any], *, events: bool) -> list[Unit]:
    """The units that follow from things in an answer, but for groups (see :func:`group_units`).

    A test may follow from a group and from an objective, so it may be given more than once.
    """
    endpoint, group = unit.endpoint, unit.params.get("group_id", "")
    if endpoint.resource not in PARENTS:
        return []
    ids = [(item, api.RESOURCES[unit.resource].id_of(item)) for item in found]
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
    key = api.GROUPS.id_of(group)
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


def count_in(counts: Any, name: str) -> int | None:
    """A count of a group (object GroupCounts), if there is one."""
    value = counts.get(name) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _tests(group: str, thing: Any, name: str) -> list[Unit]:
    tests = thing.get(name) if isinstance(thing, Mapping) else None
    if not isinstance(tests, list):
        return []
    keys = [api.TEST_RESULTS.id_of(test) for test in tests]
    return [Unit(api.TEST_RESULTS, {"group_id": group, "test_id": key}) for key in keys if key]
