"""What entities were like on every date, computed day by day in plain Python: what their history must say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import strategies as st

from drillster_pipeline.tables import DATA_TABLES

from .histories import ENTITIES, Loads, Night, evenings, is_unseen, key_of, nights
from .nights import day

DATES = tuple(day(number) for number in range(1, 9))
"""One more than there are nights of."""
LEAVES = ("group_members", "objective_playables")
"""Tables that a load may leave out, since no other refers to them."""

Key = tuple[str, ...]
State = dict[Key, tuple[Mapping[str, Any], bool]]
"""Of a date: each thing that is there, its columns, and whether the night of that date showed it."""


@st.composite
def mixed_loads(draw: st.DrawFn) -> Loads:
    """Loads in any order, with other ones of the same date, repeats, and some that leave tables out."""
    loads: Loads = []
    for number in draw(st.lists(st.integers(1, len(DATES) - 1), min_size=2, max_size=8)):
        night = draw(nights(day(number)))
        left_out = {name for name in LEAVES if draw(st.integers(0, 5)) == 0}
        loads.append(replace(night, content={name: night.content[name] for name in ENTITIES if name not in left_out}))
        if draw(st.integers(0, 5)) == 0:
            loads.append(draw(evenings(day(number))))
    return loads + draw(st.lists(st.sampled_from(loads), max_size=2))


def states(loads: Loads, name: str) -> dict[date, State]:
    """What a table's entities were like on every date, after these loads in this order."""
    newest: dict[date, Night] = {}
    for load in loads:
        if isinstance(load, Night) and name in load.content and name not in load.additive:
            newest[load.on] = load
    found: dict[date, State] = {}
    state: State = {}
    for on in DATES:
        if on in newest:
            state = _after(newest[on], name, state)
        found[on] = state
    return found


def _after(night: Night, name: str, before: State) -> State:
    shown = {key_of(name, row): row for row in night.content[name] if not night.is_in_passing(name, row)}
    state = {key: (row, True) for key, row in shown.items()}
    for key, (row, _) in before.items():
        out_of_sight = not night.is_complete(name) or is_unseen(night, name, key, row)
        if key not in shown and out_of_sight:
            state[key] = (row, False)
    return state


def runs(found: Mapping[date, State], name: str) -> list[dict[str, Any]]:
    """The same as rows of the history: the longest runs of dates with one state, in the order of the key."""
    keys = sorted({key for state in found.values() for key in state})
    rows: list[dict[str, Any]] = []
    for key in keys:
        current = None
        for on in DATES:
            state = found[on].get(key)
            if state == current:
                continue
            if current is not None:
                rows[-1]["valid_until"] = on
            if state is not None:
                rows.append(_row(name, *state) | {"valid_from": on, "valid_until": None})
            current = state
    return rows


def _row(name: str, row: Mapping[str, Any], is_seen: bool) -> dict[str, Any]:
    return {column.name: row.get(column.name) for column in DATA_TABLES[name].columns} | {"is_seen": is_seen}
