"""The organization: everything that the sandbox's Drillster knows, as a pure function of a seed and a moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from .attempts import Attempts
from .calendar import FOREVER, FOUNDING, horizon_of, slot_of
from .content import Content
from .groups import Groups, Membership
from .ids import Ids, Kind, Reference
from .learning import Learning
from .objectives import Objectives
from .people import People
from .person import MANAGER_NUMBER, SERVICE_NUMBER, Person, Register
from .size import Size
from .snapshot import Snapshot


class Organization:
    """The model, and where to ask it: :meth:`at` gives the organization as it is at a moment.

    Nothing is made before it is asked for. What is worked out is kept in bounded caches, which change no answer.
    """

    def __init__(self, size: Size, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.ids = Ids(seed)
        self.people = People(size, seed)
        self.content = Content(size, self.ids, seed)
        self.groups = Groups(size, self.people, self.ids, seed)
        self.learning = Learning(seed)
        self.attempts = Attempts(self.ids, seed)
        self.objectives = Objectives(
            size=size,
            groups=self.groups,
            content=self.content,
            learning=self.learning,
            attempts=self.attempts,
            ids=self.ids,
            seed=seed,
        )
        self._register = Register(self.ids, seed)
        self._person: Callable[[Reference, int, int, int], Person] = lru_cache(maxsize=20_000)(self._make_person)
        self._at: Callable[[int], Snapshot] = lru_cache(maxsize=8)(lambda moment: Snapshot(self, moment))
        self.id = self.ids.make(Kind.ORGANIZATION)
        self.service_account_id = self.ids.make(Kind.STAFF, SERVICE_NUMBER)

    def at(self, moment: datetime) -> Snapshot:
        """The organization as it is at an aware moment (rounded down to a quarter of an hour)."""
        return self._at(slot_of(moment))

    def snapshot(self, slot: int) -> Snapshot:
        """The organization at a moment that is a whole slot already."""
        return self._at(slot)

    def _make_person(self, reference: Reference, start: int, left: int, gone: int) -> Person:
        key = self.people.key(reference.first)
        return self._register.person(reference, start, left, gone, chair_key=key)

    def of_chair(self, chair: int, number: int, moment: int) -> Person | None:
        """The chair's person of that number, if they have come by the moment."""
        stint = self.people.stint(chair, number, horizon_of(moment))
        if stint is None or stint.start > moment:
            return None
        return self._person(Reference(Kind.PERSON, chair, number), stint.start, stint.left, stint.gone)

    def member(self, membership: Membership) -> Person:
        """The person of a membership."""
        return self._person(membership.reference, membership.start, membership.left, membership.gone)

    def staff(self) -> list[Person]:
        """The accounts that do not learn: the service account and the application manager."""
        return [
            self._register.staff(number, FOUNDING + number * 1_000, FOREVER)
            for number in (SERVICE_NUMBER, MANAGER_NUMBER)
        ]

    def account(self, id_: str, moment: int) -> Person | None:
        """The account of an id, if the organization lists it at the moment."""
        reference = self.ids.read(id_)
        if reference is None:
            return None
        if reference.kind is Kind.STAFF:
            return next((person for person in self.staff() if person.reference == reference), None)
        if reference.kind is not Kind.PERSON or reference.first >= self.size.chairs:
            return None
        stint = self.people.stint(reference.first, reference.second, horizon_of(moment))
        if stint is None or not self.people.is_listed(stint, moment):
            return None
        return self.of_chair(reference.first, reference.second, moment)

    def is_administrator(self, person: Person) -> bool:
        """Whether the person is staff of the organization."""
        if person.reference.kind is Kind.STAFF:
            return True
        return person.reference.kind is Kind.PERSON and person.reference.first < self.size.administrators
