"""How members take the tests of a group: a few attempts until they pass, and again a year later."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from .calendar import DAY, MINUTE, horizon_of
from .chance import between, fold, mix
from .groups import Group, Membership
from .ids import Ids
from .person import Person

_ATTEMPT = 9
YEAR = 365 * DAY
ATTEMPTS_AT_MOST = 3
PASS_MARK = 70


class Attempt(NamedTuple):
    """One attempt. ``completed`` is None where it was given up; ``percentage`` None where no score was made of it."""

    id: str
    started: int
    completed: int | None
    minutes: int
    questions: int
    correct: int
    progress: float
    percentage: int | None

    @property
    def passed(self) -> bool:
        """Whether the score is enough."""
        return self.percentage is not None and self.percentage >= PASS_MARK


class Attempts:
    """Everybody's attempts."""

    def __init__(self, ids: Ids, seed: int) -> None:
        self._ids = ids
        self._seed = fold(seed, _ATTEMPT)
        self._until: Callable[[Person, Membership, Group, int, int], tuple[Attempt, ...]] = lru_cache(maxsize=4096)(
            self._all
        )

    def of(self, person: Person, membership: Membership, group: Group, test: int, moment: int) -> list[Attempt]:
        """The attempts that have been started by the moment, oldest first."""
        known = self._until(person, membership, group, test, horizon_of(moment))
        return [attempt for attempt in known if attempt.started <= moment]

    def _all(
        self, person: Person, membership: Membership, group: Group, test: int, horizon: int
    ) -> tuple[Attempt, ...]:
        key = fold(self._seed, person.key, group.key, test)
        found: list[Attempt] = []
        year = 0
        while membership.since + year * YEAR < min(horizon, membership.ends):
            bits = mix(key ^ mix(year))
            at = membership.since + year * YEAR + between(bits, 4, 75) * DAY
            year += 1
            if (bits >> 8) % 7 == 0:
                continue
            for number in range(ATTEMPTS_AT_MOST):
                attempt = self._attempt(person, mix(bits ^ number), person.next_login(at), number)
                if attempt.started >= min(person.left, membership.ends):
                    break
                found.append(attempt)
                if attempt.passed:
                    break
                at = attempt.started + between(bits >> 30 + number, 1, 14) * DAY
        return tuple(found)

    def _attempt(self, person: Person, bits: int, login: int, number: int) -> Attempt:
        started = login + (bits >> 8) % 50 * MINUTE + (bits >> 14) % MINUTE
        questions = (10, 15, 20, 25, 40)[(bits >> 20) % 5]
        minutes = between(bits >> 24, 6, 45)
        id_ = self._ids.opaque(_ATTEMPT, bits)
        if (bits >> 30) % 18 == 0:
            progress = between(bits >> 36, 1, 9) / 10
            done = int(questions * progress)
            return Attempt(id_, started, None, minutes, questions, done * 2 // 3, progress, None)
        chance = min(97, 45 + int(30 * person.ability) + 9 * number + (bits >> 40) % 24)
        correct = min(questions, round(questions * chance / 100))
        score = None if (bits >> 46) % 60 == 0 else round(100 * correct / questions)
        return Attempt(id_, started, started + minutes * MINUTE, minutes, questions, correct, 1.0, score)
