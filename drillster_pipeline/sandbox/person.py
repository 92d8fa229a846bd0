"""A person: the traits that an account shows, how they go about learning, and when they log in."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace

from .calendar import DAY, HOUR
from .chance import GOLDEN, MASK, between, fold, mix, unit
from .ids import Ids, Kind, Reference
from .names import (
    APPLICATION_MANAGER,
    DOMAIN,
    FIRST_NAMES,
    LAST_NAMES,
    LOCALES,
    OTHER_ORGANIZATIONS,
    SERVICE_ACCOUNT,
)

_PERSON = 2
SERVICE_NUMBER, MANAGER_NUMBER = 0, 1
_DAYTIME = 16 * HOUR


def _in_address(name: str) -> str:
    """A name as the local part of an e-mail address has it; empty where it has no Latin letters."""
    plain = unicodedata.normalize("NFKD", name.replace("Ł", "L").replace("ł", "l").replace("ø", "o"))
    return "".join(letter for letter in plain.lower() if letter.isascii() and letter.isalpha())


_FIRST_IN_ADDRESS = tuple(_in_address(name) or "medewerker" for name in FIRST_NAMES)
_LAST_IN_ADDRESS = tuple(_in_address(name) or "x" for name in LAST_NAMES)


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with an account (or, as an invitee, perhaps still without)."""

    reference: Reference
    id: str
    key: int
    start: int
    left: int
    gone: int
    first_name: str
    last_name: str
    married_name: str | None
    """The last name from ``married`` on; None for those who keep theirs."""
    married: int
    email: str | None
    locale: str | None
    year_of_birth: str | None
    time_zone: str | None
    external_ids: tuple[tuple[str, str], ...]
    organization: int | None
    """Which of the other organizations manages the account; None: ours."""
    away: tuple[int, int]
    """A time of suspension within the stint; empty where both are the same."""
    diligence: float
    ability: float
    period: int
    """Milliseconds from one login to the next, about."""
    first_day: int
    """The morning of the first day, from which logins are counted."""

    def __hash__(self) -> int:
        """Quick, as caches ask for it all the time."""
        return self.key

    def name(self, moment: int) -> str:
        """The name as it is at the moment."""
        last = self.married_name if self.married_name and moment >= self.married else self.last_name
        return f"{self.first_name} {last}".strip()

    def status(self, moment: int) -> str:
        """``ACTIVE`` or ``SUSPENDED``."""
        suspended = moment >= self.left or self.away[0] <= moment < self.away[1]
        return "SUSPENDED" if suspended else "ACTIVE"

    def _login(self, number: int) -> int:
        """Login ``number``: a regular day, at a time of its own."""
        jitter = ((self.key + number * GOLDEN) & MASK) >> 33
        return self.first_day + number * self.period + jitter % _DAYTIME

    def next_login(self, moment: int) -> int:
        """The first login at or after the moment (and after the account exists, and outside a suspension)."""
        moment = max(moment, self.start)
        number = (moment - self.start) // self.period
        away_from, away_to = self.away
        first, period, key = self.first_day, self.period, self.key
        while True:  # the arithmetic of _login, which is asked for all too often
            login = first + number * period + (((key + number * GOLDEN) & MASK) >> 33) % _DAYTIME
            if login >= moment and not away_from <= login < away_to:
                return login
            number += 1

    def last_login(self, moment: int) -> int | None:
        """The latest login up to the moment; None where there was none yet."""
        number = (min(moment, self.left) - self.start) // self.period + 1
        while number >= 0:
            login = self._login(number)
            within = self.start <= login <= moment and login < self.left
            if within and not self.away[0] <= login < self.away[1]:
                return login
            number -= 1
        return None


class Register:
    """Makes persons out of references and stints."""

    def __init__(self, ids: Ids, seed: int) -> None:
        self._ids = ids
        self._seed = fold(seed, _PERSON)

    def person(self, reference: Reference, start: int, left: int, gone: int, *, chair_key: int) -> Person:
        """The person of a stint (or of an external's time with a group)."""
        bits = fold(self._seed, chair_key, reference.second, reference.kind)
        more, traits = mix(bits), mix(mix(bits))
        which_first, which_last = bits % len(FIRST_NAMES), (bits >> 16) % len(LAST_NAMES)
        last = LAST_NAMES[which_last]
        married = LAST_NAMES[(bits >> 32) % len(LAST_NAMES)] if more % 20 == 0 else None
        other = (more >> 8) % len(OTHER_ORGANIZATIONS) if reference.kind is Kind.EXTERNAL else None
        domain = DOMAIN if other is None else OTHER_ORGANIZATIONS[other][1]
        tag = f"{reference.first:x}" + (f".{reference.second}" if reference.second else "")
        address = f"{_FIRST_IN_ADDRESS[which_first]}.{_LAST_IN_ADDRESS[which_last]}.{tag}@{domain}"
        number = 10_000 + reference.first * 7 + reference.second * 1_000_003
        external = [] if more % 9 == 1 or other is not None else [("HRCO", f"E{number}")]
        if more % 11 == 2:
            external.append(("LMS", f"linde/{number:x}"))
        length = max(1, left - start)
        away_from = start + (traits >> 8) % length if traits % 14 == 0 and length > 60 * DAY else left
        away = (away_from, min(left, away_from + between(traits >> 40, 5, 25) * DAY))
        return Person(
            reference=reference,
            id=self._ids.make(*reference),
            key=bits,
            start=start,
            left=left,
            gone=gone,
            first_name=FIRST_NAMES[which_first],
            last_name=last,
            married_name=f"{last}-{married}" if married else None,
            married=start + (traits >> 12) % length,
            email=None if more % 23 == 5 and external else address,
            locale=LOCALES[(more >> 20) % len(LOCALES)] if more % 17 else None,
            year_of_birth=str(1958 + (more >> 28) % 49) if more % 3 == 0 else None,
            time_zone="Europe/Amsterdam" if more % 19 else None,
            external_ids=tuple(external),
            organization=other,
            away=away,
            diligence=0.4 + 0.9 * unit(traits),
            ability=unit(mix(traits)),
            period=between(mix(traits) >> 50, 1, 6) * DAY,
            first_day=start // DAY * DAY + 5 * HOUR,
        )

    def staff(self, number: int, start: int, forever: int) -> Person:
        """An administrator who does not learn: the service account (0) or the application manager (1)."""
        reference = Reference(Kind.STAFF, number, 0)
        person = self.person(reference, start, forever, forever, chair_key=mix(number))
        name = SERVICE_ACCOUNT if number == SERVICE_NUMBER else APPLICATION_MANAGER
        return replace(
            person,
            first_name=name,
            last_name="",
            married_name=None,
            email=None if number == SERVICE_NUMBER else f"leren@{DOMAIN}",
            external_ids=(),
            away=(forever, forever),
        )
