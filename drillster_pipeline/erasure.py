"""One person taken out of decoded answers: the inverse of nothing, for a right to be forgotten.

Items that are about the person go (the account, a membership, an evaluation, an attempt); elsewhere the person's id,
names and addresses are replaced. What is said of others stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .persons import is_person

FORGOTTEN = "[forgotten]"
_PLACES = ("account", "member", "user", "person", "evaluation", "objectiveEvaluation")
"""Where an item of a list names the one whom it is about."""
_NAMES = frozenset({"name", "realName"})
"""Fields of a person that hold a whole name."""
_SHORTEST_NAME = 5
"""Names that are shorter stand in running text for too many other things."""


class Gone:
    """Stands for what is left out."""


GONE = Gone()


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to be forgotten."""

    account_id: str
    emails: frozenset[str] = frozenset()
    """In lower case."""
    names: frozenset[str] = frozenset()
    """And keys in HR systems."""

    def __repr__(self) -> str:
        return "Person(…)"

    def met_in(self, body: Any) -> Person:
        """The same person with the names and addresses that a body has under the account id."""
        emails, names = set(self.emails), set(self.names)
        for found in _objects_of(body, self.account_id):
            for field in ("name", "realName"):
                if isinstance(found.get(field), str) and found[field].strip():
                    names.add(found[field])
            for key in found.get("thirdPartyIds") or ():
                if isinstance(key, Mapping) and _tells_apart(key.get("id")):
                    names.add(key["id"])
            if isinstance(found.get("emailAddress"), str) and found["emailAddress"].strip():
                emails.add(found["emailAddress"].lower())
        return Person(self.account_id, frozenset(emails), frozenset(names))


class Eraser:
    """Takes a person out of bodies."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self.account_id = person.account_id
        names = (name for name in person.names if len(name) >= _SHORTEST_NAME)
        self.texts = sorted({person.account_id, *person.emails, *names}, key=len, reverse=True)
        """What the person is looked for by in running text."""
        words = "|".join(re.escape(text) for text in self.texts)
        self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    def erased(self, value: Any, place: str = "") -> Any:
        """The value without the person: the same object where nothing changes, GONE where nothing is left."""
        if isinstance(value, list):
            return self._list(value, place)
        if isinstance(value, dict):
            return self._object(value, place)
        return self._text(value) if isinstance(value, str) else value

    def without(self, text: str, *, name_of_a_person: bool) -> str:
        """The text without the person; the whole name of somebody else, who may have the same one, stays."""
        return text if name_of_a_person and text in self._person.names else self._text(text)

    def _text(self, text: str) -> str:
        return self._words.sub(FORGOTTEN, text) if self._words.search(text) else text

    def _list(self, items: list[Any], place: str) -> Any:
        kept = [self.erased(item, place) for item in items if not self.is_about(item)]
        kept = [item for item in kept if item is not GONE]
        unchanged = len(kept) == len(items) and all(new is old for new, old in zip(kept, items, strict=True))
        return items if unchanged else kept

    def _object(self, thing: dict[str, Any], place: str) -> Any:
        if self.is_about(thing):
            return GONE
        # An object of this person never gets so far: whoever it is has the same name.
        names = _NAMES if is_person(thing, place) else ()
        new = {
            self._text(name): self.without(value, name_of_a_person=True)
            if name in names and isinstance(value, str)
            else self.erased(value, name)
            for name, value in thing.items()
        }
        if all(name in new and new[name] is value for name, value in thing.items()):
            return thing
        return {name: value for name, value in new.items() if value is not GONE}

    def is_about(self, item: Any) -> bool:
        """Whether an object is the person, or an entry about the person."""
        if not isinstance(item, Mapping):
            return False
        if item.get("id") == self._person.account_id:
            return True
        email = item.get("emailAddress")
        if isinstance(email, str) and "id" not in item and email.lower() in self._person.emails:
            return True  # an invitation that the person has not accepted
        return any(self.is_about(item.get(place)) for place in _PLACES)


def _tells_apart(key: Any) -> bool:
    """Whether a key of an HR system is not just any word or number."""
    return isinstance(key, str) and len(key) >= _SHORTEST_NAME and any(character.isdigit() for character in key)


def _objects_of(value: Any, account_id: str) -> Iterable[Mapping[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _objects_of(item, account_id)
    elif isinstance(value, dict):
        if value.get("id") == account_id:
            yield value
        for inner in value.values():
            yield from _objects_of(inner, account_id)
