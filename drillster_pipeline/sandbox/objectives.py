"""Objectives of groups, who meets them, and when that changed.

An objective becomes OK when all its drills are known well enough, and not OK when one has faded below the (lower)
norm. Both moments follow from the practices themselves, so an evaluation at any moment is the number of changes
before it, odd or even: the events always explain the evaluations. Everybody starts as not OK.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from .attempts import YEAR, Attempts
from .calendar import DAY, FOREVER, HOUR, horizon_of
from .chance import between, fold, mix
from .content import Content
from .groups import Group, Groups, Membership
from .ids import Ids, Kind, Reference
from .learning import Learning
from .objective import Change, Evaluation, Norm, Objective, walk
from .person import Person
from .size import Size

_OBJECTIVE = 10
TYPES = ("PERMANENT", "ONEOFF", "TEST", "RECURRING")
_BITS = 12
_LASTING = 4
"""Objectives are about the drills that stay the longest: one or two of so many."""


class Objectives:
    """The objectives of one organization's groups."""

    def __init__(
        self,
        *,
        size: Size,
        groups: Groups,
        content: Content,
        learning: Learning,
        attempts: Attempts,
        ids: Ids,
        seed: int,
    ) -> None:
        self._size = size
        self._groups = groups
        self._content = content
        self._learning = learning
        self._attempts = attempts
        self._ids = ids
        self._seed = fold(seed, _OBJECTIVE)
        self._kept: Callable[[Person, Membership, Objective, int], tuple[Change, ...]] = lru_cache(maxsize=8192)(
            self._changes
        )

    def of(self, group: Group, moment: int) -> list[Objective]:
        """The objectives of a group at the moment."""
        found = (self._in_slot(group, slot, moment) for slot in range(group.objectives))
        return [objective for objective in found if objective is not None]

    def find(self, reference: Reference | None, moment: int) -> Objective | None:
        """The objective that an id names, if it exists at the moment."""
        if reference is None or reference.kind is not Kind.OBJECTIVE:
            return None
        slot, life = reference.first >> _BITS, reference.first & ((1 << _BITS) - 1)
        group = self._groups.in_slot(slot, moment) if slot < self._size.group_slots else None
        if group is None or group.life != life:
            return None
        number, version = reference.second >> _BITS, reference.second & ((1 << _BITS) - 1)
        if number >= group.objectives:
            return None
        objective = self._in_slot(group, number, moment)
        return objective if objective is not None and objective.version == version else None

    def _in_slot(self, group: Group, slot: int, moment: int) -> Objective | None:
        key = fold(self._seed, group.key, slot)
        type_ = TYPES[(slot + group.slot) % len(TYPES)]
        if type_ == "TEST" and not group.tests:
            type_ = "PERMANENT"
        created = group.created + key % 12 * DAY + 2 * HOUR
        removed, version = group.removed, 0
        if type_ != "TEST" and not self._size.stable:
            cycle = (between(key >> 8, 120, 240) if type_ == "ONEOFF" else between(key >> 8, 300, 500)) * self._size.day
            version = max(0, (moment - created) // cycle)
            created += version * cycle
            removed = min(removed, created + cycle)
        if not created <= moment < removed:
            return None
        bits = mix(key ^ version)
        own = (group.slot + slot // len(TYPES)) % 2 == (type_ == "TEST") and type_ != "RECURRING"
        if type_ == "TEST":
            playables: tuple[int, ...] = (bits % group.tests,)
        else:
            lasting = self._content.lasting(group.key, group.drillables, created)[:_LASTING]
            first = bits % len(lasting)
            playables = tuple(dict.fromkeys((lasting[first], lasting[(first + bits // 64 % 2) % len(lasting)])))
        period = YEAR if type_ == "TEST" else between(bits >> 16, 45, 100) * self._size.day
        return Objective(
            id=self._ids.make(Kind.OBJECTIVE, group.slot << _BITS | group.life, slot << _BITS | version),
            group=group,
            slot=slot,
            version=version,
            key=bits,
            type=type_,
            created=created,
            removed=removed,
            review=None if own or type_ == "RECURRING" else created - created % DAY + period,
            period=period,
            norms=self._norms(type_, bits, created),
            playables=playables,
        )

    def _norms(self, type_: str, bits: int, created: int) -> tuple[Norm, ...]:
        minimum = between(bits >> 24, 9, 15) * 5
        falling = minimum - 10 if (bits >> 30) % 3 == 0 else None
        norms = [Norm(created, minimum, falling)]
        if type_ == "PERMANENT" and (bits >> 34) % 2 and not self._size.stable:
            norms.append(Norm(created + between(bits >> 36, 80, 280) * self._size.day, minimum + 5, falling))
        return tuple(norms)

    def start(self, objective: Objective, membership: Membership) -> int:
        """From when a member is evaluated."""
        return max(objective.created, membership.joined)

    def changes(self, person: Person, membership: Membership, objective: Objective, moment: int) -> list[Change]:
        """How the member's evaluation changed, up to and including the moment."""
        known = self._kept(person, membership, objective, horizon_of(moment))
        return [change for change in known if change.at <= moment]

    def evaluation(self, person: Person, membership: Membership, objective: Objective, moment: int) -> Evaluation:
        """How the member stands at the moment."""
        start = self.start(objective, membership)
        own = objective.own_review(start)
        met = len(self.changes(person, membership, objective, moment)) % 2 == 1
        at = moment
        if objective.type == "ONEOFF":
            at = max(start, min(moment, own or objective.review or FOREVER))
        if objective.type == "TEST":
            return Evaluation(met, at, own, None, ())
        horizon = horizon_of(moment)
        levels = tuple(self._learning.proficiency(person, index, at, horizon) for index in objective.playables)
        return Evaluation(met, at, own, min(levels), levels)

    def _changes(
        self, person: Person, membership: Membership, objective: Objective, horizon: int
    ) -> tuple[Change, ...]:
        start = self.start(objective, membership)
        stop = min(membership.ends, objective.removed, horizon)
        review = objective.own_review(start)
        if objective.type == "TEST":
            return self._test_changes(person, membership, objective, start, min(stop, review or stop))
        if objective.type == "ONEOFF":
            stop = min(stop, review or objective.review or stop)
        if start >= stop:
            return ()
        practices = [self._learning.practices(person, index, horizon) for index in objective.playables]
        return tuple(walk(objective, practices, start, stop))

    def _test_changes(
        self, person: Person, membership: Membership, objective: Objective, start: int, stop: int
    ) -> tuple[Change, ...]:
        """A test counts once it is completed before the review, and for good."""
        attempts = self._attempts.of(person, membership, objective.group, objective.playables[0], stop)
        done = [attempt.completed for attempt in attempts if attempt.completed and attempt.completed < stop]
        return (Change(max(start, min(done)), True, None),) if done and start < stop else ()
