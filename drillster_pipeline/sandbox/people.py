"""Accounts and the persons who own them: when an account exists, and what it shows."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from .draws import DAY, END, FOREVER, HOUR, between, draw, names

_DAYTIME = 16 * HOUR


class Stay(NamedTuple):
    """The time of one account: active from ``start`` to ``left``, then suspended and still listed until ``gone``.

    A guest is managed by one of the other organizations, and stays with one group.
    """

    id: str
    number: int
    chair: int
    start: int
    left: int
    gone: int
    guest_of: int | None = None


def _in_address(name: str) -> str:
    """A name as the local part of an e-mail address has it; empty where it has no Latin letters."""
    plain = unicodedata.normalize("NFKD", name.translate(str.maketrans("Łłø", "Llo")))
    return "".join(letter for letter in plain.lower() if letter.isascii() and letter.isalpha())


class Person:
    """The traits that an account shows, and when its owner logs in: all drawn from its id."""

    def __init__(self, stay: Stay) -> None:
        chance = draw(stay.id)
        self.stay, self.id = stay, stay.id
        self.first_name, self._last_name = chance.choice(names.first_names), chance.choice(names.last_names)
        length = max(1, min(stay.left, END) - stay.start)
        self._married = stay.start + int(chance.random() * length) if chance.random() < 0.05 else FOREVER
        self._married_name = f"{self._last_name}-{chance.choice(names.last_names)}"
        self.external_ids: list[tuple[str, str]] = []
        if stay.guest_of is None:
            if chance.random() < 0.9:
                self.external_ids.append(("HRCO", f"E{10_000 + 7 * stay.number}"))
            if chance.random() < 0.1:
                self.external_ids.append(("LMS", f"linde/{stay.number:x}"))
        domain = names.domain if stay.guest_of is None else names.other_organizations[stay.guest_of][1]
        local = f"{_in_address(self.first_name) or 'medewerker'}.{_in_address(self._last_name) or 'x'}"
        has_address = chance.random() > 0.05 or not self.external_ids
        self.email = f"{local}.{stay.number:x}@{domain}" if has_address else None
        self.locale = chance.choice(names.locales) if chance.random() < 0.94 else None
        self.time_zone = "Europe/Amsterdam" if chance.random() < 0.95 else None
        self.year_of_birth = str(between(chance, 1958, 2006)) if chance.random() < 0.33 else None
        self.avatar = between(chance, 0, 96) if chance.random() < 0.2 else None
        self.repertoire = between(chance, 3, 22)
        away = stay.start + int(chance.random() * length) if length > 60 * DAY and chance.random() < 0.07 else FOREVER
        self._away = (away, min(stay.left, away + between(chance, 5, 25) * DAY))
        self.diligence, self.ability = 0.4 + 0.9 * chance.random(), chance.random()
        self._period, self._key = between(chance, 1, 6) * DAY, chance.getrandbits(40)
        self._first_day = stay.start // DAY * DAY + 5 * HOUR

    def name(self, moment: int) -> str:
        """The name as it is at the moment."""
        last = self._married_name if moment >= self._married else self._last_name
        return f"{self.first_name} {last}"

    def status(self, moment: int) -> str:
        """``ACTIVE`` or ``SUSPENDED``."""
        suspended = moment >= self.stay.left or self._away[0] <= moment < self._away[1]
        return "SUSPENDED" if suspended else "ACTIVE"

    def _login(self, number: int) -> int:
        """Login ``number``: a regular day, at a time of its own."""
        return self._first_day + number * self._period + (self._key + number * 2_654_435_761) % _DAYTIME

    def next_login(self, moment: int) -> int:
        """The first login at or after the moment (and after the account exists, and outside a suspension)."""
        moment = max(moment, self.stay.start)
        number, (away_from, away_to) = (moment - self.stay.start) // self._period, self._away
        while (login := self._login(number)) < moment or away_from <= login < away_to:
            number += 1
        return login

    def last_login(self, moment: int) -> int | None:
        """The latest login up to the moment; None where there was none yet."""
        latest = min(moment, self.stay.left - 1)
        for number in range((latest - self.stay.start) // self._period + 1, -1, -1):
            login = self._login(number)
            if self.stay.start <= login <= latest and not self._away[0] <= login < self._away[1]:
                return login
        return None
