"""Random loads, and what the warehouse must hold after them: computed day by day in plain Python, not in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from hypothesis import strategies as st

from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import LoadType, TablePlan, Warehouse

from .support import account, batch, day, event, group, load, member, objective, plan, playable, reject

ENTITIES = ("accounts", "playables", "groups", "group_members", "objectives", "objective_playables")
SELECTED = ("group_members", "objective_playables")
"""Tables that a load may leave out, since no other refers to them."""
DATES = tuple(day(number) for number in range(1, 9))
"""One more than there are dates with loads."""
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
"""Of which tables such a row may refer to an account or a playable that no other row refers to."""

Key = tuple[str, ...]
Row = Mapping[str, Any]
State = dict[Key, tuple[Row, bool]]
"""Of a date: each row that is there, and whether the load of that date observed it."""


@dataclass(frozen=True)
class Snapshot:
    """What one sealed capture shows, and what it could not observe."""

    on: date
    content: Mapping[str, tuple[Row, ...]]
    unobserved_groups: frozenset[str]
    partial: frozenset[str]
    rejected: Mapping[tuple[str, Key], Mapping[str, str]] = field(default_factory=dict)
    """Table and key of rows that did not fit, with what else may not be NULL of them."""
    unreadable: frozenset[str] = frozenset()
    """Tables with a row of which the key could not be read."""
    additive: frozenset[str] = frozenset()
    """Tables of which the load has only some rows, which others refer to."""

    def publish(self, warehouse: Warehouse) -> None:
        plans = {
            name: TablePlan(
                load_type=self.load_type(name),
                unobserved_groups=self.unobserved_groups,
                keep_referenced=bool(self.unobserved_groups) and name in {"accounts", "playables"},
            )
            for name in self.content
        }
        rejects: dict[str, list[Any]] = {name: [reject(name)] for name in self.unreadable}
        for (name, key), required in self.rejected.items():
            rejects.setdefault(name, []).append(reject(name, *key, **required))
        load(warehouse, self.on, self.content, plans=plans, rejects=rejects, allow_mass_delete=True)

    def load_type(self, name: str) -> LoadType:
        if name in self.additive:
            return LoadType.ADDITIVE
        return LoadType.PARTIAL if name in self.partial else LoadType.FULL

    def is_complete(self, name: str) -> bool:
        keeps_all = self.keeps_referenced(name) and name == "playables"
        return self.load_type(name) is LoadType.FULL and not self.unreadable & HIDING[name] and not keeps_all

    def keeps_referenced(self, name: str) -> bool:
        """Whether an account or playable that is only referenced may be there although no row refers to it."""
        return bool(self.unobserved_groups or self.unreadable & NAMING.get(name, frozenset()))

    def split(self, name: str) -> tuple[dict[Key, Row], dict[Key, Row]]:
        """The rows that it observes, and those that are only referenced."""
        observed: dict[Key, Row] = {}
        referenced: dict[Key, Row] = {}
        for row in self.content.get(name, ()):
            is_referenced = name in self.additive or (name == "accounts" and row["is_managed"] is None)
            (referenced if is_referenced else observed)[_key_of(name, row)] = row
        return observed, referenced

    def misses(self, name: str, key: Key, row: Row) -> bool:
        """Whether it cannot observe a row, which is there perhaps."""
        if not self.is_complete(name) or (name, key) in self.rejected:
            return True
        if name == "accounts":
            return self.keeps_referenced(name) and row["is_managed"] is not True
        group_id = key[0].removeprefix("o-") if name == "objective_playables" else row.get("group_id")
        return group_id in self.unobserved_groups


@dataclass(frozen=True)
class Events:
    """What one capture of events shows: events, and the accounts that they name."""

    on: date
    events: tuple[Row, ...]
    named: tuple[Row, ...]

    def publish(self, warehouse: Warehouse) -> None:
        tables = {"objective_events": TablePlan(), "accounts": TablePlan(load_type=LoadType.ADDITIVE)}
        with warehouse.loading(plan(self.on, tables, kind="events")) as loading:
            loading.stage(batch("accounts", self.named))
            loading.stage(batch("objective_events", self.events))
            loading.merge()


Loads = list[Snapshot | Events]


@st.composite
def snapshots(draw: st.DrawFn, on: date) -> Snapshot:
    """What is there, what changed, which groups were closed, what was rejected."""
    some = st.booleans()
    partial = {name for name in ENTITIES if draw(st.integers(0, 5)) == 0}
    additive = frozenset(name for name in ("accounts", "groups", "playables") if draw(st.integers(0, 7)) == 0)
    # Whether an account is managed is not known only where the list could not be read completely.
    managed = st.sampled_from([True, False, None] if partial | additive >= {"accounts"} else [True, False])
    names = st.sampled_from(["x", "y"])
    accounts = [account(name, draw(names), is_managed=draw(managed)) for name in ACCOUNTS if draw(some)]
    named = {row["account_id"] for row in accounts}
    playables = [playable(name, draw(names)) for name in PLAYABLES if draw(some)]
    groups = [group(name, draw(names)) for name in GROUPS if draw(some)]
    listed = {row["group_id"] for row in groups}
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
    content = dict(zip(ENTITIES, (accounts, playables, groups, members, objectives, contents), strict=True))
    rejected: dict[tuple[str, Key], dict[str, str]] = {}
    # What refers to these must be loaded, whether they fit or not.
    for name, found in content.items():
        if found and draw(st.integers(0, 4)) == 0:
            gone = found.pop(draw(st.integers(0, len(found) - 1)))
            rejected[name, _key_of(name, gone)] = {"group_id": str(gone["group_id"])} if name == "objectives" else {}
    # A table of which two rows and more were read, and none fitted, is refused.
    fitting = {name for name in ENTITIES if content[name]} | ({*ENTITIES} - {name for name, _ in rejected})
    return Snapshot(
        on=on,
        content={name: tuple(found) for name, found in content.items()},
        unobserved_groups=closed,
        partial=frozenset(partial),
        additive=additive,
        rejected=rejected,
        unreadable=frozenset(name for name in ENTITIES if draw(st.integers(0, 9)) == 0 and name in fitting),
    )


@st.composite
def events(draw: st.DrawFn, on: date) -> Events:
    """The events of a window, some of them in other windows too, and not always with the same values."""
    who = [name for name in ACCOUNTS if draw(st.booleans())]
    found = [
        event(f"e{number}", who[number % len(who)], proficiency=draw(st.integers(50, 52)))
        for number in range(4)
        if who and draw(st.booleans())
    ]
    named = [account(name, draw(st.sampled_from(["x", "y", "z"])), is_managed=None) for name in who]
    return Events(on, tuple(found), tuple(named))


@st.composite
def many_loads(draw: st.DrawFn) -> Loads:
    """Loads in any order, some of them repeated, of the same date or with tables left out."""
    loads: Loads = []
    numbers = st.lists(st.integers(1, len(DATES) - 1), min_size=2, max_size=7, unique=draw(st.booleans()))
    for number in draw(numbers):
        found = draw(snapshots(day(number)))
        left_out = {name for name in SELECTED if draw(st.integers(0, 5)) == 0}
        loads.append(replace(found, content={name: found.content[name] for name in ENTITIES if name not in left_out}))
        if draw(st.integers(0, 2)) == 0:
            loads.append(draw(events(day(draw(st.integers(1, len(DATES) - 1))))))
    return loads + draw(st.lists(st.sampled_from(loads), max_size=3))


# What must be there after these loads, in this order


def states(loads: Loads, name: str) -> dict[date, State]:
    """The entities of a table on every date."""
    newest = {load.on: load for load in _snapshots(loads) if name in load.content and name not in load.additive}
    found: dict[date, State] = {}
    state: State = {}
    for on in DATES:
        if on in newest:
            observed, _ = newest[on].split(name)
            missed = {key: (row, False) for key, (row, _) in state.items() if newest[on].misses(name, key, row)}
            state = missed | {key: (row, True) for key, row in observed.items()}
        found[on] = state
    return found


def runs(loads: Loads, name: str) -> list[dict[str, Any]]:
    """The same as rows of the history: the longest runs of dates with one state, in the order of the key."""
    found, rows = states(loads, name), list[dict[str, Any]]()
    for key in sorted({key for state in found.values() for key in state}):
        current = None
        for on in DATES:
            state = found[on].get(key)
            if state == current:
                continue
            if current is not None:
                rows[-1]["valid_until"] = on
            if state is not None:
                columns = {column.name: state[0].get(column.name) for column in DATA_TABLES[name].columns}
                rows.append(columns | {"is_seen": state[1], "valid_from": on, "valid_until": None})
            current = state
    return rows


def is_one_a_date(loads: Loads) -> bool:
    """Whether no date has two different snapshots. Of the one that was replaced, the entities keep some traces."""
    found = {id(load): load.on for load in _snapshots(loads)}
    return len(found) == len({*found.values()})


def entities(loads: Loads, name: str) -> dict[Key, dict[str, Any]]:
    """The rows of a table by their key, where :func:`is_one_a_date`."""
    found, rows = states(loads, name), dict[Key, dict[str, Any]]()
    for each in _snapshots(loads):
        for key, row in each.split(name)[0].items():
            first = rows[key]["first_seen_on"] if key in rows else each.on
            rows[key] = {**row, "first_seen_on": first, "last_seen_on": each.on}
    for key, row in rows.items():
        row["deleted_on"] = next((on for on in DATES if on > row["last_seen_on"] and key not in found[on]), None)
    # What was never observed is as the newest snapshot has it that refers to it, or else the newest events.
    referenced: dict[Key, Row] = {}
    if name == "accounts":
        referenced |= {(row["account_id"],): row for each in _events(loads) for row in each.named}
    for each in _snapshots(loads):
        referenced |= each.split(name)[1]
    placeholders = {key: required for each in _snapshots(loads) for key, required in _placeholders(each, name)}
    missing = {key: dict(zip(DATA_TABLES[name].key, key, strict=True)) | row for key, row in placeholders.items()}
    return {key: {**row, **UNDATED} for key, row in (missing | referenced).items()} | rows


def all_events(loads: Loads) -> dict[Key, dict[str, Any]]:
    """The events by their key."""
    return {(row["event_id"],): dict(row) for each in _events(loads) for row in each.events}


def _snapshots(loads: Loads) -> list[Snapshot]:
    return sorted((load for load in loads if isinstance(load, Snapshot)), key=lambda load: load.on)


def _events(loads: Loads) -> list[Events]:
    return sorted((load for load in loads if isinstance(load, Events)), key=lambda load: load.on)


def _key_of(name: str, row: Row) -> Key:
    return tuple(str(row[part]) for part in DATA_TABLES[name].key)


def _placeholders(load: Snapshot, name: str) -> Iterator[tuple[Key, Mapping[str, str]]]:
    """Rejected rows to which another row refers, or a rejected objective that has a placeholder itself."""
    column = f"{name.removesuffix('s')}_id"
    referring = [row for child, found in load.content.items() if child != name for row in found]
    required = [row for (child, _), row in load.rejected.items() if child == "objectives" and name == "groups"]
    for (of, key), others in load.rejected.items():
        if of == name and len(key) == 1 and any(row.get(column) == key[0] for row in (*referring, *required)):
            yield key, others
