"""How people learn and forget, take tests, and meet the objectives of their groups.

Knowledge after a practice fades exponentially towards what stays for good; each practice lifts it again, slows the
fading down and leaves more behind (Ebbinghaus' curve with a memory that grows). Practice comes at growing intervals,
at logins, more often for the diligent. Between two practices knowledge only falls, so the moment at which it crosses
a norm follows from a logarithm.

Everybody starts as not meeting an objective. Each crossing of the norm is a change; an evaluation is the number of
changes before it, odd or even: the events always explain the evaluations.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, takewhile
from math import exp, inf, log
from operator import itemgetter
from random import Random
from typing import Any, NamedTuple

from .draws import DAY, END, FOREVER, HOUR, MINUTE, between, draw, iso, make_id
from .model import Group, Membership, Model, Playable, Size
from .people import Person

SECONDS_TO_MASTER = 5400
_FIRST_GAP, _LONGEST_GAP = 1.6 * DAY, 48.0 * DAY
"""From one practice to the next, for somebody of diligence 1."""
_LASTING = tuple(0.14 + 0.04 * count for count in range(12))
"""Which share of what is known stays for good after one practice, two, … In the end it is the last of these."""
_FIRST_STABILITY, _LONGEST_STABILITY = 3.0 * DAY, 120.0 * DAY
_EPSILON = 1e-9
_YEAR = 365 * DAY
_ATTEMPTS = 3
_PASS_MARK = 70
_TYPES = ("PERMANENT", "ONEOFF", "TEST", "RECURRING")


def percent(fraction: float) -> int:
    """A percentage, rounded down, so that 79.9 does not look like the norm of 80."""
    return int(fraction * 100 + 1e-7)


class Practice(NamedTuple):
    """A practice of a drill, and what becomes of it without any further one."""

    at: int
    level: float
    """What is known right after, 0 to 1."""
    lasting: float
    """What of that stays for good."""
    stability: float
    """Milliseconds in which what does not last falls to 1/e."""
    seconds: int
    """Time spent so far, this practice included."""

    def level_at(self, moment: int) -> float:
        """What is left at a later moment."""
        return self.lasting + (self.level - self.lasting) * exp((self.at - moment) / self.stability)

    def falls_below(self, norm: float) -> float:
        """The moment at which what is left falls below the norm; infinite where it never does."""
        if self.level < norm:
            return -inf
        if norm <= self.lasting:
            return inf
        return self.at + self.stability * log((self.level - self.lasting) / (norm - self.lasting))


NO_PRACTICE = Practice(0, 0.0, 0.0, 1.0, 0)


class Practices(NamedTuple):
    """What one person has practiced of one drill up to a moment."""

    added: int
    """When the drill came to the person's repertoire; this may be later than the moment."""
    done: list[Practice]

    def latest(self, moment: int) -> Practice:
        """The latest practice of the moment."""
        which = bisect_right(self.done, moment, key=itemgetter(0))
        return self.done[which - 1] if which else NO_PRACTICE


def _practices(person: Person, drill: str, moment: int) -> Practices:
    chance = draw(person.id, drill)
    added = person.stay.start + int(chance.random() * 25 * DAY)
    never = chance.random() < 1 / 16
    every = () if never else _practice(person, added, chance.random)
    return Practices(added, list(takewhile(lambda practice: practice.at <= moment, every)))


def _practice(person: Person, last: int, chance: Callable[[], float]) -> Iterator[Practice]:
    """Every practice, from the moment on that the drill came to the person's repertoire."""
    minute = int(chance() * 50) * MINUTE
    ease = 0.33 + 0.32 * person.ability + 0.1 * chance()
    gap, longest = _FIRST_GAP / person.diligence, _LONGEST_GAP / person.diligence
    level = lasting = 0.0
    stability, seconds = _FIRST_STABILITY, 0
    for which in count():
        pause = gap * (0.6 + 0.8 * chance()) * (2.5 if chance() < 0.125 else 1.0)
        at = person.next_login(int(last + pause)) + minute
        if at >= person.stay.left:
            return
        forgotten = 1.0 - lasting - (level - lasting) * exp((last - at) / stability)
        level = min(0.99, 1.0 - forgotten * (1.0 - ease))
        stability = min(_LONGEST_STABILITY, stability * (1.2 + 0.9 * forgotten))
        lasting = level * _LASTING[min(which, len(_LASTING) - 1)]
        seconds += 80 + at // MINUTE % 512
        yield Practice(at, level, lasting, stability, seconds)
        gap, last = min(longest, gap * 1.5), at


class Attempt(NamedTuple):
    """An attempt at a test. ``completed`` is None where it was given up."""

    started: int
    completed: int | None
    percentage: int | None
    """None where it has no score."""
    fields: dict[str, Any]
    """What a TestResult says of it, but for its drills."""


