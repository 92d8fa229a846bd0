"""One person taken out of decoded responses, for the right to be forgotten.

Out go the person's own objects, the items of lists that are about the person, and the account id where ids of people
stand (where that is, :mod:`.fields` declares). In running text names and e-mail addresses of the person are replaced.
Field names, other fields that hold no prose, and what is said of other people stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from drillster_pipeline.response_shapes import Json, id_text

from . import fields as persons
from .names import KnownNames

FORGOTTEN = "[forgotten]"
GONE: Final[Any] = object()
"""Stands for a value of which nothing is left."""
_OWN = persons.NAMES | {persons.EMAIL, persons.THIRD_PARTY_IDS}
"""Fields of a person that say who it is: in another person's object they are that person's."""


@dataclass(slots=True)
class Person:
    """Who is to be forgotten, and by which names and e-mail addresses (in lower case) the person is known."""

    account_id: str
    names: set[str] = field(default_factory=set)
    emails: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        return "Person(…)"

    def add(self, found: Mapping[str, Any]) -> None:
        """Take over the names and the address of an object that is the person."""
        self.names.update(name for place in persons.NAMES if (name := _text(found.get(place))))
        if email := _text(found.get(persons.EMAIL)):
            self.emails.add(email.lower())


class Eraser:
    """Takes a person out of responses and texts, by what is known of the person when it is made."""

    def __init__(
        self,
        person: Person,
        *,
        on_removal: Callable[[str, Json], object] = lambda _place, _value: None,
        on_other: Callable[[Mapping[str, Any]], object] = lambda _: None,
    ) -> None:
        """``on_removal`` is given each value of a response that goes or changes; ``on_other`` each other person."""
        self.person = person
        self._on_removal, self._on_other = on_removal, on_other
        self._emails = frozenset(person.emails)
        self._names = KnownNames(self._address, shortest=2)
        for name in person.names:
            if len(name.split()) > 1:  # one word alone is more often that word than the person
                self._names.add(name, FORGOTTEN)

    def text(self, text: str) -> str:
        """A running text without the person: whole names of two words or more, and whole e-mail addresses."""
        return self._names.masked(text)

    def unit(self, unit: Mapping[str, str]) -> Mapping[str, str]:
        """The parameters of a unit without the person: the same object where it is about somebody else."""
        if unit.get(persons.UNIT_OF_PERSON) != self.person.account_id:
            return unit
        return {**unit, persons.UNIT_OF_PERSON: FORGOTTEN}

    def body(self, resource: str, body: Json) -> Json:
        """A response without the person: the same object where nothing changes, GONE where nothing is left.

        ``person`` learns the names and addresses that the response has under the account id.
        """
        return self._value(resource, body, persons.place_of_body(resource), depth=0)

    def _value(self, resource: str, value: Json, place: str, *, depth: int) -> Json:
        if isinstance(value, list):
            place = persons.place_of_items(resource, place, depth)
            items = [
                self._removed(place, item)
                if self._is_about(resource, item)
                else self._value(resource, item, place, depth=depth + 1)
                for item in value
            ]
            changed = any(new is not old for new, old in zip(items, value, strict=True))
            return [item for item in items if item is not GONE] if changed else value
        if isinstance(value, dict):
            return self._object(resource, value, place, depth)
        if persons.holds_account_id(place) and id_text(value) == self.person.account_id:
            return self._removed(place, value)
        if not isinstance(value, str):
            return value
        if place == persons.CURSOR and resource in persons.SUBJECT_PATHS and value == self.person.account_id:
            return self._removed(place, value, FORGOTTEN)
        text = value if place in persons.OPAQUE else self.text(value)
        return value if text == value else self._removed(place, value, text)

    def _removed(self, place: str, value: Json, left: Json = GONE) -> Json:
        """What is left of a value that goes."""
        self._on_removal(place, value)
        return left

    def _object(self, resource: str, value: dict[str, Json], place: str, depth: int) -> Json:
        kept: frozenset[str] = frozenset()
        if persons.is_person(value, place):
            if self.is_person(value, place):
                return self._removed(place, value)
            self._on_other(value)
            kept = _OWN
        elif persons.is_third_party_id(value):
            return value
        fields = {
            name: inner if name in kept else self._value(resource, inner, name, depth=depth + 1)
            for name, inner in value.items()
        }
        changed = any(fields[name] is not inner for name, inner in value.items())
        return {name: inner for name, inner in fields.items() if inner is not GONE} if changed else value

    def _is_about(self, resource: str, item: Json) -> bool:
        found, place = persons.subject_of(resource, item)
        if isinstance(found, dict):
            return persons.is_person(found, place) and self.is_person(found, place)
        return found is not None and id_text(found) == self.person.account_id

    def is_person(self, found: Mapping[str, Any], place: str) -> bool:
        """Whether a person is the one to be forgotten: by account id, or as an invitee by address."""
        account_id = persons.account_of(found, place)
        if account_id is None:
            email = found.get(persons.EMAIL)
            return isinstance(email, str) and email.lower() in self._emails
        if account_id == self.person.account_id:
            self.person.add(found)
            return True
        return False

    def _address(self, address: str) -> str:
        return FORGOTTEN if address.replace("%40", "@").lower() in self._emails else address


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
