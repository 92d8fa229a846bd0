"""How people learn and forget: what a person knows of a drill at any moment.

Knowledge after a practice fades exponentially towards what stays for good; each practice lifts it again, slows the
fading down and leaves more behind (Ebbinghaus' curve with a memory that grows). Practice comes at growing intervals,
at logins, more often for the diligent; now and then somebody lets it slip. Between two practices knowledge only
falls, so the moment at which it crosses a norm follows from a logarithm, and nothing needs to be simulated.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from math import exp, inf, log
from typing import NamedTuple

from .calendar import DAY, MINUTE, horizon_of
from .chance import MASK, fold
from .person import Person

_KNOWLEDGE = 3
_MULTIPLIER, _INCREMENT = 6364136223846793005, 1442695040888963407  # Knuth's MMIX generator: quick, good high bits
_HIGH = 1.0 / (1 << 24)
SECONDS_TO_MASTER = 5400
_FIRST_GAP, _LONGEST_GAP = 1.6 * DAY, 48.0 * DAY
"""From one practice to the next, for somebody of diligence 1."""
_LASTING = tuple(0.14 + 0.04 * count for count in range(12))
"""Which share of what is known stays for good after one practice, two, … In the end it is the last of these."""
_FIRST_STABILITY, _LONGEST_STABILITY = 3.0 * DAY, 120.0 * DAY


class Practices:
    """Everything that one person practiced of one drill: columns of equal length, in the order of time.

    Fractions are 0 to 1. Columns take a fifth of the memory that records would.
    """

    __slots__ = ("at", "level", "seconds", "stability")

    def __init__(self) -> None:
        self.at = array("q")
        self.level = array("d")
        """What is known right after."""
        self.stability = array("d")
        """Milliseconds in which what does not last falls to 1/e."""
        self.seconds = array("q")
        """Time spent so far, this practice included."""

    def latest(self, moment: int) -> int:
        """Which practice is the latest at the moment; -1 where there is none yet."""
        return bisect_right(self.at, moment) - 1

    def lasting(self, which: int) -> float:
        """What stays of a practice without any further one: a share that grows with their number."""
        return self.level[which] * _LASTING[min(which, len(_LASTING) - 1)]

    def level_at(self, which: int, moment: int) -> float:
        """What is left of a practice at a later moment; nothing of none."""
        if which < 0:
            return 0.0
        lasting = self.lasting(which)
        return lasting + (self.level[which] - lasting) * exp((self.at[which] - moment) / self.stability[which])

    def falls_below(self, which: int, norm: float) -> float:
        """The moment at which what was practiced falls below the norm; infinite where it never does."""
        if which < 0 or self.level[which] < norm:
            return -inf
        lasting = self.lasting(which)
        if norm <= lasting:
            return inf
        return self.at[which] + self.stability[which] * log((self.level[which] - lasting) / (norm - lasting))


class Knowledge(NamedTuple):
    """What a person knows of a drill at a moment, in the measures of Drillster's Practice object."""

    proficiency: int
    highest: int
    eventual: int
    seconds: int
    expected_seconds: int
    last: int | None
    added: int | None


def percent(fraction: float) -> int:
    """A whole percentage, rounded down, so that 79.9 does not look like the norm of 80."""
    return int(fraction * 100 + 1e-7)


class Learning:
    """What everybody knows."""

    def __init__(self, seed: int) -> None:
        self._seed = fold(seed, _KNOWLEDGE)
        self.practices: Callable[[Person, int, int], Practices] = lru_cache(maxsize=16_384)(self._practices)
        """Of a person, a drill: every practice before a horizon."""

    def _origin(self, person: Person, drill: int) -> tuple[int, int]:
        """The chances of this person with this drill, and when it came to their repertoire."""
        bits = fold(self._seed, person.key ^ drill)
        return bits, person.start + (bits >> 8) % (25 * DAY)

    def _practices(self, person: Person, drill: int, horizon: int) -> Practices:
        found = Practices()
        bits, last = self._origin(person, drill)
        if bits % 16 == 0:  # never gets round to it
            return found
        stop = min(horizon, person.left)
        minute = (bits >> 48) % 50 * MINUTE
        gap, longest = _FIRST_GAP / person.diligence, _LONGEST_GAP / person.diligence
        ease = 0.33 + 0.32 * person.ability + 0.1 * ((bits >> 20) & 15) / 15
        level = lasting = 0.0
        stability, seconds, which = _FIRST_STABILITY, 0, 0
        next_login, last_share = person.next_login, len(_LASTING) - 1
        add_at, add_level = found.at.append, found.level.append
        add_stability, add_seconds = found.stability.append, found.seconds.append
        while True:
            bits = (bits * _MULTIPLIER + _INCREMENT) & MASK
            pause = gap * (0.6 + 0.8 * (bits >> 40) * _HIGH)
            if not (bits >> 34) & 7:  # lets it slip
                pause *= 2.5
            at = next_login(int(last + pause)) + minute
            if at >= stop:
                return found
            forgotten = 1.0 - lasting - (level - lasting) * exp((last - at) / stability)
            level = min(0.99, 1.0 - forgotten * (1.0 - ease))
            stability = min(_LONGEST_STABILITY, stability * (1.2 + 0.9 * forgotten))
            lasting = level * _LASTING[which]
            seconds += 80 + ((bits >> 16) & 511)
            add_at(at)
            add_level(level)
            add_stability(stability)
            add_seconds(seconds)
            if which < last_share:
                which += 1
            if gap < longest:
                gap *= 1.5
            last = at

    def knowledge(self, person: Person, drill: int, moment: int) -> Knowledge:
        """The measures of one drill for one person at the moment."""
        _, added = self._origin(person, drill)
        practices = self.practices(person, drill, horizon_of(moment))
        which = practices.latest(moment)
        if which < 0:
            return Knowledge(0, 0, 0, 0, SECONDS_TO_MASTER, None, added if added <= moment else None)
        level = practices.level_at(which, moment)
        return Knowledge(
            proficiency=percent(level),
            highest=percent(max(practices.level[: which + 1])),
            eventual=percent(practices.lasting(which)),
            seconds=practices.seconds[which],
            expected_seconds=int(SECONDS_TO_MASTER * (1.0 - level)),
            last=practices.at[which],
            added=added,
        )

    def proficiency(self, person: Person, drill: int, moment: int, horizon: int) -> int:
        """The whole percentage that the person knows of the drill at the moment, which is before the horizon."""
        practices = self.practices(person, drill, horizon)
        return percent(practices.level_at(practices.latest(moment), moment))
