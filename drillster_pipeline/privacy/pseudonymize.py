"""Keeps, pseudonymizes or drops what says who a person is, before anything is written.

``keep`` changes nothing. ``pseudonymize`` puts keyed digests (HMAC-SHA256) in place of names, e-mail addresses and
keys of HR systems: the same in every run, so that joins and counts work, and of no use without the key.
``drop`` leaves them out. Account ids stay in every mode: they are opaque, and everything is joined by them. What is
kept of a person, and why, is in fields.py; the reasons are in docs/decisions/0005-privacy-before-archive.md.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Literal

from drillster_pipeline.errors import ContractError, SettingsError
from drillster_pipeline.response_shapes import Json

from . import fields as persons
from .names import KnownNames, has_address, without_addresses

Mode = Literal["keep", "pseudonymize", "drop"]

EMAIL_DOMAIN = "pseudonym.invalid"
"""Reserved: mail to it goes nowhere (RFC 2606, section 2)."""
REMOVED = "[removed]"
"""Stands in running text for a person whom it named, in mode ``drop``."""

_NAME_DIGITS, _EMAIL_DIGITS, _VALUE_DIGITS, _INVITEE_DIGITS = 16, 20, 32, 32
_SHORTEST_KEY = 5
"""Characters from which the key of an HR system is looked for in running text: "100" is more often a number."""
_FIELD = re.compile(r"[A-Za-z0-9_.:-]+", re.ASCII)
"""Names of fields, and ids; anything else that a member of an object is called is data."""
_TITLES = frozenset({"name", "title"})
_MEMBER_PLACES = frozenset({"member", "people"})


class Privacy:
    """One of the three modes, to be applied to the body of every response. Safe for any number of threads.

    ``key`` is the pseudonym key; ``pseudonymize`` needs it (SettingsError), ``drop`` uses it for the keys of invitees
    if it is there. Without it these are derived from ``organization_id`` alone, and whoever has that and a list of
    e-mail addresses can find out which of them were invited.
    """

    def __init__(self, mode: Mode, key: str | None, *, organization_id: str = "self") -> None:
        if mode not in {"keep", "pseudonymize", "drop"}:
            raise SettingsError("DRILLSTER_PERSONAL_DATA must be keep, pseudonymize or drop.")
        if mode == "pseudonymize" and not key:
            raise SettingsError(
                "DRILLSTER_PERSONAL_DATA=pseudonymize needs DRILLSTER_PSEUDONYM_KEY: a long random text, kept as "
                "long as the data, for other pseudonyms come out of another one."
            )
        self.mode: Mode = mode
        self.knows_everyone = False
        """Whether all accounts were learnt."""
        self.known = KnownNames(self.address, shortest=2)
        """The names of everyone who was learnt."""
        self._key = (key or f"drillster-pipeline invitees of {organization_id}").encode()

    def apply(self, resource: str, body: Json) -> Json:
        """The body of a response of ``resource`` as it may be written. Its argument is never changed.

        Raises ContractError where it is nested too deeply to be gone through.
        """
        if self.mode == "keep":
            return body
        return self._walk(resource, lambda: _Pass(self, resource, KnownNames(self.address)).run(body))

    def learn(self, resource: str, body: Json) -> None:
        """Add everyone in a response to those who are known, so that their names are found in all others.

        Not to be called while other threads apply. Raises ContractError where it is nested too deeply.
        """
        if self.mode != "keep":
            self._walk(resource, lambda: _Pass(self, resource, self.known).learn(body))

    def _walk(self, resource: str, walk: Callable[[], Json]) -> Json:
        try:
            return walk()
        except RecursionError:
            too_deep = ContractError(f"{resource}: a response is nested far deeper than any that Drillster gives.")
        raise too_deep

    def unit(self, params: Mapping[str, str]) -> Mapping[str, str]:
        """Path parameters as they may be written: an id may be an e-mail address, and is hidden as in a body."""
        if self.mode == "keep" or not any(map(has_address, params.values())):
            return params
        return {name: without_addresses(value, self.address) for name, value in params.items()}

    def address(self, address: str) -> str:
        """What stands for an e-mail address."""
        if self.mode == "drop":
            return REMOVED
        canonical = _canonical(address.replace("%40", "@"), persons.EMAIL)
        return f"{self.digest('e-mail', canonical, _EMAIL_DIGITS)}@{EMAIL_DOMAIN}"

    def __repr__(self) -> str:
        return f"Privacy(mode={self.mode!r}, key=***)"

    def digest(self, kind: str, value: str, digits: int) -> str:
        """Hexadecimal digits of the keyed digest of a value; the same value of another kind gives others."""
        return hmac.digest(self._key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[
            :digits
        ]


class _Pass:
    """One body: first the names of everyone in it are learnt; then it is rebuilt without them."""

    def __init__(self, privacy: Privacy, resource: str, names: KnownNames) -> None:
        self._digest, self._address, self._known = privacy.digest, privacy.address, privacy.known
        self._drop = privacy.mode == "drop"
        self._resource = resource
        self._names = names

    def run(self, body: Json) -> Json:
        self.learn(body)
        return self._rebuilt(body, persons.place_of_body(self._resource), depth=0)

    def learn(self, body: Json) -> None:
        """Add the names of everyone in a body to those that are known."""
        self._learn(body, persons.place_of_body(self._resource), depth=0)

    def _learn(self, value: Json, place: str, *, depth: int) -> None:
        if isinstance(value, list):
            place = persons.place_of_items(self._resource, place, depth)
            for item in value:
                self._learn(item, place, depth=depth + 1)
        elif isinstance(value, dict):
            if persons.is_person(value, place):
                self._note_names(value)
            elif persons.is_third_party_id(value):
                self._note_key(value)
            for name, inner in value.items():
                self._learn(inner, name, depth=depth + 1)
        elif isinstance(value, str) and persons.names_a_person(value, place):
            self._names.add(value, REMOVED if self._drop else self._name({}, value))

    def _note_names(self, person: Mapping[str, Any]) -> None:
        for field in persons.NAMES:
            name = person.get(field)
            if isinstance(name, str) and name.strip():
                self._names.add(name, REMOVED if self._drop else self._name(person, name))
        email = person.get(persons.EMAIL)
        if isinstance(email, str) and email.strip():
            self._names.add(email, self._address(email), unmistakable=True)

    def _note_key(self, value: Mapping[str, Any]) -> None:
        key = value["id"]
        if isinstance(key, str) and len(key) >= _SHORTEST_KEY and any(character.isdigit() for character in key):
            self._names.add(key, REMOVED if self._drop else self._key(value), unmistakable=True)

    def _rebuilt(self, value: Json, place: str, *, depth: int) -> Json:
        if isinstance(value, str):
            return self._text(value, place)
        if isinstance(value, list):
            place = persons.place_of_items(self._resource, place, depth)
            return [self._rebuilt(item, place, depth=depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        if persons.is_person(value, place):
            return self._person(value, place, depth)
        if persons.is_third_party_id(value):
            return self._third_party_id(value)
        rebuilt = {}
        for name, inner in value.items():
            if name == persons.EMAIL and isinstance(inner, str):
                if not self._drop:
                    rebuilt[name] = self._address(inner)
            elif name == persons.REFERENCE:
                rebuilt[name] = self._hidden(inner)
            elif name == persons.THIRD_PARTY_IDS and self._drop:
                continue
            else:
                rebuilt[self._field_name(name)] = self._rebuilt(inner, name, depth=depth + 1)
        return rebuilt

    def _person(self, person: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
        rebuilt: dict[str, Any] = {}
        for name, value in person.items():
            if name in persons.WITHOUT_PSEUDONYM or (self._drop and name in _DROPPED):
                continue
            if isinstance(value, str) and not value.strip():
                rebuilt[name] = value
            elif isinstance(value, str) and name in persons.NAMES:
                rebuilt[name] = self._name(person, value)
            elif isinstance(value, str) and name == persons.EMAIL:
                rebuilt[name] = self._address(value)
            elif name in _GONE_THROUGH or _holds_known_objects(value, name):
                rebuilt[name] = self._rebuilt(value, name, depth=depth + 1)
            else:
                rebuilt[self._field_name(name)] = self._hidden(value)
        if place in _MEMBER_PLACES and self._resource == "group_members" and not person.get("id"):
            key = self._invitee_key(person)
            if key is not None:
                rebuilt["inviteeKey"] = key
        return rebuilt

    def _third_party_id(self, value: Mapping[str, Any]) -> dict[str, Any]:
        rebuilt = {name: self._hidden(inner) for name, inner in value.items() if name not in {"thirdParty", "id"}}
        rebuilt["thirdParty"] = value["thirdParty"]
        if not self._drop:
            rebuilt["id"] = self._key(value)
        return rebuilt

    def _text(self, text: str, place: str) -> str:
        if persons.names_a_person(text, place):
            return REMOVED if self._drop else self._name({}, text)
        if place in persons.OPAQUE and "@" not in text:
            return text
        return self._known.without_names(self._names.masked(text, title=place in _TITLES))

    def _hidden(self, value: Json) -> Json:
        """What an unknown field of a person becomes: the field stays, so that it is noticed, its content does not."""
        if isinstance(value, str):
            return None if self._drop else self._digest("value", value, _VALUE_DIGITS)
        if isinstance(value, list):
            return [self._hidden(item) for item in value]
        if isinstance(value, dict):
            return {self._field_name(name): self._hidden(inner) for name, inner in value.items()}
        return value if isinstance(value, bool) else None

    def _field_name(self, name: str) -> str:
        """The name of a field, which in an object that is used as a map may be an address, a name or a key."""
        if _FIELD.fullmatch(name) and self._known.without_names(self._names.without_names(name)) == name:
            return name
        return f"field-{self._digest('field', name, _VALUE_DIGITS)}"

    def _name(self, person: Mapping[str, Any], name: str) -> str:
        """The pseudonym of a person's name: of the account where there is one, so that namesakes stay two people."""
        for field in ("id", persons.EMAIL):
            value = person.get(field)
            if isinstance(value, str) and value:
                return f"person-{self._digest(f'name by {field}', _canonical(value, field), _NAME_DIGITS)}"
        return f"person-{self._digest('name', _canonical(name, 'name'), _NAME_DIGITS)}"

    def _key(self, third_party_id: Mapping[str, Any]) -> str:
        return self._digest("third party", f"{third_party_id['thirdParty']}\0{third_party_id['id']}", _VALUE_DIGITS)

    def _invitee_key(self, person: Mapping[str, Any]) -> str | None:
        """What distinguishes an invitee without an account from others, run after run, where no address is left."""
        for field in (persons.EMAIL, "name", "realName"):
            value = person.get(field)
            if isinstance(value, str) and value.strip():
                if field == persons.EMAIL and not self._drop:
                    return None  # its pseudonym does that
                return self._digest(f"invitee by {field}", _canonical(value, persons.EMAIL), _INVITEE_DIGITS)
        return None


_GONE_THROUGH = persons.KEPT | persons.COARSE | persons.CONTAINERS | {persons.THIRD_PARTY_IDS}
_DROPPED = persons.NAMES | persons.COARSE | {persons.EMAIL, persons.THIRD_PARTY_IDS}


def _holds_known_objects(value: Json, place: str) -> bool:
    """Whether an unknown field of a person holds something that is gone through by rules of its own."""
    found = value[0] if isinstance(value, list) and value else value
    return isinstance(found, dict) and (persons.is_thing(found) or persons.is_person(found, place))


def _canonical(value: str, field: str) -> str:
    """One spelling for all ways to write it: composed characters, and lower case for an address."""
    composed = unicodedata.normalize("NFC", value.strip())
    return composed.lower() if field == persons.EMAIL else composed
