"""Export dates of a soak, as data: when each is captured, and what goes wrong on it."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from tests.drillster import Failure, Faults, FieldFault, Organization, PageFault, closed

FIRST = date(2024, 6, 1)
MISSING = 4
"""So many items a short list leaves out: more than people coming and going explain, in lists of less than 400."""
PATHS = {
    "organization": "organization",
    "accounts": "organizations/*/accounts",
    "catalogs": "organization/*/catalogs",
    "catalog_content": "catalog/*/content",
    "groups": "groups",
    "group_members": "group/*/members",
    "group_staff": "group/*/staff",
    "group_drillables": "group/*/drillables",
    "objectives": "group/*/objectives",
    "objective_evaluations": "group/*/objective/*/evaluations",
    "results": "group/*/member-results/*",
    "test_results": "group/*/test-results/*",
    "objective_events": "objective*/*/events",
}
SHORT = (
    "accounts",
    "accounts",
    "catalogs",
    "catalog_content",
    "groups",
    "group_members",
    "objectives",
    "objective_evaluations",
    "results",
)
BENT = {
    "accounts": ("account.repertoireSize", 9),
    "group_members": ("joined", 50),
    "objectives": ("minimumProficiency", 50),
    "test_results": ("testResults.size", 50),
}
"""Resource -> a field that holds text where a number or a moment should be, and in every how many items."""


class Loss(StrEnum):
    """What may happen to one group."""

    CLOSED = "it is listed, and answers 403"
    HIDDEN = "it is no longer listed, and answers 403"
    DELETED = "it is no longer listed, and answers 404; on the next date it is back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What goes wrong on an export date: nothing, one of these, or calls that fail on top of it."""

    unavailable: str | None = None
    """A resource that answers ``status`` everywhere."""
    status: int = 403
    group: str | None = None
    loss: Loss | None = None
    """What happens to that group."""
    short: str | None = None
    """A resource whose lists leave out their last items."""
    bent: str | None = None
    """A resource some of whose items do not fit."""
    failing: float = 0.0
    known: frozenset[str] = frozenset()
    """Groups that earlier captures have listed: those that a list leaves out are requested by their ids."""

    @property
    def is_normal(self) -> bool:
        """Whether nothing goes wrong."""
        return self == Conditions(known=self.known)

    def listed_groups(self, present: Sequence[str]) -> list[str]:
        """Which of the groups are listed; they come by their ids."""
        if self.unavailable == "groups":
            return []
        away = {self.group} if self.loss in {Loss.HIDDEN, Loss.DELETED} else set()
        listed = [group for group in sorted(present) if group not in away]
        return listed[:-MISSING] if self.short == "groups" else listed

    def seen_groups(self, present: Sequence[str]) -> set[str]:
        """The groups that a capture knows to be there: the listed ones, and those that answer to their ids."""
        if self.unavailable == "groups":
            return set()
        by_id = self.known & set(present) - {self.group if self.loss is Loss.DELETED else None}
        return by_id.union(self.listed_groups(present))

    def faults(self) -> Faults:
        """The same for the sandbox."""
        failures: tuple[Failure, ...] = ()
        if self.unavailable is not None:
            failures = (Failure(at=PATHS[self.unavailable], statuses=(self.status,)),)
        alone = frozenset({self.group} if self.group else ())
        if self.group is not None and self.loss is not Loss.DELETED:
            failures = closed(self.group)
        fields: tuple[FieldFault, ...] = ()
        if self.bent is not None:
            field, every = BENT[self.bent]
            fields = (FieldFault(resource=self.bent, field=field, what="value", value="many", every=every),)
        if self.failing:
            failures += (Failure(rate=self.failing, statuses=(500, 502, 503)),)
        return Faults(
            failures=failures,
            hidden_groups=alone if self.loss is Loss.DELETED else frozenset(),
            unlisted_groups=alone if self.loss is Loss.HIDDEN else frozenset(),
            pages=(PageFault(resource=self.short, what="short", n=MISSING),) if self.short else (),
            fields=fields,
        )


NORMAL = Conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportDay:
    """One export date. ``conditions`` is None where Drillster was down."""

    on: date
    moment: datetime
    conditions: Conditions | None
    again: Conditions | None = None
    """It is captured once more, under these conditions."""


def export_days(organization: Organization, count: int, chance: random.Random) -> Iterator[ExportDay]:
    """A history: most dates are normal, on every third or so something goes wrong, now and then none is captured."""
    on, known = FIRST, frozenset[str]()
    for _ in range(count):
        # 00:15 to 03:45 UTC: after midnight in Amsterdam, before dawn.
        moment = datetime.combine(on + timedelta(days=1), datetime.min.time(), UTC)
        moment += timedelta(minutes=15 * chance.randint(1, 15))
        present = [group.id for group in organization.at(moment).present_groups()]
        conditions = None if chance.random() < 0.06 else _weather(chance, present, known)
        again = None
        if conditions is not None and chance.random() < 0.12:
            later = moment.replace(hour=4, minute=0)
            again = _weather(chance, present, known.union(conditions.seen_groups(present)))
            present = [group.id for group in organization.at(later).present_groups()]
        yield ExportDay(on=on, moment=moment, conditions=conditions, again=again)
        counts = again or conditions
        if counts is not None:
            seen = counts.seen_groups(present)
            known = known.union(seen) if "groups" in {counts.unavailable, counts.short} else frozenset(seen)
        on += timedelta(days=1 if chance.random() < 0.93 else chance.randint(2, 4))


def _weather(chance: random.Random, present: Collection[str], known: frozenset[str]) -> Conditions:
    return replace(_some_weather(chance, present, known), known=known)


def _some_weather(chance: random.Random, present: Collection[str], known: frozenset[str]) -> Conditions:
    failing = 0.1 if chance.random() < 0.05 else 0.0
    kind = chance.choices(["fair", "unavailable", "group", "short", "bent"], [60, 14, 12, 9, 5])[0]
    if kind == "unavailable":
        status = chance.choice([403, 404])
        return Conditions(unavailable=chance.choice([*PATHS, "accounts", "accounts"]), status=status, failing=failing)
    if kind == "group":
        loss = chance.choice(list(Loss))
        groups = sorted(set(present) & set(known) if loss is Loss.HIDDEN else present)
        return Conditions(group=chance.choice(groups), loss=loss, failing=failing) if groups else NORMAL
    if kind == "short":
        return Conditions(short=chance.choice(SHORT), failing=failing)
    if kind == "bent":
        return Conditions(bent=chance.choice(sorted(BENT)), failing=failing)
    return Conditions(failing=failing)
