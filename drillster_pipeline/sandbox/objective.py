"""An objective of a group, and how a member's evaluation against it changes in the course of time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from .calendar import DAY
from .chance import between
from .groups import Group
from .learning import Practices, percent

_EPSILON = 1e-9


class Norm(NamedTuple):
    """What must be known, in percent, from a moment on; and below which it is lost again (None: the same)."""

    since: int
    minimum: int
    falling: int | None


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective during its life. ``review`` is None where each member has their own date."""

    id: str
    group: Group
    slot: int
    version: int
    key: int
    type: str
    created: int
    removed: int
    review: int | None
    period: int
    """Of RECURRING: the time from one review to the next."""
    norms: tuple[Norm, ...]
    playables: tuple[int, ...]
    """Indices in the library; of TEST: the number of the test within the group."""

    def __hash__(self) -> int:
        """Quick, as caches ask for it all the time."""
        return self.key

    def norm(self, moment: int) -> Norm:
        """The norm that holds at the moment."""
        return next((norm for norm in reversed(self.norms) if norm.since <= moment), self.norms[0])

    def review_at(self, moment: int) -> int | None:
        """The common review date as it stands at the moment."""
        if self.type == "RECURRING" or (self.type == "TEST" and self.review is not None):
            return self.created + ((moment - self.created) // self.period + 1) * self.period
        return self.review

    def own_review(self, start: int) -> int | None:
        """The review date of a member whose evaluation starts then; None where the date is a common one."""
        if self.review is not None or self.type == "RECURRING":
            return None
        return start - start % DAY + between(self.key >> 40, 40, 90) * DAY


class Change(NamedTuple):
    """An evaluation changed: OBJECTIVE_BECAME_OK or OBJECTIVE_BECAME_NOK."""

    at: int
    ok: bool
    proficiency: int | None


class Evaluation(NamedTuple):
    """How one member stands: ``levels`` are the percentages per playable, empty for tests."""

    met: bool
    at: int
    review: int | None
    proficiency: int | None
    levels: tuple[int, ...]


def walk(objective: Objective, practices: list[Practices], start: int, stop: int) -> list[Change]:
    """The changes from ``start`` to ``stop``: look at each practice, and at what fades until the next one."""
    recurring = objective.type == "RECURRING"
    reviews: set[int] = set()
    if recurring:
        first = objective.created + ((start - objective.created) // objective.period + 1) * objective.period
        reviews.update(range(first, stop, objective.period))
    steps = {start, *reviews, *(norm.since for norm in objective.norms if start < norm.since < stop)}
    for one in practices:
        steps.update(one.at[bisect_right(one.at, start) : bisect_left(one.at, stop)])
    moments = sorted(steps)
    ends = [*moments[1:], stop]
    found: list[Change] = []
    norm = objective.norm(start)
    ok = False
    for at, end in zip(moments, ends, strict=True):
        if len(objective.norms) > 1:
            norm = objective.norm(at)
        lost = (norm.minimum if norm.falling is None or recurring else norm.falling) / 100
        latest = [one.latest(at) for one in practices]
        value = min(one.level_at(which, at) for one, which in zip(practices, latest, strict=True))
        if ok and value < lost - _EPSILON and (not recurring or at in reviews):
            ok = False
            found.append(Change(at, ok, percent(value)))
        elif not ok and value >= norm.minimum / 100 - _EPSILON:
            ok = True
            found.append(Change(at, ok, percent(value)))
        if ok and not recurring:
            faded = min(one.falls_below(which, lost) for one, which in zip(practices, latest, strict=True))
            if at < faded and faded + 1 < end:
                ok = False
                faded_at = int(faded) + 1
                value = min(one.level_at(which, faded_at) for one, which in zip(practices, latest, strict=True))
                found.append(Change(faded_at, ok, percent(value)))
    return found
