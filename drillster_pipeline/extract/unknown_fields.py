"""Fields that the documentation does not name: found in passing, listed once, never fatal.

Drillster may add fields within a version (API 2.1.1, life cycle). Somebody should hear of them, so each is
noted with the unit of the first answer that had it: names only, never a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drillster_pipeline.errors import ContractError
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.response_shapes import Json, field_name, shown_id

from .batches import Page
from .documented_fields import ANSWERS, ITEMS, Fields

MOST_PATHS = 100
"""Per resource: an object used as a map would otherwise be listed entry by entry."""
_MOST_SHAPES = 1_000


class UnknownFields:
    """Collects, per resource, the paths that the documentation does not name."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, str]] = {}
        self._answers: dict[str, _Node] = {}

    def look(self, resource: str, page: Page) -> None:
        """Note what is new in one page."""
        node = self._answers.get(resource)
        if node is None:
            node = self._answers[resource] = _answer(resource)
        body = page.body
        if type(body) is list and resource in ITEMS:
            body = {_list_names(resource)[0]: body}
        if type(body) is dict:
            _look(node, [body], resource, page, self)

    def note(self, resource: str, path: str, page: Page) -> None:
        """Add a path, unless it is known by now or there are too many."""
        paths = self.found.setdefault(resource, {})
        if path not in paths and len(paths) < MOST_PATHS:
            unit = ", ".join(f"{name} {shown_id(value)}" for name, value in page.unit.items())
            paths[path] = f"{unit}, page {page.number}" if unit else f"page {page.number}"


class _Node:
    """The known fields of the objects at one path; objects with the same keys are looked at once."""

    __slots__ = ("children", "path", "plans", "unnamed")

    def __init__(self, path: str, fields: Fields, unnamed: Fields | None = None) -> None:
        self.path = path
        self.children: dict[str, _Node | None] = {}
        self.plans: dict[tuple[str, ...], tuple[tuple[str, _Node], ...]] = {}
        self.unnamed = unnamed
        """Fields of the items of the one list that may stand here under any name."""
        for name, inside in fields.items():
            place = f"{path}.{name}" if path else name
            if isinstance(inside, list):
                self.children[name] = _Node(f"{place}[]", inside[0])
            else:
                self.children[name] = None if inside is None else _Node(place, inside)


def _list_names(resource: str) -> tuple[str, ...]:
    return RESOURCES[resource].list_names


def _answer(resource: str) -> _Node:
    fields = dict(ANSWERS[resource])
    item = ITEMS.get(resource)
    if item is not None:
        fields |= {name: [item] for name in _list_names(resource)}
    return _Node("", fields, unnamed=item)


def _look(node: _Node, objects: list[dict[str, Any]], resource: str, page: Page, unknown: UnknownFields) -> None:
    """Look at all the objects of one path together: most have the same fields, so one look does for them all."""
    children: dict[str, _Node] = {}
    for keys in set(map(tuple, objects)):
        plan = node.plans.get(keys)
        if plan is None:
            example = next(one for one in objects if tuple(one) == keys)
            plan = _plan(node, example, resource, page, unknown)
            if len(node.plans) < _MOST_SHAPES:
                node.plans[keys] = plan
        children.update(plan)
    for name, child in children.items():
        inside = [one[name] for one in objects if name in one]
        if set(map(type, inside)) != {dict}:
            inside = list(_objects_in(inside))
        if inside:
            _look(child, inside, resource, page, unknown)


def _objects_in(values: list[Json]) -> Iterator[dict[str, Any]]:
    for value in values:
        if type(value) is dict:
            yield value
        elif type(value) is list:
            yield from (one for one in value if type(one) is dict)


def _is_the_list(resource: str, answer: dict[str, Any], inside: Json) -> bool:
    """Whether a member with a name of its own is the list that the answer is for: then all of it is loaded."""
    try:
        return RESOURCES[resource].items(answer) is inside
    except ContractError:
        return False


def _plan(
    node: _Node, value: dict[str, Any], resource: str, page: Page, unknown: UnknownFields
) -> tuple[tuple[str, _Node], ...]:
    """Which members to look into; those that nobody knows are noted."""
    plan: list[tuple[str, _Node]] = []
    for name, inside in value.items():
        if name not in node.children:
            shown = field_name(name)
            if not (node.unnamed is not None and _is_the_list(resource, value, inside)):
                unknown.note(resource, f"{node.path}.{shown}" if node.path else shown, page)
            if node.unnamed is None or type(inside) is not list or len(node.children) >= _MOST_SHAPES:
                continue
            node.children[name] = _Node(f"{shown}[]", node.unnamed)
        child = node.children[name]
        if child is not None:
            plan.append((name, child))
    return tuple(plan)
