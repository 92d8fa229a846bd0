"""What an answer looks like when every value in it is replaced by its type, for questions that others may read.

A key may be data as well, where an object is used as a map: one that is no documented field is shown only if it looks
like the name of a field, and is no word of anybody's name, address or key that the answers hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from drillster_pipeline.extract.unknown_fields import ANSWERS, ITEMS, Fields
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.response_shapes import Json, field_name

HIDDEN = "*"
MOST_UNKNOWN_KEYS = 12
"""Unknown fields of one object that are shown; one with more is a map, and what it is keyed by is data."""
_DEEPEST = 40

_WORD = re.compile(r"\w+")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)")
_PRECISIONS = ("minutes", "seconds", "fractions of a second")
_DURATION = re.compile(r"P(?=.)(\d+[YMWD])*(T(\d+(\.\d+)?[HMS])+)?")


def _documented(fields: Fields) -> Iterator[str]:
    for name, inside in fields.items():
        yield name
        inner = inside[0] if isinstance(inside, list) else inside
        if isinstance(inner, Mapping):
            yield from _documented(inner)


DOCUMENTED = frozenset(
    name for fields in (*ITEMS.values(), *ANSWERS.values()) for name in _documented(fields)
) | frozenset(name for each in RESOURCES.values() for name in (*each.list_names, *each.other_lists))
"""Names of fields that the documentation gives: these are never anybody's data."""


class Names:
    """Which keys of objects may be shown. Learns from answers who and what is called how."""

    _OF_THINGS = frozenset({"name", "realName", "emailAddress", "title", "customReference", "reference", "thirdParty"})
    _OF_KEYS = frozenset({"thirdPartyIds"})

    def __init__(self) -> None:
        self._words: set[str] = set()

    def learn(self, value: Json, place: str = "", depth: int = 0) -> None:
        """Know the words of every name, address and key of an HR system in an answer."""
        if depth > _DEEPEST:
            return
        if isinstance(value, dict):
            for name, inner in value.items():
                self.learn(inner, place if place in self._OF_KEYS else name, depth + 1)
        elif isinstance(value, list):
            for inner in value:
                self.learn(inner, place, depth + 1)
        elif isinstance(value, str) and (place in self._OF_THINGS or place in self._OF_KEYS):
            self._words.update(word.casefold() for word in _WORD.findall(value))

    def shown(self, name: str) -> str:
        """The key, or ``*``."""
        if name in DOCUMENTED:
            return name
        return HIDDEN if name.casefold() in self._words else field_name(name)

    def shown_path(self, path: str) -> str:
        """The same for a path such as ``accounts[].account.nickname``."""
        parts = [(part.removesuffix("[]"), part.endswith("[]")) for part in path.split(".")]
        return ".".join(f"{self.shown(name)}{'[]' if is_list else ''}" for name, is_list in parts)


def type_of(value: Json) -> str:
    """The type of a value, in words; of a text also what is written in it, where that is a form and no content."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "whole number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "list"
    if not value:
        return "empty text"
    if precision := precision_of(value):
        return f"timestamp in {precision}"
    if value.isascii() and value.isdecimal():
        return "text of digits"
    return "duration" if _DURATION.fullmatch(value) else "text"


def precision_of(value: Json) -> str | None:
    """``minutes``, ``seconds`` or ``fractions of a second`` for a timestamp as text; None for anything else."""
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) and len(value) < 40 else None
    return None if found is None else _PRECISIONS[(found[1] is not None) + (found[2] is not None)]


@dataclass(slots=True)
class Shape:
    """What was met at one place of some answers: types and how often, and the places inside."""

    types: Counter[str] = field(default_factory=Counter)
    fields: dict[str, Shape] = field(default_factory=dict)
    items: Shape | None = None

    def add(self, value: Json, names: Names, depth: int = 0) -> None:
        """Take in a value."""
        self.types[type_of(value)] += 1
        if depth > _DEEPEST:
            return
        if isinstance(value, dict):
            unknown = [name for name in value if name not in DOCUMENTED]
            is_map = len(unknown) > MOST_UNKNOWN_KEYS
            for name, inner in value.items():
                shown = HIDDEN if is_map and name not in DOCUMENTED else names.shown(name)
                self.fields.setdefault(shown, Shape()).add(inner, names, depth + 1)
        elif isinstance(value, list):
            self.items = self.items or Shape()
            for inner in value:
                self.items.add(inner, names, depth + 1)

    def as_json(self) -> Any:
        """Types in place of values; a field that not every object has ends in ``?``, a list is a list of one."""
        forms: list[Any] = []
        if self.types["object"]:
            forms.append(
                {
                    f"{name}{'' if inner.types.total() >= self.types['object'] else '?'}": inner.as_json()
                    for name, inner in sorted(self.fields.items())
                }
            )
        if self.types["list"]:
            inside = self.items
            forms.append([inside.as_json()] if inside is not None and inside.types else [])
        plain = " | ".join(sorted(kind for kind in self.types if kind not in {"object", "list"}))
        if plain:
            forms.append(plain)
        return forms[0] if len(forms) == 1 else {"any of": forms}

    def types_by_path(self, prefix: str = "") -> dict[str, str]:
        """Path to types, such as ``accounts[].account.nickname`` to ``text | null``."""
        found: dict[str, str] = {}
        for name, inner in self.fields.items():
            path = f"{prefix}.{name}" if prefix else name
            found[path] = " | ".join(sorted(inner.types))
            found |= inner.types_by_path(path)
        if self.items is not None:
            found |= self.items.types_by_path(f"{prefix}[]")
        return found


def shape_of(bodies: Iterable[Json], names: Names) -> Shape:
    """The shape of several answers of one endpoint."""
    shape = Shape()
    for body in bodies:
        shape.add(body, names)
    return shape