class Norm(NamedTuple):
    """What must be known, in percent, from a moment on; and below which it is lost again (None: the same)."""

    since: int
    minimum: int
    falling: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """An objective of a group. ``review`` is None where each member has their own date."""

    id: str
    group: Group
    type: str
    created: int
    removed: int
    review: int | None
    period: int
    """Of RECURRING and TEST: the time from one review to the next."""
    own_period: int
    """From when a member is evaluated to the review date of their own."""
    norms: tuple[Norm, ...]
    study_hours: int | None
    playables: tuple[int, ...]
    """Indices in the library; of TEST: in the tests of the group."""

    def norm(self, moment: int) -> Norm:
        """The norm of the moment."""
        return next((norm for norm in reversed(self.norms) if norm.since <= moment), self.norms[0])

    def review_at(self, moment: int) -> int | None:
        """The common review date as it is at the moment."""
        if self.type == "RECURRING" or (self.type == "TEST" and self.review is not None):
            return self.created + ((moment - self.created) // self.period + 1) * self.period
        return self.review

    def own_review(self, start: int) -> int | None:
        """The review date of a member who is evaluated from then on; None where the date is a common one."""
        if self.review is not None or self.type == "RECURRING":
            return None
        return start - start % DAY + self.own_period

    def start(self, membership: Membership) -> int:
        """From when a member is evaluated."""
        return max(self.created, membership.joined)


class Change(NamedTuple):
    """An evaluation changed: OBJECTIVE_BECAME_OK or OBJECTIVE_BECAME_NOK."""

    at: int
    ok: bool
    proficiency: int | None


class Learning(Model):
    """What everybody knows, and which objectives they meet."""

    def __init__(self, size: Size, seed: int) -> None:
        super().__init__(size, seed)
        self.practices = lru_cache(maxsize=8192)(_practices)
        self.attempts = lru_cache(maxsize=4096)(self._attempts)
        self.changes = lru_cache(maxsize=8192)(self._changes)
        self.objectives = lru_cache(maxsize=100_000)(lambda group: list(self._objectives(group)))
        self._by_id: dict[str, Objective] = {}

    # -- tests ---------------------------------------------------------------------------------------------------

    def _attempts(self, membership: Membership, test: Playable, moment: int) -> list[Attempt]:
        """The attempts of a member up to the moment: a few until they pass, and again a year later."""
        person = self.person(membership.stay)
        chance = draw(person.id, test.id, membership.since)
        last = min(person.stay.left, membership.ends)
        found: list[Attempt] = []
        for year in range(membership.since, min(moment + 1, last), _YEAR):
            at, takes_part = year + between(chance, 4, 75) * DAY, chance.random() < 0.86
            for number in range(_ATTEMPTS if takes_part else 0):
                attempt = _attempt(chance, person, at, number)
                if attempt.started >= last:
                    break
                found.append(attempt)
                if (attempt.percentage or 0) >= _PASS_MARK:
                    break
                at = attempt.started + between(chance, 1, 14) * DAY
        return [attempt for attempt in found if (attempt.completed or attempt.started) <= moment]

    # -- objectives ----------------------------------------------------------------------------------------------

    def objective(self, id_: str, moment: int) -> Objective | None:
        """The objective of an id, if it exists at the moment."""
        if id_ not in self._by_id:
            for group in self.groups(moment):
                self.objectives(group)
        found = self._by_id.get(id_)
        return found if found is not None and found.created <= moment < found.removed else None

    def _objectives(self, group: Group) -> Iterator[Objective]:
        """Every objective that a group ever has: but for tests, one makes way for another in the course of time."""
        chance, size = draw(group.id, "objectives"), self.size
        for slot in range(group.objectives):
            type_ = _TYPES[(slot + group.number) % len(_TYPES)]
            if type_ == "TEST" and not group.tests:
                type_ = "PERMANENT"
            cycle = between(chance, 120, 240) if type_ == "ONEOFF" else between(chance, 300, 500)
            cycle = FOREVER if type_ == "TEST" or size.stable else cycle * size.day
            own = (group.number + slot // len(_TYPES)) % 2 == (type_ == "TEST") and type_ != "RECURRING"
            created = group.created + between(chance, 0, 11) * DAY + 2 * HOUR
            while created < min(group.removed, END):
                found = self._objective(chance, group, type_, created, min(group.removed, created + cycle), own=own)
                self._by_id[found.id] = found
                yield found
                created += cycle

    def _objective(
        self, chance: Random, group: Group, type_: str, created: int, removed: int, *, own: bool
    ) -> Objective:
        size = self.size
        period = _YEAR if type_ == "TEST" else between(chance, 45, 100) * size.day
        if type_ == "TEST":
            playables: tuple[int, ...] = (between(chance, 0, len(group.tests) - 1),)
        else:  # one or two of the drills that stay the longest
            placed = self.placed(group.id, group.drillables, created)
            lasting = sorted(placed, key=lambda one: -one.until)[:4]
            playables = tuple(one.number for one in chance.sample(lasting, min(len(lasting), between(chance, 1, 2))))
        minimum = between(chance, 9, 15) * 5
        falling = minimum - 10 if chance.random() < 0.33 else None
        norms = [Norm(created, minimum, falling)]
        if type_ == "PERMANENT" and chance.random() < 0.5 and not size.stable:
            norms.append(Norm(created + between(chance, 80, 280) * size.day, minimum + 5, falling))
        return Objective(
            id=make_id(chance),
            group=group,
            type=type_,
            created=created,
            removed=removed,
            review=None if own or type_ == "RECURRING" else created - created % DAY + period,
            period=period,
            own_period=between(chance, 40, 90) * DAY,
            norms=tuple(norms),
            study_hours=between(chance, 1, 6) if chance.random() < 0.33 else None,
            playables=playables,
        )

    def practices_of(self, membership: Membership, objective: Objective, moment: int) -> list[Practices]:
        """What a member has practiced of each drill of an objective."""
        person = self.person(membership.stay)
        return [self.practices(person, self.library[index].id, moment) for index in objective.playables]

    def _changes(self, membership: Membership, objective: Objective, moment: int) -> list[Change]:
        """How the member's evaluation changed, up to and including the moment."""
        start = objective.start(membership)
        stop = min(membership.ends, objective.removed, moment + 1)
        review = objective.own_review(start)
        if objective.type in {"TEST", "ONEOFF"}:
            stop = min(stop, review or (objective.review if objective.type == "ONEOFF" else None) or stop)
        if start >= stop:
            return []
        if objective.type == "TEST":  # counts once it is completed before the review, and for good
            attempts = self.attempts(membership, objective.group.tests[objective.playables[0]], moment)
            done = [attempt.completed for attempt in attempts if attempt.completed and attempt.completed < stop]
            return [Change(max(start, min(done)), ok=True, proficiency=None)] if done else []
        return list(_crossings(objective, self.practices_of(membership, objective, min(stop, moment)), start, stop))


def _attempt(chance: Random, person: Person, earliest: int, number: int) -> Attempt:
    """Pass or fail is in one of the transformations of the score."""
    started = person.next_login(earliest) + int(chance.random() * 50 * MINUTE)
    questions, minutes = chance.choice((10, 15, 20, 25, 40)), between(chance, 6, 45)
    fields: dict[str, Any] = {"id": make_id(chance), "started": iso(started), "size": questions}
    if chance.random() < 0.05:
        progress = between(chance, 1, 9) / 10
        fields |= {"correctlyAnswered": int(questions * progress) * 2 // 3 // 2, "progress": progress}
        return Attempt(started, None, None, fields)
    share = min(97, 45 + int(30 * person.ability) + 9 * number + between(chance, 0, 23))
    correct = min(questions, round(questions * share / 100))
    percentage = None if chance.random() < 0.02 else round(100 * correct / questions)
    completed = started + minutes * MINUTE
    fields |= {"completed": iso(completed), "duration": minutes, "correctlyAnswered": correct, "progress": 1.0}
    if percentage is not None:
        passed = percentage >= _PASS_MARK
        verdict = {"result": "Geslaagd" if passed else "Niet geslaagd", "passed": passed}
        transformations = [
            {"id": "seventy-percent-grade-points", "result": f"{max(1.0, percentage / 10):.1f}"},
            {"id": "seventy-percent-pass-fail", **verdict},
        ]
        fields["score"] = {"percentage": percentage, "transformations": transformations}
    return Attempt(started, completed, percentage, fields)


def _crossings(objective: Objective, practices: list[Practices], start: int, stop: int) -> Iterator[Change]:
    """The changes from ``start`` to ``stop``: at each practice, and when what was known has faded before the next."""
    recurring, reviews = objective.type == "RECURRING", set[int]()
    if recurring:
        first = objective.created + ((start - objective.created) // objective.period + 1) * objective.period
        reviews.update(range(first, stop, objective.period))
    steps = {start, *reviews, *(norm.since for norm in objective.norms if start < norm.since < stop)}
    for one in practices:
        steps.update(practice.at for practice in one.done if start < practice.at < stop)
    moments = sorted(steps)
    ok = False
    for at, end in zip(moments, [*moments[1:], stop], strict=True):
        norm = objective.norm(at)
        lost = (norm.minimum if norm.falling is None or recurring else norm.falling) / 100
        latest = [one.latest(at) for one in practices]
        value = min(one.level_at(at) for one in latest)
        if ok and value < lost - _EPSILON and (not recurring or at in reviews):
            ok = False
            yield Change(at, ok, percent(value))
        elif not ok and value >= norm.minimum / 100 - _EPSILON:
            ok = True
            yield Change(at, ok, percent(value))
        if ok and not recurring:
            faded = min(one.falls_below(lost) for one in latest)
            if at < faded and faded + 1 < end:
                ok, faded_at = False, int(faded) + 1
                yield Change(faded_at, ok, percent(min(one.level_at(faded_at) for one in latest)))
