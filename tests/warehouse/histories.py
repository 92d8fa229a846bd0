"""Random histories of nights, and what the warehouse must hold after them: computed in plain Python, not in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from hypothesis import strategies as st

from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import LoadReport, Mode, TablePlan, Warehouse

from .nights import account, batch, day, event, group, load, member, objective, plan, playable, reject

ENTITIES = ("accounts", "playables", "groups", "group_members", "objectives", "objective_playables")
GROUPS, ACCOUNTS, PLAYABLES = ("g1", "g2", "g3"), ("a1", "a2", "a3"), ("p1", "p2")


@dataclass(frozen=True)
class Night:
    """What one sealed capture shows, and what it could not see."""

    on: date
    content: Mapping[str, tuple[Mapping[str, Any], ...]]
    kept_groups: frozenset[str]
    keep_mentioned: bool
    partial: frozenset[str]
    rejected: frozenset[tuple[str, tuple[str, ...]]] = frozenset()
    unreadable: frozenset[str] = frozenset()

    def publish(self, warehouse: Warehouse) -> LoadReport:
        plans = {
            name: TablePlan(
                mode=Mode.PARTIAL if name in self.partial else Mode.FULL,
                kept_groups=self.kept_groups,
                keep_mentioned=self.keep_mentioned and name in {"accounts", "playables"},
            )
            for name in self.content
        }
        rejects: dict[str, list[Any]] = {name: [reject(name)] for name in self.unreadable}
        for name, key in self.rejected:
            rejects.setdefault(name, []).append(reject(name, *key))
        return load(warehouse, self.on, self.content, plans=plans, rejects=rejects, allow_mass_delete=True)

    def is_complete(self, name: str) -> bool:
        keeps_all = self.keep_mentioned and name == "playables"
        return name not in self.partial and name not in self.unreadable and not keeps_all


@dataclass(frozen=True)
class Evening:
    """What one capture of events shows: events, and the people they name."""

    on: date
    events: tuple[Mapping[str, Any], ...]
    named: tuple[Mapping[str, Any], ...]

    def publish(self, warehouse: Warehouse) -> LoadReport:
        tables = {"objective_events": TablePlan(), "accounts": TablePlan(mode=Mode.ADDITIVE)}
        with warehouse.loading(plan(self.on, tables, kind="events")) as loading:
            loading.stage(batch("accounts", self.named))
            loading.stage(batch("objective_events", self.events))
            return loading.publish()


Loads = list[Night | Evening]


@st.composite
def nights(draw: st.DrawFn, on: date) -> Night:
    """A night: who is there, what changed, which groups were closed, what was rejected."""
    some = st.booleans()
    people = [
        account(name, draw(st.sampled_from(["x", "y"])), is_managed=draw(some)) for name in ACCOUNTS if draw(some)
    ]
    named = {person["account_id"] for person in people}
    playables = [playable(name, draw(st.sampled_from(["x", "y"]))) for name in PLAYABLES if draw(some)]
    groups = [group(name, draw(st.sampled_from(["x", "y"]))) for name in GROUPS if draw(some)]
    listed = {found["group_id"] for found in groups}
    closed = frozenset(name for name in GROUPS if draw(st.integers(0, 4)) == 0)
    open_groups = [name for name in GROUPS if name in listed and name not in closed]
    members = [member(name, who) for name in open_groups for who in sorted(named) if draw(some)]
    objectives = [objective(f"o-{name}", name, minimum_proficiency=draw(st.integers(1, 2))) for name in open_groups]
    contents = [
        {"objective_id": found["objective_id"], "playable_id": each["playable_id"]}
        for found in objectives
        for each in playables
        if draw(some)
    ]
    rejected: set[tuple[str, tuple[str, ...]]] = set()
    for name, found, key in (
        ("group_members", members, ("group_id", "member_key")),
        ("objective_playables", contents, ("objective_id", "playable_id")),
    ):
        if found and draw(st.integers(0, 3)) == 0:
            gone = found.pop(draw(st.integers(0, len(found) - 1)))
            rejected.add((name, tuple(str(gone[part]) for part in key)))
    return Night(
        on=on,
        content={
            name: tuple(found)
            for name, found in zip(ENTITIES, (people, playables, groups, members, objectives, contents), strict=True)
        },
        kept_groups=closed,
        keep_mentioned=bool(closed),
        partial=frozenset(name for name in ENTITIES if draw(st.integers(0, 5)) == 0),
        rejected=frozenset(rejected),
        unreadable=frozenset(name for name in ENTITIES if draw(st.integers(0, 9)) == 0),
    )


@st.composite
def evenings(draw: st.DrawFn, on: date) -> Evening:
    """The events of a window, some of them seen by other evenings too, and not always told alike."""
    who = [name for name in ACCOUNTS if draw(st.booleans())]
    events = [
        event(f"e{number}", who[number % len(who)], proficiency=draw(st.integers(50, 52)))
        for number in range(4)
        if who and draw(st.booleans())
    ]
    named = [account(name, draw(st.sampled_from(["x", "y", "z"])), is_managed=None) for name in who]
    return Evening(on, tuple(events), tuple(named))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Loads, Loads]:
    """Loads in the order of their dates, and the same in any order with some of them repeated."""
    ordered: Loads = []
    for number in range(1, draw(st.integers(5, 8)) + 1):
        if draw(st.integers(0, 4)) > 0:
            ordered.append(draw(nights(day(number))))
        if draw(st.booleans()):
            ordered.append(draw(evenings(day(number))))
    shuffled = list(draw(st.permutations(ordered)))
    if ordered:
        shuffled += draw(st.lists(st.sampled_from(ordered), max_size=4))
    return ordered, shuffled


@dataclass
class Oracle:
    """The end state of any order of these loads."""

    loads: Loads
    tables: dict[str, dict[tuple[str, ...], dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        found = sorted(self.loads, key=lambda each: each.on)
        self.nights = [each for each in found if isinstance(each, Night)]
        self.evenings = [each for each in found if isinstance(each, Evening)]
        self.tables = {name: self._entities(name) for name in ENTITIES}
        self.tables["objective_events"] = {}
        for evening in self.evenings:
            for told in evening.events:
                self.tables["objective_events"][told["event_id"],] = dict(told)
            for person in evening.named:
                known = self.tables["accounts"].get((person["account_id"],))
                if known is None or known["last_seen_on"] is None:
                    self.tables["accounts"][person["account_id"],] = dict(person) | {
                        "first_seen_on": None,
                        "last_seen_on": None,
                        "deleted_on": None,
                    }

    def _entities(self, name: str) -> dict[tuple[str, ...], dict[str, Any]]:
        key = DATA_TABLES[name].key
        state: dict[tuple[str, ...], dict[str, Any]] = {}
        for night in self.nights:
            for row in night.content[name]:
                at = tuple(str(row[part]) for part in key)
                first = state[at]["first_seen_on"] if at in state else night.on
                state[at] = dict(row) | {"first_seen_on": first, "last_seen_on": night.on}
        for at, row in state.items():
            row["deleted_on"] = next(
                (
                    night.on
                    for night in self.nights
                    if night.on > row["last_seen_on"] and night.is_complete(name) and not _unseen(night, name, at, row)
                ),
                None,
            )
        return state


def _unseen(night: Night, name: str, at: tuple[str, ...], row: Mapping[str, Any]) -> bool:
    if (name, at) in night.rejected:
        return True
    if name == "accounts":
        return night.keep_mentioned and row["is_managed"] is not True
    if name == "objective_playables":
        return at[0].removeprefix("o-") in night.kept_groups
    return row.get("group_id") in night.kept_groups
