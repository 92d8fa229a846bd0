"""The made-up organization: records with a beginning and an end, all drawn from one seed.

The organization has a fixed number of chairs, which people take one after the other. So it keeps its size while
people come and go. What is inside a group is drawn from the group's id, when it is first needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from random import Random
from typing import NamedTuple

from .draws import DAY, END, FOREVER, FOUNDING, HOUR, between, draw, make_id, names
from .people import Person, Stay

_STAFF = 2
"""Accounts that do not learn: the service account and an application manager."""
_TEMPORARY_EVERY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many of everything. What is None follows from the number of accounts.

    A run costs about one request for each member of each group; each response has ``drillables_per_group`` results.
    ``stable`` is an organization in which nobody joins or leaves and nothing is renamed, added or removed: every
    group has exactly ``members_per_group`` members, and only people's learning moves.
    ``pace`` is how many days of the organization's affairs pass in one day: people come and go, groups and objectives
    begin and end so much sooner; learning does not. At a pace above 1, accounts are also taken from the list and
    return, drills are renamed, and catalogs come and go.
    """

    accounts: int = 60
    groups: int | None = None
    members_per_group: int | None = None
    drillables_per_group: int | None = None
    objectives_per_group: int = 4
    tests_per_group: int | None = None
    catalogs: int = 2
    playables_per_catalog: int = 16
    stable: bool = False
    pace: int = 1

    @property
    def day(self) -> int:
        """Milliseconds of a day in the organization's affairs."""
        return DAY // self.pace

    @property
    def chairs(self) -> int:
        """How many people at most learn at one time."""
        return self.accounts - _STAFF

    @property
    def group_slots(self) -> int:
        """How many groups at most exist at one time."""
        return self.groups or max(3, round(3 + self.accounts / 20))

    @property
    def departments(self) -> int:
        """How many of the groups are departments: everybody is in one of them. The others cut across."""
        return max(1, self.group_slots * 3 // 5)

    @property
    def administrators(self) -> int:
        """How many of the learners are administrators as well."""
        return min(self.chairs, 1 + self.accounts // 50)

    @property
    def library(self) -> int:
        """How many drills and courses the organization has."""
        return max(48, 3 * (self.drillables_per_group or 0))


class Playable(NamedTuple):
    """A drill, a course or a test."""

    id: str
    type: str
    name: str
    number: int


class Catalog(NamedTuple):
    """A catalog. ``key`` decides when it is renamed."""

    id: str
    number: int
    name: str
    description: str
    key: int


class Placement(NamedTuple):
    """The time that a playable of the library spends in a group or a catalog."""

    number: int
    start: int
    until: int


class Membership(NamedTuple):
    """Someone's time with a group: invited (perhaps), joined, left. ``since`` is when they first joined."""

    stay: Stay
    invited: int | None
    joined: int
    ends: int
    since: int

    def stamp(self, moment: int) -> int:
        """What the list of members is ordered by at a moment: when they joined, or if not yet, were invited."""
        return self.joined if self.invited is None or self.joined <= moment else self.invited


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A group. ``removed`` is FOREVER for those that stay."""

    id: str
    number: int
    life: int
    base_name: str
    renamed_every: int
    description: str
    created: int
    removed: int
    chairs: Sequence[int]
    joined_within: int
    """Milliseconds within which people join once they and the group are there."""
    guests: int
    drillables: int
    tests: tuple[Playable, ...]
    objectives: int
    manageable: bool

    def edited(self, moment: int) -> int:
        """When it was renamed last (or made)."""
        return moment - (moment - self.created) % self.renamed_every

    def name(self, moment: int) -> str:
        """What it is called at the moment."""
        number = (moment - self.created) // self.renamed_every
        renaming: str = names.renamings[number % len(names.renamings)]
        return renaming.format(self.base_name)


def numbered(known: Sequence[str], index: int) -> str:
    """One of the names; with a number where all of them are taken."""
    rounds, which = divmod(index, len(known))
    return f"{known[which]} {rounds + 1}" if rounds else known[which]


class Model:
    """Who and what there ever is."""

    def __init__(self, size: Size, seed: int) -> None:
        self.size, self.seed = size, seed
        chance = draw(seed, "organization")
        self.id, self.service_account_id = make_id(chance), make_id(chance)
        self.others = [make_id(chance) for _ in names.other_organizations]
        staff = [
            Stay(self.service_account_id, 0, -1, FOUNDING, FOREVER, FOREVER),
            Stay(make_id(chance), 1, -1, FOUNDING + 1_000, FOREVER, FOREVER),
        ]
        self.library = [self._drillable(chance, index) for index in range(size.library)]
        self._catalogs = [self._catalog(chance, number) for number in range(size.catalogs)]
        self.chairs = self._chairs(draw(seed, "people"))
        of_learners = sorted((stay for chair in self.chairs for stay in chair), key=lambda stay: stay.start)
        self._stays = [*staff, *of_learners]
        chance = draw(seed, "groups")
        self._groups = [group for slot in range(size.group_slots) for group in self._in_slot(chance, slot)]
        self._groups.sort(key=lambda group: group.id)
        self.person = lru_cache(maxsize=20_000)(Person)
        self.memberships = lru_cache(maxsize=512)(self._memberships)
        self.placements = lru_cache(maxsize=512)(self._placements)

    # -- people --------------------------------------------------------------------------------------------------

    def _chairs(self, chance: Random) -> list[list[Stay]]:
        """Who sits in each chair, one after the other."""
        size, numbers, chairs = self.size, count(2), []
        for chair in range(size.chairs):
            start = FOUNDING + between(chance, 0, 29) * DAY + 7 * HOUR + int(chance.random() * 9 * HOUR)
            days = (30, 100) if chance.random() < 0.4 else (400, 2000)
            stays = []
            while start < END:
                left = FOREVER if size.stable else start + between(chance, *days) * size.day
                gone = FOREVER if size.stable else left + between(chance, 10, 40) * size.day
                stays.append(Stay(make_id(chance), next(numbers), chair, start, left, gone))
                start = gone - gone % DAY + DAY + between(chance, 0, 20) * size.day + 7 * HOUR
                start += int(chance.random() * 9 * HOUR)
            chairs.append(stays)
        return chairs

    def is_listed(self, stay: Stay, moment: int) -> bool:
        """Whether the organization lists the account: from when it is made until it is gone, but for a break."""
        if not stay.start <= moment < stay.gone:
            return False
        time = stay.left - stay.start
        is_away = stay.number % 3 == 0 and time // 3 <= moment - stay.start < time // 2
        return self.size.pace == 1 or not is_away

    def listed(self, moment: int) -> list[Stay]:
        """The accounts of the organization, by creation."""
        return [stay for stay in self._stays if self.is_listed(stay, moment)]

    def is_administrator(self, stay: Stay) -> bool:
        """Whether the account is staff of the organization."""
        return stay.guest_of is None and stay.chair < self.size.administrators

    def occupant(self, chair: int, moment: int) -> Stay | None:
        """Whose account a chair has at the moment."""
        return next((stay for stay in self.chairs[chair] if self.is_listed(stay, moment)), None)

    # -- what can be learned -------------------------------------------------------------------------------------

    def _drillable(self, chance: Random, index: int) -> Playable:
        id_, type_ = make_id(chance), "COURSE" if chance.random() < 0.25 else "DRILL"
        return Playable(id_, type_, numbered(names.drillables, index), index)

    def drillable(self, index: int, moment: int) -> Playable:
        """A drill or course of the library, by the name that it has at the moment."""
        thing = self.library[index]
        return thing._replace(name=self._edition(thing.name, index, moment))

    def _edition(self, name: str, key: int, moment: int) -> str:
        """A name as it is at the moment: at a quick pace, things are renamed."""
        period = (100 + key * 37 % 800) * self.size.day
        edition = max(0, moment - FOUNDING + key * 10**9 % period) // period if self.size.pace > 1 else 0
        return f"{name} (edition {edition})" if edition else name

    def _catalog(self, chance: Random, number: int) -> Catalog:
        name = numbered([name for name, _ in names.catalogs], number)
        description = names.catalogs[number % len(names.catalogs)][1]
        return Catalog(make_id(chance), number, name, description, between(chance, 0, 10_000))

    def catalogs(self, moment: int) -> list[Catalog]:
        """The catalogs of the moment: at a quick pace, each is gone at times."""
        phase = (moment - FOUNDING) // (40 * self.size.day)
        return [
            one._replace(name=self._edition(one.name, one.key, moment))
            for one in self._catalogs
            if self.size.pace == 1 or phase % (3 + one.number) != one.number
        ]

    def _placements(self, container: str, places: int) -> list[Placement]:
        """What fills the places of a group or catalog: now and then a playable makes way for another.

        Place ``p`` only ever takes indices that are ``p`` modulo ``places``, so no playable is there twice.
        """
        chance, found = draw(container, "placements"), []
        for place in range(places):
            steps = self.size.library // places
            step, start = between(chance, 0, steps - 1), 0
            period = between(chance, 240, 700) * self.size.day
            until = FOREVER if self.size.stable else FOUNDING + int(chance.random() * period)
            while start < END:
                found.append(Placement(place + places * (step % steps), start, until))
                step, start, until = step + 1, until, until + period
        return found

    def placed(self, container: str, places: int, moment: int) -> list[Placement]:
        """What is in a group or catalog at the moment."""
        return [one for one in self.placements(container, places) if one.start <= moment < one.until]

    # -- groups --------------------------------------------------------------------------------------------------

    def groups(self, moment: int) -> tuple[Group, ...]:
        """The groups that exist at the moment, by id."""
        return tuple(group for group in self._groups if group.created <= moment < group.removed)

    def _in_slot(self, chance: Random, slot: int) -> Iterator[Group]:
        """The groups that a slot has one after the other; only projects end."""
        size = self.size
        across = slot - size.departments
        if across < 0 or across % _TEMPORARY_EVERY or size.stable:
            yield self._group(chance, slot, 0, FOUNDING + between(chance, 0, 19) * DAY + 8 * HOUR, FOREVER)
            return
        created, life = FOUNDING + 30 * DAY + int(chance.random() * 30 * DAY), 0
        while created < END:
            removed = created + between(chance, 12, 35) * size.day
            yield self._group(chance, slot, life, created, removed)
            created, life = removed + between(chance, 2, 9) * size.day, life + 1

    def _group(self, chance: Random, slot: int, life: int, created: int, removed: int) -> Group:
        size, id_, temporary = self.size, make_id(chance, 32), removed < FOREVER
        chairs, departments = size.chairs, size.departments
        department = slot < departments
        if department and size.members_per_group is None:
            seats: Sequence[int] = range(slot * chairs // departments, (slot + 1) * chairs // departments)
        else:
            wanted = size.members_per_group or max(4, chairs // max(1, size.group_slots - departments))
            if temporary:
                wanted = min(wanted, max(4, chairs // 8))
            seats = chance.sample(range(chairs), min(chairs, wanted))
        tests = between(chance, 1, 2) if size.tests_per_group is None else size.tests_per_group
        return Group(
            id=id_,
            number=slot,
            life=life,
            base_name=self._name(slot, life, temporary=temporary),
            renamed_every=FOREVER if size.stable else between(chance, 60, 300) * size.day,
            description=names.group_descriptions[3 if temporary else between(chance, 0, 4)],
            created=created,
            removed=removed,
            chairs=seats,
            joined_within=0 if size.stable else (8 if department else 60) * size.day,
            guests=0 if size.stable else 1 + len(seats) // 40,
            drillables=size.drillables_per_group or between(chance, 4, 8),
            tests=tuple(self._test(chance, slot, number) for number in range(tests)),
            objectives=size.objectives_per_group,
            manageable=chance.random() < 0.2,
        )

    def _name(self, slot: int, life: int, *, temporary: bool) -> str:
        across = slot - self.size.departments
        if temporary:
            return numbered(names.projects, across // _TEMPORARY_EVERY + life)
        if across >= 0:
            return numbered(names.cross_teams, across)
        rounds, which = divmod(slot, len(names.departments))
        location = names.locations[(which + rounds) % len(names.locations)]
        return numbered([f"{one} {location}" for one in names.departments], slot)

    def _test(self, chance: Random, slot: int, number: int) -> Playable:
        which = (slot + number * 3) % len(names.tests) + slot // len(names.tests) * len(names.tests)
        return Playable(make_id(chance), "TEST", numbered(names.tests, which), number)

    def _memberships(self, group: Group) -> list[Membership]:
        """Everyone who is or was in the group, in no particular order."""
        chance = draw(group.id, "members")
        found = [
            one for chair in group.chairs for stay in self.chairs[chair] for one in self._of_stay(chance, group, stay)
        ]
        return found + [one for guest in range(group.guests) for one in self._guests(chance, group, guest)]

    def _of_stay(self, chance: Random, group: Group, stay: Stay) -> Iterator[Membership]:
        """The times that one of our own people is in the group: none, one, or two with a break between them."""
        day, stable = self.size.day, self.size.stable
        opened = max(stay.start, group.created)
        joined = opened + int(chance.random() * group.joined_within) + int(chance.random() * 2 * HOUR)
        ends = min(stay.left, group.removed)
        takes_part = stable or group.joined_within <= 8 * day or chance.random() < 0.8
        if not stable and chance.random() < 0.17:
            ends = min(ends, joined + between(chance, 50, 500) * day)
        invited = joined - between(chance, 1, 10) * day if chance.random() < 0.12 else None
        if invited is not None and invited < opened:
            invited = None
        pause = joined + between(chance, 30, 110) * day
        back = pause + between(chance, 3, 40) * day
        if not takes_part or joined >= ends:
            return
        if stable or chance.random() > 0.1 or ends - joined < 120 * day or back >= ends:
            yield Membership(stay, invited, joined, ends, joined)
            return
        yield Membership(stay, invited, joined, pause, joined)
        yield Membership(stay, None, back, ends, joined)

    def _guests(self, chance: Random, group: Group, guest: int) -> Iterator[Membership]:
        """People of other organizations, invited one after the other; some accept, and stay for a while."""
        day = self.size.day
        invited, last = group.created + int(chance.random() * 10 * day), min(group.removed, END)
        for number in count():
            if invited >= last:
                return
            decides = min(group.removed, invited + between(chance, 5, 35) * day)
            accepts = chance.random() < 0.4
            ends = min(group.removed, decides + between(chance, 20, 150) * day) if accepts else decides
            account = invited - 10 * day if chance.random() < 0.5 else decides
            tag = (group.number << 24 | group.life << 12 | number) * 8 + guest % 8
            other = between(chance, 0, len(self.others) - 1)
            stay = Stay(make_id(chance), tag, -1, account, ends, ends, other)
            yield Membership(stay, invited, decides, ends, decides)
            invited = decides + between(chance, 1, 6) * day + int(chance.random() * day)
