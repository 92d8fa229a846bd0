"""What a warehouse must hold after loads of these captures, in whatever order: computed in plain Python."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from .soak_shown import ENTITIES, KEYS, SNAPSHOTS, Key, Row, Rows, Shown

DATES = ("first_seen_on", "last_seen_on", "deleted_on")
UNREAD = "unread"
"""The ``row_hash`` of a row that stands by its key alone."""
REFERS = {
    "accounts": ("account_external_ids", "group_members", "group_staff", "objective_evaluations", "results"),
    "objectives": ("objective_playables", "objective_evaluations"),
}
"""Which rows refer to rows of these, by a column of the same name as the key."""


@dataclass
class Oracle:
    """The end state. ``captures`` are in the order of dates, and of captures within a date."""

    captures: list[Shown]

    def __post_init__(self) -> None:
        self.tables: dict[str, Rows] = {name: {} for name in KEYS}
        self.group_of = {
            objective: row["group_id"]
            for shown in self.captures
            for rows in (shown.seen.get("objectives", {}), shown.rejected.get("objectives", {}))
            for (objective,), row in rows.items()
        }
        for name in ENTITIES:
            self._entities(name)
        self._stubs()
        for name in KEYS.keys() - set(ENTITIES):
            for shown in self.captures:
                if name in shown.loaded:
                    self._replace(name, shown)

    def _replace(self, name: str, shown: Shown) -> None:
        """A later capture of a date replaces what the earlier one gave; one with holes adds to it."""
        if name in SNAPSHOTS and name in shown.complete:
            self.tables[name] = {key: row for key, row in self.tables[name].items() if row["export_date"] != shown.on}
        self.tables[name].update(shown.seen[name])

    def _entities(self, name: str) -> None:
        state: dict[Key, tuple[Row, date, int]] = {}
        for place, shown in enumerate(self.captures):
            for key, row in shown.seen.get(name, {}).items():
                first = state[key][1] if key in state else shown.on
                state[key] = row, first, place
        for key, (row, first, place) in state.items():
            dates = (first, self.captures[place].on, self._deleted_on(name, key, row, place))
            self.tables[name][key] = row | dict(zip(DATES, dates, strict=True)) | {"row_hash": row_hash(row)}
        named: dict[Key, Row] = {}
        for kind in ("events", "snapshot"):
            for shown in self.captures:
                if shown.kind == kind:
                    named |= shown.passing.get(name, {})
        for key, row in named.items():
            self.tables[name].setdefault(key, row | dict.fromkeys(DATES) | {"row_hash": row_hash(row)})

    def _deleted_on(self, name: str, key: Key, row: Row, place: int) -> date | None:
        """The first date on which the row would have been seen, had it been there."""
        for shown in self.captures[place + 1 :]:
            if name in shown.complete and not self._is_excepted(shown, name, key, row):
                return shown.on
        return None

    def _is_excepted(self, shown: Shown, name: str, key: Key, row: Row) -> bool:
        if key in shown.rejected.get(name, {}):
            return True
        if name == "accounts" and shown.keeps_strangers and row["is_managed"] is not True:
            return True
        group = row.get("group_id")
        if name == "objective_playables":
            group = self.group_of[row["objective_id"]]
        return group in shown.kept_groups.get(name, ())

    def _stubs(self) -> None:
        for shown in self.captures:
            for name, children in REFERS.items():
                (column,) = KEYS[name]
                rejected = shown.rejected.get(name, {})
                referred = {
                    row[column] for child in children if child in shown.loaded for row in shown.seen[child].values()
                }
                if name == "accounts":
                    tests = shown.seen.get("test_results", {}).values() if "test_results" in shown.loaded else ()
                    referred |= {row[column] for row in tests}
                for key, required in rejected.items():
                    if key[0] in referred:
                        self.tables[name].setdefault(key, {column: key[0], **required} | STUB)

    # -- what the views must say

    def newest(self, table: str) -> date:
        """The newest date of which a table was loaded."""
        return max(shown.on for shown in self.captures if table in shown.loaded)

    def current_results(self) -> list[Row]:
        """Results of the newest date, with names as they are now."""
        rows = []
        for row in self.tables["results"].values():
            if row["export_date"] == self.newest("results"):
                playable = self.tables["playables"][row["playable_id"],]
                more = {"playable_name": playable["name"], "playable_type": playable["type"]}
                rows.append({**self._named(row), **more} | {k: v for k, v in row.items() if k != "captured_at"})
        return rows

    def overdue_objectives(self) -> list[Row]:
        """Evaluations of the newest date that are not met, and whose review date is past."""
        newest = self.newest("objective_evaluations")
        rows = []
        for row in self.tables["objective_evaluations"].values():
            if row["export_date"] != newest or row["met"] is not False or row["review_at"] is None:
                continue
            days = (newest - row["review_at"].astimezone(UTC).date()).days
            if days > 0:
                kept = ("export_date", "group_id", "objective_id", "account_id", "proficiency", "minimum_proficiency")
                known = {name: row[name] for name in (*kept, "review_at")}
                rows.append({**self._named(row), **known, **self._objective(row), "days_overdue": days})
        return rows

    def group_compliance(self) -> list[Row]:
        """How many were evaluated and how many met it, per date, group and objective."""
        found: dict[Key, list[Row]] = {}
        for row in self.tables["objective_evaluations"].values():
            found.setdefault((row["export_date"], row["group_id"], row["objective_id"]), []).append(row)
        rows = []
        for (on, group, objective), members in found.items():
            evaluated = sum(row["met"] is not None for row in members)
            met = sum(row["met"] is True for row in members)
            rows.append(
                {
                    "export_date": on,
                    "group_id": group,
                    "group_name": self.tables["groups"][group,].get("name"),
                    "objective_id": objective,
                    **self._objective(members[0]),
                    "evaluated": evaluated,
                    "met": met,
                    "met_percentage": 100.0 * met / evaluated if evaluated else None,
                }
            )
        return rows

    def _named(self, row: Row) -> Row:
        return {
            "account_name": self.tables["accounts"][row["account_id"],].get("name"),
            "group_name": self.tables["groups"][row["group_id"],].get("name"),
        }

    def _objective(self, row: Row) -> Row:
        objective = self.tables["objectives"][row["objective_id"],]
        return {"objective_name": objective.get("name"), "objective_type": objective.get("type")}


STUB: Row = {**dict.fromkeys(DATES), "row_hash": UNREAD}


def row_hash(row: Mapping[str, Any]) -> str:
    """The digest of a row: BLAKE2b over its columns in their order."""
    return hashlib.blake2b("\0\1".join(map(_digested, row.values())).encode(), digest_size=16).hexdigest()


def _digested(value: Any) -> str:
    if value is None:
        return "\0\2"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return str(int(value.timestamp()) * 1_000_000 + value.microsecond)
    return str(value)


def differences(expected: Iterable[Row], found: Iterable[Row], key: tuple[str, ...]) -> list[str]:
    """In words, how rows differ from what they should be; columns that a row leaves out must be NULL."""
    wanted = {tuple(row[name] for name in key): row for row in expected}
    there = {tuple(row[name] for name in key): row for row in found}
    report = [f"missing: {wanted[at]}" for at in wanted.keys() - there.keys()]
    report += [f"not expected: {there[at]}" for at in there.keys() - wanted.keys()]
    for at in wanted.keys() & there.keys():
        row = dict.fromkeys(there[at]) | wanted[at]
        wrong = [name for name in row if name not in there[at] or row[name] != there[at][name]]
        report += [f"{at}: {name} is {there[at].get(name)!r}, should be {row[name]!r}" for name in wrong]
    return report
