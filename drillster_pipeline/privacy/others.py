"""Other people taken out of what one person is given to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drillster_pipeline.response_shapes import Json, id_text

from . import fields as persons
from .erase import Eraser
from .names import KnownNames

ANOTHER = "[another person]"


def names_of(person: Mapping[str, Any]) -> list[str]:
    """The names that an object of Drillster has of a person."""
    return [name for name in map(person.get, persons.NAMES) if isinstance(name, str)]


class OthersHidden:
    """Hides everybody but the person of an eraser: by the objects that they are, by id, name and e-mail address."""

    def __init__(self, eraser: Eraser, names: Iterable[str]) -> None:
        """``names``: those of all people."""
        self._eraser = eraser
        own = eraser.person
        self._names = KnownNames(lambda found: found if found.lower() in own.emails else ANOTHER, shortest=2)
        for name in own.names:
            self._names.add(name, name)
        for name in names:
            self._names.add(name, ANOTHER)

    def text(self, text: str) -> str:
        """A running text without names of two words or more of others, and without their addresses."""
        return self._names.masked(text)

    def unit(self, unit: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a unit, which may be about another person."""
        subject = unit.get(persons.UNIT_OF_PERSON, self._eraser.person.account_id)
        return dict(unit) if subject == self._eraser.person.account_id else {**unit, persons.UNIT_OF_PERSON: ANOTHER}

    def value(self, value: Json, place: str) -> Json:
        """A part of a response; ``place`` is the field that it is in."""
        if isinstance(value, list):
            return [self.value(item, place) for item in value]
        if isinstance(value, dict):
            is_other = persons.is_person(value, place) and not self._eraser.is_person(value, place)
            return ANOTHER if is_other else {name: self.value(inner, name) for name, inner in value.items()}
        if persons.holds_account_id(place) and id_text(value) not in {None, self._eraser.person.account_id}:
            return ANOTHER
        return self.text(value) if isinstance(value, str) and place not in persons.OPAQUE else value
