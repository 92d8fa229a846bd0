"""Fields that the documentation does not name: listed once by their path, never fatal.

Drillster may add fields within a version (API 2.1.1, life cycle), which operators should know of, so each is listed
with the unit of the first response that had it: names only, never a value. Known are the fields that columns are read
from, and those that are documented and not loaded (the object pages of API 2.1.1, with what older pages and examples
add).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from drillster_pipeline.errors import ContractError
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.response_shapes import Json, field_name, shown_id
from drillster_pipeline.tables import DATA_TABLES, FIRST_TABLES

from .batches import Page

Fields: TypeAlias = Mapping[str, Any]
"""A dictionary is an object, a dictionary in a list a list of objects, None a plain value (or one that is not checked
further)."""


def _loaded(table: str, scope: str = "") -> dict[str, Any]:
    """The fields that columns are read from, of this table and of all others that are read from the same items.

    Those below a scope, or those of the item itself.
    """
    declared = DATA_TABLES[table]
    found: dict[str, Any] = {}
    for other in DATA_TABLES.values():
        if (other.sources[0], other.inside) == (declared.sources[0], declared.inside):
            for path in (path for column in other.columns for path in (column.path or "{}").split(" | ")):
                first, *others = names = re.split(r"\?\.|[./]", path)
                if ": " in path or "{" in path or (first != scope if scope else first in other.scopes):
                    continue
                *leading, last = others if scope else names
                fields = found
                for name in leading:
                    fields[name] = fields.get(name) or {}
                    fields = fields[name]
                fields.setdefault(last)
    return found


def _fields(*parts: Fields | str) -> dict[str, Any]:
    """All of these fields; a text names plain values."""
    found: dict[str, Any] = {}
    for part in parts:
        found |= dict.fromkeys(part.split()) if isinstance(part, str) else part
    return found


_MEDIA = _fields("type url width height")
_LICENSE = _fields("type text link", {"icon": _MEDIA})
_ORGANIZATION = _fields(
    _loaded("organizations"),
    "type thirdParties mayCreateGroupMemberAccounts catalogs",
    {"avatar": _MEDIA, "contract": _fields(_loaded("organizations")["contract"], "id"), "license": _LICENSE},
)
_USER = _fields(
    _loaded("accounts", "account"),
    "type description biography memberSince quota",
    "inviteeKey",  # what our own privacy settings put on an invitee whose address they hide
    {"avatar": _MEDIA, "organization": _ORGANIZATION, "thirdPartyIds": [_loaded("account_external_ids")]},
)
_PROFICIENCY = _loaded("results", "practice")["proficiency"]
_PRACTICE = _fields(
    _loaded("results", "practice"),
    "autoAdvancement",
    {"highestProficiency": _PROFICIENCY, "eventualProficiency": _PROFICIENCY},
)
_DRILL = _fields(
    _loaded("playables"),
    "description created locale reception subject size columns restrictions affordances creator owner version progress",
    {"icon": _MEDIA, "cover": _MEDIA, "license": _LICENSE, "practice": _PRACTICE},
    {"compatibility": _fields("compatible unsupportedFeatures")},
)
_PLAYABLE = _fields(
    _DRILL,
    "title tags direction style instructions group testType disclosure questions reviewDate startable testResults",
    {"drills": [_DRILL]},
)
_GROUP = _fields(
    _loaded("groups"),
    "type affordances forcedMembershipNotification catalogRestriction permission communicationConfig",
    "subscriptionTermination members",
    {"organization": _ORGANIZATION, "icon": _MEDIA, "drillables": [_PLAYABLE], "tests": [_PLAYABLE]},
)
_OBJECTIVE = _fields(
    _loaded("objectives"),
    "reviewDuration messageConfig usersLink",
    {"icon": _MEDIA, "playables": [_PLAYABLE], "drills": [_PLAYABLE]},
)
_PLAYABLE_EVALUATION = _fields("status", {"playable": _PLAYABLE, "playableResultStatus": _fields("type proficiency")})
_EVALUATION = _fields(
    _loaded("objective_evaluations"),
    {"proficiency": _PROFICIENCY, "user": _USER, "objective": _OBJECTIVE},
    {"playableEvaluations": [_PLAYABLE_EVALUATION]},
)
_SCORE = _fields(_loaded("test_results")["score"], {"transformations": [_loaded("test_result_scores")]})
_TEST_RESULT = _fields(
    _loaded("test_results"),
    "reference questions ticket",
    {"score": _SCORE, "user": _USER, "test": _PLAYABLE, "drills": [{"drill": _PLAYABLE, "score": _SCORE}]},
)
_CATALOG = _fields(
    _loaded("catalogs", "catalog"),
    "type created counts permission subscription subscriptionEnd subscriptionEndYear subscriptionEndMonth",
    "subscriptionEndDay subscriptionEndTime subscriptionEndTimeZone subscriptionEndDuration",
    {"icon": _MEDIA, "organization": _ORGANIZATION},
)

ITEMS: Mapping[str, Fields] = {
    "accounts": _fields(_loaded("accounts"), _USER, {"account": _USER}),
    "catalogs": _fields(_CATALOG, {"catalog": _CATALOG}),
    "catalog_content": _PLAYABLE,
    "groups": _GROUP,
    "group_members": _fields(_loaded("group_members"), _USER, {"member": _USER}),
    "group_staff": _fields(_loaded("group_staff"), {"group": _GROUP, "user": _USER}),
    "group_drillables": _PLAYABLE,
    "objectives": _fields(_OBJECTIVE, {"evaluation": _EVALUATION}),
    "objective_evaluations": _EVALUATION,
    "results": _fields(_PRACTICE, {"drillable": _PLAYABLE, "practice": _PRACTICE, "evaluation": _EVALUATION}),
    "test_results": _fields(_TEST_RESULT, {"member": _USER, "testResults": [_TEST_RESULT]}),
    "objective_events": _fields(
        _loaded("objective_events"),
        {"user": _USER, "evaluation": _EVALUATION, "objectiveEvaluation": _EVALUATION, "proficiency": _PROFICIENCY},
    ),
}
"""What one item of a resource's list may have."""

