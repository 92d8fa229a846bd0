"""Random histories of nights, and what the warehouse must hold after them: computed in plain Python, not in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from hypothesis import strategies as st

from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import LoadReport, LoadType, TablePlan, Warehouse

from .nights import account, batch, day, event, group, load, member, objective, plan, playable, reject

ENTITIES = ("accounts", "playables", "groups", "group_members", "objectives", "objective_playables")
UNDATED = dict.fromkeys(("first_seen_on", "last_seen_on", "deleted_on"))
GROUPS, ACCOUNTS, PLAYABLES = ("g1", "g2", "g3"), ("a1", "a2", "a3"), ("p1", "p2")

HIDING: Mapping[str, frozenset[str]] = {
    "accounts": frozenset({"accounts"}),
    "playables": frozenset({"playables", "groups"}),
    "groups": frozenset({"groups"}),
    "group_members": frozenset({"group_members", "groups"}),
    "objectives": frozenset({"objectives", "groups"}),
    "objective_playables": frozenset({"objective_playables", "objectives", "groups"}),
}
"""Of which tables a row without a readable key hides rows of a table: its own, and those that lead to them."""
NAMING: Mapping[str, frozenset[str]] = {
    "accounts": frozenset({"groups", "group_members", "objectives"}),
    "playables": frozenset({"groups", "group_members", "objectives", "objective_playables", "playables"}),
}
"""Of which tables such a row may have named a person or a playable that nothing else names."""


@dataclass(frozen=True)
class Night:
    """What one sealed capture shows, and what it could not see."""

    on: date
    content: Mapping[str, tuple[Mapping[str, Any], ...]]
    unobserved_groups: frozenset[str]
    keep_referenced: bool
    partial: frozenset[str]
    rejected: Mapping[tuple[str, tuple[str, ...]], Mapping[str, str]] = field(default_factory=dict)
    """Table and key of rows that did not fit, with what else may not be NULL of them."""
    unreadable: frozenset[str] = frozenset()
    additive: frozenset[str] = frozenset()
    """Tables of which the load only met some rows in passing."""

    def publish(self, warehouse: Warehouse) -> LoadReport:
        plans = {
            name: TablePlan(
                load_type=self.load_type(name),
                unobserved_groups=self.unobserved_groups,
                keep_referenced=self.keep_referenced and name in {"accounts", "playables"},
            )
            for name in self.content
        }
        rejects: dict[str, list[Any]] = {name: [reject(name)] for name in self.unreadable}
        for (name, key), required in self.rejected.items():
            rejects.setdefault(name, []).append(reject(name, *key, **required))
        return load(warehouse, self.on, self.content, plans=plans, rejects=rejects, allow_mass_delete=True)

    def load_type(self, name: str) -> LoadType:
        if name in self.additive:
            return LoadType.ADDITIVE
        return LoadType.PARTIAL if name in self.partial else LoadType.FULL

    def is_complete(self, name: str) -> bool:
        keeps_all = self.keeps_referenced(name) and name == "playables"
        return self.load_type(name) is LoadType.FULL and not self.unreadable & HIDING[name] and not keeps_all

    def keeps_referenced(self, name: str) -> bool:
        """Whether a person or playable that is only known in passing may be there although nothing named it."""
        return self.keep_referenced or bool(self.unreadable & NAMING.get(name, frozenset()))

    def is_in_passing(self, name: str, row: Mapping[str, Any]) -> bool:
        return name in self.additive or (name == "accounts" and row["is_managed"] is None)


@dataclass(frozen=True)
class Evening:
    """What one capture of events shows: events, and the people they name."""

    on: date
    events: tuple[Mapping[str, Any], ...]
    named: tuple[Mapping[str, Any], ...]

    def publish(self, warehouse: Warehouse) -> LoadReport:
        tables = {"objective_events": TablePlan(), "accounts": TablePlan(load_type=LoadType.ADDITIVE)}
        with warehouse.loading(plan(self.on, tables, kind="events")) as loading:
            loading.stage(batch("accounts", self.named))
            loading.stage(batch("objective_events", self.events))
            return loading.merge()


Loads = list[Night | Evening]


@st.composite
def nights(draw: st.DrawFn, on: date) -> Night:
    """A night: who is there, what changed, which groups were closed, what was rejected."""
    some = st.booleans()
    partial = {name for name in ENTITIES if draw(st.integers(0, 5)) == 0}
    additive = frozenset(name for name in ("accounts", "groups", "playables") if draw(st.integers(0, 7)) == 0)
    # Whether somebody is managed is not known only where the list could not be read whole.
    managed = st.sampled_from([True, False, None] if partial | additive >= {"accounts"} else [True, False])
    people = [
        account(name, draw(st.sampled_from(["x", "y"])), is_managed=draw(managed)) for name in ACCOUNTS if draw(some)
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
    rejected: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
    # What refers to these must stand, whether they fitted or not.
    for name, found in (("accounts", people), ("groups", groups), ("playables", playables), ("objectives", objectives)):
        if found and draw(st.integers(0, 4)) == 0:
            gone = found.pop(draw(st.integers(0, len(found) - 1)))
            required = {"group_id": str(gone["group_id"])} if name == "objectives" else {}
            rejected[name, (str(gone[DATA_TABLES[name].key[0]]),)] = required
    for name, found, key in (
        ("group_members", members, ("group_id", "member_key")),
        ("objective_playables", contents, ("objective_id", "playable_id")),
    ):
        if found and draw(st.integers(0, 3)) == 0:
            gone = found.pop(draw(st.integers(0, len(found) - 1)))
            rejected[name, tuple(str(gone[part]) for part in key)] = {}
    content = {
        name: tuple(found)
        for name, found in zip(ENTITIES, (people, playables, groups, members, objectives, contents), strict=True)
    }
    # A table of which two rows and more were read, and none fitted, is refused.
    fitting = {name for name in ENTITIES if content[name]} | ({*ENTITIES} - {name for name, _ in rejected})
    return Night(
        on=on,
        content=content,
        unobserved_groups=closed,
        keep_referenced=bool(closed),
        partial=frozenset(partial),
        additive=additive,
        rejected=rejected,
        unreadable=frozenset(name for name in ENTITIES if draw(st.integers(0, 9)) == 0 and name in fitting),
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
        self.tables["objective_events"] = {
            (told["event_id"],): dict(told) for evening in self.evenings for told in evening.events
        }
        for name in ENTITIES:
            self._in_passing(name)
        self._stubs()

    def _in_passing(self, name: str) -> None:
        """What was never seen in its own right is as the newest night tells in passing, or else the newest evening."""
        told: dict[tuple[str, ...], Mapping[str, Any]] = {}
        if name == "accounts":
            told |= {(row["account_id"],): row for evening in self.evenings for row in evening.named}
        for night in self.nights:
            told |= {key_of(name, row): row for row in night.content[name] if night.is_in_passing(name, row)}
        for at, row in told.items():
            self.tables[name].setdefault(at, dict(row) | UNDATED)

    def _stubs(self) -> None:
        """A row that never fitted is there by its key if anything refers to it."""
        for night in self.nights:
            for (name, key), required in night.rejected.items():
                if len(DATA_TABLES[name].key) == 1 and _is_referred_to(night, name, key[0]):
                    self.tables[name].setdefault(key, {DATA_TABLES[name].key[0]: key[0], **required, **UNDATED})

    def _entities(self, name: str) -> dict[tuple[str, ...], dict[str, Any]]:
        state: dict[tuple[str, ...], dict[str, Any]] = {}
        for night in self.nights:
            for row in night.content[name]:
                if night.is_in_passing(name, row):
                    continue
                at = key_of(name, row)
                first = state[at]["first_seen_on"] if at in state else night.on
                state[at] = dict(row) | {"first_seen_on": first, "last_seen_on": night.on}
        for at, row in state.items():
            row["deleted_on"] = next(
                (
                    night.on
                    for night in self.nights
                    if night.on > row["last_seen_on"]
                    and night.is_complete(name)
                    and not is_unseen(night, name, at, row)
                ),
                None,
            )
        return state


def key_of(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[part]) for part in DATA_TABLES[name].key)


def _is_referred_to(night: Night, name: str, key: str) -> bool:
    """Whether a row of the night refers to this one, or a rejected objective that could stand by its key does."""
    column = f"{name.removesuffix('s')}_id"
    referring = (row for child in ENTITIES if child != name for row in night.content[child])
    standing = (required for (child, _), required in night.rejected.items() if child == "objectives")
    return any(row.get(column) == key for row in (*referring, *(standing if name == "groups" else ())))


def is_unseen(night: Night, name: str, at: tuple[str, ...], row: Mapping[str, Any]) -> bool:
    if (name, at) in night.rejected:
        return True
    if name == "accounts":
        return night.keeps_referenced(name) and row["is_managed"] is not True
    if name == "objective_playables":
        return at[0].removeprefix("o-") in night.unobserved_groups
    return row.get("group_id") in night.unobserved_groups
