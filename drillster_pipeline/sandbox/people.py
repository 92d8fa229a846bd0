"""Who works here, and since when: chairs, and the people who sit in them one after the other.

The organization has a fixed number of chairs. Each is taken by a person for a while; then the account is suspended
for some weeks, removed, and after a gap somebody new comes. That keeps the size while people come and go, and tells
who is here at any moment without going through everybody. :meth:`People.roster` does the same for all chairs at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from .calendar import DAY, FOREVER, FOUNDING, HOUR
from .chance import GOLDEN, MASK, Numbers, between, fold, mix, mix_all
from .size import Size

_CHAIR = 1
IMPORTED_WITHIN = 30 * DAY
_FLEXIBLE = 4
"""Of ten chairs, so many are taken by people who stay for a few months at most."""


class Stint(NamedTuple):
    """One person's time in a chair: present from ``start`` to ``left``, still listed (suspended) until ``gone``."""

    chair: int
    number: int
    start: int
    left: int
    gone: int


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is listed at a moment, by the time their account was created: three arrays of one length."""

    starts: Numbers
    chairs: Numbers
    numbers: Numbers

    def __len__(self) -> int:
        return len(self.starts)


class People:
    """The chairs of one organization."""

    def __init__(self, size: Size, seed: int) -> None:
        self.size = size
        self._seed = fold(seed, _CHAIR)
        self.stints: Callable[[int, int], tuple[Stint, ...]] = lru_cache(maxsize=20_000)(self._stints)
        self.roster: Callable[[int], Roster] = lru_cache(maxsize=8)(self._roster)

    def key(self, chair: int) -> int:
        """What a chair's chances are drawn from."""
        return mix(self._seed ^ chair)

    def _first_start(self, key: int, chair: int) -> int:
        batch = self.size.import_batch
        if batch > 1:
            key = self.key(chair // batch * batch)
        return FOUNDING + (key >> 7) % (IMPORTED_WITHIN // DAY) * DAY + 7 * HOUR + (key >> 20) % (9 * HOUR)

    def _stints(self, chair: int, horizon: int) -> tuple[Stint, ...]:
        return tuple(self._iterate(chair, horizon))

    def _iterate(self, chair: int, until: int, since: int = 0) -> Iterator[Stint]:
        """Everyone who sits in the chair, starts before ``until`` and has not left by ``since``."""
        key = self.key(chair)
        start = self._first_start(key, chair)
        if self.size.stable:
            yield Stint(chair, 0, start, FOREVER, FOREVER)
            return
        least, spread = (30, 70) if key % 10 < _FLEXIBLE else (400, 1600)
        number, day = 0, self.size.day
        while start < until:
            bits = mix((key + number * GOLDEN) & MASK)
            left = start + (least + (bits >> 8) % spread) * day
            gone = left + (10 + (bits >> 24) % 30) * day
            if left > since:
                yield Stint(chair, number, start, left, gone)
            start = gone - gone % DAY + DAY + (bits >> 34) % 20 * day + 7 * HOUR + (bits >> 40) % (9 * HOUR)
            number += 1

    def overlapping(self, chair: int, since: int, until: int) -> list[Stint]:
        """Those whose time in the chair overlaps the one from ``since`` to ``until``, suspended people left out."""
        return list(self._iterate(chair, until, since))

    def stint_at(self, chair: int, moment: int, horizon: int) -> Stint | None:
        """Whose account the chair holds at the moment, suspended people included."""
        for stint in self.stints(chair, horizon):
            if stint.start <= moment < stint.gone:
                return stint
        return None

    def stint(self, chair: int, number: int, horizon: int) -> Stint | None:
        """The chair's person of that number; None where the chair has had none by then."""
        stints = self.stints(chair, horizon)
        return stints[number] if number < len(stints) else None

    def is_listed(self, stint: Stint, moment: int) -> bool:
        """Whether the organization lists the account: from when it is made until it is removed, but for a break."""
        if not stint.start <= moment < stint.gone:
            return False
        time = stint.left - stint.start
        return not (self._has_break(stint.number) and time // 3 <= moment - stint.start < time // 2)

    def _has_break(self, number: Any) -> Any:
        """Whether an account is taken from the list for a while: that of every third in a chair."""
        return (self.size.pace > 1) & (number % 3 == 1)

    def _roster(self, moment: int) -> Roster:
        """Everyone listed at the moment, the longest known first. The arithmetic is that of ``_stints``."""
        chairs = np.arange(self.size.chairs, dtype=np.uint64)
        keys = mix_all(np.uint64(self._seed) ^ chairs)
        batch = np.uint64(self.size.import_batch)
        firsts = mix_all(np.uint64(self._seed) ^ (chairs // batch * batch)) if self.size.import_batch > 1 else keys
        starts = (
            np.uint64(FOUNDING + 7 * HOUR)
            + (firsts >> np.uint64(7)) % np.uint64(IMPORTED_WITHIN // DAY) * np.uint64(DAY)
            + (firsts >> np.uint64(20)) % np.uint64(9 * HOUR)
        )
        numbers, day = np.zeros(len(chairs), dtype=np.uint64), np.uint64(self.size.day)
        here = []
        while len(chairs):
            gone = np.full(len(chairs), FOREVER, dtype=np.uint64)
            time = gone
            if not self.size.stable:
                bits = mix_all(keys + numbers * np.uint64(GOLDEN))
                flexible = keys % np.uint64(10) < np.uint64(_FLEXIBLE)
                active = np.where(flexible, np.uint64(30), np.uint64(400)) + (bits >> np.uint64(8)) % np.where(
                    flexible, np.uint64(70), np.uint64(1600)
                )
                time = active * day
                gone = starts + time + (np.uint64(10) + (bits >> np.uint64(24)) % np.uint64(30)) * day
            begun = starts <= np.uint64(moment)
            listed = begun & (gone > np.uint64(moment))
            since = np.uint64(moment) - starts  # of nobody who has not begun
            away = self._has_break(numbers) & (time // 3 <= since) & (since < time // 2)
            shown = listed & ~away
            here.append((starts[shown], chairs[shown], numbers[shown]))
            later = begun & ~listed
            if not later.any():
                break
            chairs, keys, numbers, gone, bits = (column[later] for column in (chairs, keys, numbers, gone, bits))
            starts = (
                gone
                - gone % np.uint64(DAY)
                + np.uint64(DAY)
                + (bits >> np.uint64(34)) % np.uint64(20) * day
                + np.uint64(7 * HOUR)
                + (bits >> np.uint64(40)) % np.uint64(9 * HOUR)
            )
            numbers = numbers + np.uint64(1)
        columns = [np.concatenate(parts) for parts in zip(*here, strict=True)]
        order = np.lexsort((columns[1], columns[0]))
        return Roster(*(column[order] for column in columns))

    def affine(self, key: int, seats: int) -> tuple[int, int]:
        """How a group that cuts across picks its chairs: seat ``k`` is chair ``(a * k + b) % chairs``."""
        chairs = self.size.chairs
        step = between(key, 1, max(1, chairs - 1))
        while gcd(step, chairs) != 1:
            step = step % chairs + 1
        return step, (key >> 32) % chairs if seats < chairs else 0