_PAGED = _fields("total count", {"pagination": _fields("total lastOnPage moreAvailable")})
ANSWERS: Mapping[str, Fields] = {
    "organization": _ORGANIZATION,
    "accounts": _PAGED,
    "catalogs": _fields(_CATALOG, _PAGED, {"catalog": _CATALOG}),
    "catalog_content": _fields(_PAGED, {"playableContainer": _CATALOG}),
    "groups": _fields(_GROUP, _PAGED),
    "group_members": _fields(_PAGED, {"counts": _fields("members invitees")}),
    "group_staff": _fields(_PAGED, {"group": _GROUP}),
    "group_drillables": _fields(_GROUP, _PAGED),
    "objectives": _PAGED,
    "objective_evaluations": _fields(_PAGED, {"objective": ITEMS["objectives"], "group": _GROUP}),
    "results": _fields(_PAGED, {"group": _GROUP, "member": _USER}),
    "test_results": _fields(_PAGED, {"group": _GROUP, "test": _PLAYABLE}),
    "objective_events": _fields(_PAGED, {"objective": ITEMS["objectives"]}),
}
"""What a response may have besides its list."""

MOST_PATHS = 100
"""Per resource: an object used as a map would otherwise be listed entry by entry."""
_MOST_SHAPES = 1_000


class _Node:
    """The known fields of the objects at one path. Objects with the same fields are checked once."""

    __slots__ = ("children", "path", "plans", "unnamed")

    def __init__(self, path: str, fields: Fields, unnamed: Fields | None = None) -> None:
        self.path = path
        self.children: dict[str, _Node | None] = {}
        self.plans: dict[tuple[str, ...], dict[str, _Node]] = {}
        """By the names of an object's fields, those to check further."""
        self.unnamed = unnamed
        """Fields of the items of the one list that may stand here under any name."""
        for name, inside in fields.items():
            place = f"{path}.{name}" if path else name
            if isinstance(inside, list):
                self.children[name] = _Node(f"{place}[]", inside[0])
            else:
                self.children[name] = None if inside is None else _Node(place, inside)


class UnknownFields:
    """Collects, per resource, the paths that the documentation does not name."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, str]] = {}
        """Per resource and path, the unit and page of the first response that had it."""
        self._answers: dict[str, _Node] = {}

    def add_page(self, resource: str, page: Page) -> None:
        """List what is new in one page."""
        names = RESOURCES[resource].list_names
        if resource not in self._answers:
            item = ITEMS.get(resource) or (_loaded(FIRST_TABLES[resource]) if resource in FIRST_TABLES else {})
            fields = {**ANSWERS.get(resource, _PAGED if names else item), **{name: [item] for name in names}}
            self._answers[resource] = _Node("", fields, unnamed=item if names else None)
        body = {names[0]: page.body} if type(page.body) is list and names else page.body
        if type(body) is dict:
            self._check(self._answers[resource], [body], resource, page)

    def _check(self, node: _Node, objects: list[dict[str, Any]], resource: str, page: Page) -> None:
        """Check all the objects of one path together: most have the same fields."""
        children: dict[str, _Node] = {}
        for names in set(map(tuple, objects)):
            plan = node.plans.get(names)
            if plan is None:
                plan = self._plan(node, next(one for one in objects if tuple(one) == names), resource, page)
                if len(node.plans) < _MOST_SHAPES:
                    node.plans[names] = plan
            children |= plan
        for name, child in children.items():
            inside = [one[name] for one in objects if name in one]
            if set(map(type, inside)) != {dict}:
                lists = (value if type(value) is list else [value] for value in inside)
                inside = [one for values in lists for one in values if type(one) is dict]
            if inside:
                self._check(child, inside, resource, page)

    def _plan(self, node: _Node, example: dict[str, Any], resource: str, page: Page) -> dict[str, _Node]:
        """Which fields of an object to check further; those that are unknown are listed."""
        for name in example.keys() - node.children.keys():
            shown, may_be_the_list = field_name(name), node.unnamed is not None and type(example[name]) is list
            if not (may_be_the_list and _is_the_list(resource, example, example[name])):
                self._add(resource, f"{node.path}.{shown}" if node.path else shown, page)
            if node.unnamed is not None and may_be_the_list and len(node.children) < _MOST_SHAPES:
                node.children[name] = _Node(f"{shown}[]", node.unnamed)
        return {name: child for name in example if (child := node.children.get(name)) is not None}

    def _add(self, resource: str, path: str, page: Page) -> None:
        paths = self.found.setdefault(resource, {})
        if path not in paths and len(paths) < MOST_PATHS:
            unit = ", ".join(f"{name} {shown_id(value)}" for name, value in page.unit.items())
            paths[path] = f"{unit}, page {page.number}" if unit else f"page {page.number}"


def _is_the_list(resource: str, answer: dict[str, Any], inside: Json) -> bool:
    """Whether a field with a name of its own is the list that the response is for: then all of it is loaded."""
    try:
        return RESOURCES[resource].items(answer) is inside
    except ContractError:
        return False
