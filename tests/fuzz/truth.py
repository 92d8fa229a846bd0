"""A small organization made by chance, as plain data, and the rows that the warehouse must have of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from drillster_pipeline.extract.readers import invitee_key

DAY = date(2026, 2, 28)
NIGHT = datetime(2026, 3, 1, 1, 30, tzinfo=UTC)
SECRET = "Wilhelmina"
"""In every personal value, so that it is found wherever one gets to."""
ODD_IDS = ("a/b", "..x", "100%", "é中🙂", "with space", "a?b=c&d#e", "%2F", "+", "12345", "'\";--", "A", "a")
"""Ids that an address must carry unharmed."""

Rows = dict[str, set[tuple[Any, ...]]]


@dataclass
class Person:
    id: str
    number: int
    created: datetime
    listed: bool = True

    @property
    def name(self) -> str:
        return f"{SECRET} {self.number}"

    @property
    def email(self) -> str:
        return f"{SECRET}.{self.number}@example.org"


@dataclass
class Playable:
    id: str
    type: str
    name: str


@dataclass
class Objective:
    id: str
    type: str
    minimum: int | None
    review: datetime | None
    playables: list[Playable]
    evaluations: list[tuple[Person, bool, int | None]] = field(default_factory=list)
    events: list[tuple[Person, str, datetime]] = field(default_factory=list)


@dataclass
class Attempt:
    id: str
    person: Person
    percentage: int | None
    completed: bool


@dataclass
class Group:
    id: str
    name: str
    members: list[tuple[Person, datetime]]
    invitees: list[Person]
    staff: list[Person]
    drillables: list[Playable]
    tests: list[Playable]
    objectives: list[Objective]
    results: dict[tuple[str, str], int]
    """By account and playable: the proficiency."""
    attempts: dict[str, list[Attempt]]


@dataclass
class Catalog:
    id: str
    name: str
    playables: list[Playable]


@dataclass
class Truth:
    """Everything that there is."""

    accounts: list[Person]
    groups: list[Group]
    catalogs: list[Catalog]

    def rows(self) -> Rows:
        """Of each table that has a row for every item of a list: its keys, with a value to know them by."""
        rows: Rows = {
            "accounts": {(p.id, p.name) for p in self.accounts},
            "catalogs": {(c.id,) for c in self.catalogs},
            "catalog_playables": {(c.id, p.id) for c in self.catalogs for p in c.playables},
            "groups": {(g.id, g.name) for g in self.groups},
            "group_members": set(),
            "group_staff": {(g.id, p.id) for g in self.groups for p in g.staff},
            "group_playables": {(g.id, p.id) for g in self.groups for p in [*g.drillables, *g.tests]},
            "objectives": {(o.id, g.id, o.minimum) for g in self.groups for o in g.objectives},
            "objective_evaluations": {
                (o.id, p.id, met, proficiency)
                for g in self.groups
                for o in g.objectives
                for p, met, proficiency in o.evaluations
            },
            "results": {(g.id, *key, value) for g in self.groups for key, value in g.results.items()},
            "test_results": {
                (a.id, test, a.person.id, a.percentage)
                for g in self.groups
                for test, attempts in g.attempts.items()
                for a in attempts
            },
        }
        for group in self.groups:
            rows["group_members"] |= {(group.id, person.id) for person, _ in group.members}
            rows["group_members"] |= {(group.id, invitee_key(person.email)) for person in group.invitees}
        return rows


class _Maker:
    def __init__(self, chance: random.Random, *, odd: bool) -> None:
        self.chance = chance
        self.odd = list(ODD_IDS) if odd else []
        self.made = 0

    def id(self) -> str:
        self.made += 1
        if self.odd and self.chance.random() < 0.3:
            return self.odd.pop(self.chance.randrange(len(self.odd)))
        return f"id{self.made}"

    def count(self, most: int) -> int:
        """Mostly few, sometimes more than the smallest page has."""
        return self.chance.choice((0, 1, 2, 3, 3, 5, most))

    def moment(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.chance.randrange(60_000_000_000))

    def person(self, *, listed: bool = True) -> Person:
        return Person(self.id(), self.made, self.moment(), listed)

    def playables(self, number: int, *types: str) -> list[Playable]:
        return [Playable(self.id(), self.chance.choice(types), f"Playable {n}\u2603") for n in range(number)]


def make_truth(seed: int, *, odd: bool = False) -> Truth:
    """An organization; the same for the same seed. ``odd``: some ids are hard to carry in an address."""
    make = _Maker(random.Random(seed), odd=odd)
    accounts = sorted((make.person() for _ in range(max(1, make.count(23)))), key=lambda person: person.created)
    drillables = make.playables(max(1, make.count(14)), "DRILL", "COURSE")
    groups = [_group(make, accounts, drillables) for _ in range(make.chance.choice((1, 1, 2, 3)))]
    catalogs = [
        Catalog(make.id(), f"Catalog {n}", _some(make, drillables)) for n in range(make.chance.choice((0, 1, 2)))
    ]
    return Truth(accounts, sorted(groups, key=lambda group: group.id), catalogs)


def _some(make: _Maker, things: list[Any]) -> list[Any]:
    return make.chance.sample(things, make.chance.randint(0, len(things)))


def _group(make: _Maker, accounts: list[Person], drillables: list[Playable]) -> Group:
    people = [*_some(make, accounts), *(make.person(listed=False) for _ in range(make.chance.choice((0, 0, 1))))]
    own, tests = _some(make, drillables), make.playables(make.chance.choice((0, 1)), "TEST")
    group = Group(
        id=make.id(),
        name=f"Group {make.made}",
        members=sorted(((person, make.moment()) for person in people), key=lambda one: one[1]),
        invitees=[make.person(listed=False) for _ in range(make.chance.choice((0, 0, 1, 2)))],
        staff=accounts[:2],
        drillables=own,
        tests=tests,
        objectives=[],
        results={},
        attempts={},
    )
    for person in people[:6]:
        for playable in own:
            group.results[person.id, playable.id] = make.chance.randint(0, 100)
    for test in tests:
        group.attempts[test.id] = [
            Attempt(make.id(), person, make.chance.choice((None, 0, 64, 100)), completed=make.chance.random() < 0.8)
            for person in people
            for _ in range(make.chance.choice((0, 1, 2)))
        ]
    for _ in range(make.chance.choice((0, 1, 2))):
        group.objectives.append(_objective(make, people, own))
    return group


def _objective(make: _Maker, people: list[Person], playables: list[Playable]) -> Objective:
    return Objective(
        id=make.id(),
        type=make.chance.choice(("ONEOFF", "PERMANENT", "RECURRING")),
        minimum=make.chance.choice((None, 0, 80, 100)),
        review=make.chance.choice((None, make.moment())),
        playables=playables[:3],
        evaluations=[(person, make.chance.random() < 0.5, make.chance.choice((None, 0, 77, 100))) for person in people],
        events=[
            (person, f"OBJECTIVE_BECAME_{make.chance.choice(('OK', 'NOK'))}", NIGHT - timedelta(hours=n + 5))
            for n, person in enumerate(people[:3])
        ],
    )
