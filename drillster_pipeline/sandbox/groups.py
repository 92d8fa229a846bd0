"""Groups, and who is in them: departments that divide the chairs, teams that cut across, projects that come and go.

A group knows by arithmetic which chairs its seats are, so one group costs what its own seats cost, whatever the size
of the organization. Beside the seats, a few people of other organizations are invited, join for a while, and leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from .calendar import DAY, FOREVER, FOUNDING, HOUR
from .chance import GOLDEN, MASK, between, fold, mix
from .ids import Ids, Kind, Reference
from .names import CROSS_TEAMS, DEPARTMENTS, GROUP_DESCRIPTIONS, LOCATIONS, PROJECTS, RENAMINGS
from .people import People
from .size import Size

_GROUP, _SEAT, _EXTERNAL = 6, 7, 8
_SEATS_PER_GROUP_AT_MOST = 4096
_TEMPORARY_EVERY = 3


@dataclass(frozen=True, slots=True)
class Group:
    """A group during its life. ``removed`` is FOREVER for those that stay."""

    slot: int
    life: int
    id: str
    key: int
    created: int
    removed: int
    temporary: bool
    seats: int
    step: int
    offset: int
    externals: int
    drillables: int
    tests: int
    objectives: int

    def __hash__(self) -> int:
        """Quick, as caches ask for it all the time."""
        return self.key

    def emptied(self) -> Group:
        """The same group with nothing in it."""
        return replace(self, seats=0, externals=0, drillables=0, tests=0, objectives=0)


class Membership(NamedTuple):
    """Someone's time with a group: invited (perhaps), joined, gone. ``since`` is the first time they joined.

    ``account_from`` is when the person has an account: later than ``invited`` for some of the externals.
    """

    reference: Reference
    start: int
    left: int
    gone: int
    invited: int | None
    joined: int
    ends: int
    since: int
    account_from: int

    def stamp(self, moment: int) -> int:
        """What the list of members is ordered by at a moment: when they joined, or if not yet, were invited."""
        return self.joined if self.invited is None or self.joined <= moment else self.invited


class Groups:
    """The groups of one organization."""

    def __init__(self, size: Size, people: People, ids: Ids, seed: int) -> None:
        self.size = size
        self._people = people
        self._ids = ids
        self._seed = fold(seed, _GROUP)
        self._slots, self._departments = size.group_slots, size.departments
        self._group: Callable[[int, int, int, int, int], Group] = lru_cache(maxsize=8192)(self._make)
        self.present: Callable[[int], tuple[Group, ...]] = lru_cache(maxsize=4)(self._present)
        self.members: Callable[[Group, int], tuple[Membership, ...]] = lru_cache(maxsize=256)(self._members)

    def _lives(self, slot: int, until: int) -> Iterator[tuple[int, int, int, int]]:
        """Of the groups that a slot holds one after the other: number, key, when it is made and removed."""
        key = mix(self._seed ^ slot)
        if slot < self._departments or (slot - self._departments) % _TEMPORARY_EVERY or self.size.stable:
            created = FOUNDING + key % 20 * DAY + 8 * HOUR
            if created < until:
                yield 0, key, created, FOREVER
            return
        created, life, day = FOUNDING + 30 * DAY + key % (30 * DAY), 0, self.size.day
        while created < until:
            bits = mix((key + life * GOLDEN) & MASK)
            removed = created + between(bits, 12, 35) * day
            yield life, bits, created, removed
            created, life = removed + between(bits >> 20, 2, 9) * day, life + 1

    def in_slot(self, slot: int, moment: int) -> Group | None:
        """The group that the slot holds at the moment."""
        for life, key, created, removed in self._lives(slot, moment + 1):
            if moment < removed:
                return self._group(slot, life, key, created, removed)
        return None

    def _make(self, slot: int, life: int, key: int, created: int, removed: int) -> Group:
        chairs, departments = self.size.chairs, self._departments
        if slot < departments and self.size.members_per_group is None:
            first, last = slot * chairs // departments, (slot + 1) * chairs // departments
            seats, step, offset = last - first, 1, first
        else:
            across = max(1, self._slots - departments)
            wanted = self.size.members_per_group or max(4, chairs // across)
            if removed < FOREVER:
                wanted = min(wanted, max(4, chairs // 8))
            seats = min(chairs, wanted)
            step, offset = self._people.affine(mix(key ^ _SEAT), seats)
        return Group(
            slot=slot,
            life=life,
            id=self._ids.make(Kind.GROUP, slot, life),
            key=key,
            created=created,
            removed=removed,
            temporary=removed < FOREVER,
            seats=seats,
            step=step,
            offset=offset,
            externals=0 if self.size.stable else 1 + seats // 40,
            drillables=self.size.drillables_per_group or between(key >> 28, 4, 8),
            tests=between(key >> 33, 1, 2) if self.size.tests_per_group is None else self.size.tests_per_group,
            objectives=self.size.objectives_per_group,
        )

    def _present(self, moment: int) -> tuple[Group, ...]:
        found = (self.in_slot(slot, moment) for slot in range(self._slots))
        return tuple(sorted((group for group in found if group), key=lambda group: group.id))

    def find(self, reference: Reference | None, moment: int) -> Group | None:
        """The group that an id names, if it exists at the moment."""
        if reference is None or reference.kind is not Kind.GROUP or reference.first >= self._slots:
            return None
        group = self.in_slot(reference.first, moment)
        return group if group is not None and group.life == reference.second else None

    def memberships(self, group: Group, since: int, until: int) -> Iterator[Membership]:
        """Everyone who is or was in the group between the two moments, and some more, in no particular order."""
        chairs = self.size.chairs
        for seat in range(group.seats):
            chair = (group.step * seat + group.offset) % chairs
            for stint in self._people.overlapping(chair, since, until):
                reference = Reference(Kind.PERSON, chair, stint.number)
                yield from self._seated(group, reference, stint.start, stint.left, stint.gone)
        for external in range(group.externals):
            yield from self._external(group, external, since, until)

    def _seated(self, group: Group, person: Reference, start: int, left: int, gone: int) -> Iterator[Membership]:
        """The times that one of our own people is in the group: none, one, or two with a break between them."""
        bits = mix(group.key ^ mix((person.first << 20) ^ person.second))
        day = self.size.day
        late = bits % 8 * day if group.slot < self._departments else (bits >> 4) % 60 * day
        if self.size.stable:
            late = 0
        opened = max(start, group.created)
        joined = opened + late + (bits >> 10) % (2 * HOUR)
        ends = min(left, group.removed)
        if not self.size.stable:
            if group.slot >= self._departments and (bits >> 44) % 5 == 0:
                return
            if (bits >> 20) % 6 == 0:
                ends = min(ends, joined + between(bits >> 24, 50, 500) * day)
        if joined >= ends:
            return
        invited = joined - between(bits >> 30, 1, 10) * day if (bits >> 34) % 8 == 0 else None
        if invited is not None and invited < opened:
            invited = None
        broken = (bits >> 38) % 10 == 0 and ends - joined > 120 * day and not self.size.stable
        pause = joined + between(bits >> 40, 30, 110) * day if broken else ends
        yield Membership(person, start, left, gone, invited, joined, pause, joined, start)
        back = pause + between(bits >> 50, 3, 40) * day
        if broken and back < ends:
            yield Membership(person, start, left, gone, None, back, ends, joined, start)

    def _external(self, group: Group, external: int, since: int, until: int) -> Iterator[Membership]:
        """Those from elsewhere who are invited one after the other; some accept, and stay for a while."""
        key = mix(group.key ^ mix(_EXTERNAL << 32 | external))
        day = self.size.day
        invited, number = group.created + key % (10 * day), 0
        while invited < min(until, group.removed):
            bits = mix((key + number * GOLDEN) & MASK)
            decides = min(group.removed, invited + between(bits, 5, 35) * day)
            ends = decides
            if (bits >> 8) % 5 < 2:
                ends = min(group.removed, decides + between(bits >> 12, 20, 150) * day)
            if ends > since:
                place = group.slot * _SEATS_PER_GROUP_AT_MOST + external
                reference = Reference(Kind.EXTERNAL, place % (1 << 32), group.life << 12 | number)
                account = invited - 10 * day if (bits >> 24) % 2 else decides
                yield Membership(reference, account, ends, ends, invited, decides, ends, decides, account)
            invited, number = decides + between(bits >> 30, 1, 6) * day + (bits >> 40) % day, number + 1

    def _members(self, group: Group, moment: int) -> tuple[Membership, ...]:
        """Members and invitees at the moment, in the order of the list."""
        found = [
            membership
            for membership in self.memberships(group, moment, moment + 1)
            if membership.stamp(moment) <= moment < membership.ends
        ]
        return tuple(sorted(found, key=lambda membership: (membership.stamp(moment), membership.reference)))

    def name(self, group: Group, moment: int) -> str:
        """What the group is called at the moment."""
        index = group.slot if group.slot < self._departments else group.slot - self._departments
        if group.temporary:
            index = index // _TEMPORARY_EVERY + group.life
            names: tuple[str, ...] = PROJECTS
        else:
            names = DEPARTMENTS if group.slot < self._departments else CROSS_TEAMS
        rounds, which = divmod(index, len(names))
        name = names[which]
        if group.slot < self._departments:
            name = f"{name} {LOCATIONS[(which + rounds) % len(LOCATIONS)]}"
        if rounds:
            name = f"{name} {rounds + 1}"
        return RENAMINGS[self.version(group, moment) % len(RENAMINGS)].format(name)

    def version(self, group: Group, moment: int) -> int:
        """How often the group has been renamed."""
        if self.size.stable:
            return 0
        period = between(group.key >> 12, 60, 300) * self.size.day
        return (moment - group.created) // period

    def edited(self, group: Group, moment: int) -> int:
        """When it was renamed last (or made)."""
        period = between(group.key >> 12, 60, 300) * self.size.day
        return group.created + self.version(group, moment) * period

    def description(self, group: Group) -> str:
        """Free text, sometimes empty."""
        return GROUP_DESCRIPTIONS[3 if group.temporary else (group.key >> 40) % len(GROUP_DESCRIPTIONS)]
