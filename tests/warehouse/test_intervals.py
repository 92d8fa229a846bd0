"""Histories of entities: whatever the order of loads, they say what a day-by-day account of them says."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from drillster_pipeline.tables import HISTORY_TABLES, history_name
from drillster_pipeline.warehouse import LoadType, TablePlan, Warehouse
from tests.conftest import examples

from .daily import DATES, mixed_loads, runs, states
from .histories import ENTITIES, Loads, histories
from .nights import account, day, event, group, load, member, reject
from .place import empty, rows, table

HASH = {"row_hash"}


def history(warehouse: Warehouse, name: str) -> list[dict[str, Any]]:
    return [
        {column: value for column, value in row.items() if column not in HASH}
        for row in rows(warehouse, history_name(name))
    ]


def as_of(warehouse: Warehouse, name: str, on: date) -> list[dict[str, Any]]:
    """The entities of a date, by the condition that the documents give."""
    found = table(warehouse, history_name(name))
    condition = sa.text("valid_from <= :day AND (valid_until > :day OR valid_until IS NULL)")
    condition = condition.bindparams(sa.bindparam("day", on, sa.Date()))
    with warehouse.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(found).where(condition)).mappings()]


def intervals(warehouse: Warehouse, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """The key, the days of January 2026 from and until which a row is valid, and other columns."""
    return [
        (
            *(row[part] for part in HISTORY_TABLES[history_name(name)].key[:-1]),
            row["valid_from"].day,
            row["valid_until"] and row["valid_until"].day,
            *(row[column] for column in columns),
        )
        for row in history(warehouse, name)
    ]


def check(warehouse: Warehouse, loads: Loads) -> None:
    empty(warehouse)
    for each in loads:
        each.publish(warehouse)
    for name in ENTITIES:
        found = states(loads, name)
        assert history(warehouse, name) == runs(found, name), name
        for on in DATES:
            there = as_of(warehouse, name, on)
            key = HISTORY_TABLES[history_name(name)].key[:-1]
            assert {tuple(row[part] for part in key): row["is_seen"] for row in there} == {
                at: is_seen for at, (_, is_seen) in found[on].items()
            }
            assert len(there) == len(found[on])


def check_many(warehouse: Warehouse, number: int) -> None:
    @settings(max_examples=examples(number))
    @given(loads=mixed_loads())
    def any_order_will_do(loads: Loads) -> None:
        check(warehouse, loads)

    any_order_will_do()


@pytest.mark.hypothesis
def test_a_history_is_what_happened_day_by_day_on_sqlite(sqlite_warehouse: Warehouse) -> None:
    check_many(sqlite_warehouse, 15)


@pytest.mark.hypothesis
def test_a_history_is_what_happened_day_by_day_on_postgresql(postgresql_warehouse: Warehouse) -> None:
    check_many(postgresql_warehouse, 6)


@pytest.mark.hypothesis
def test_a_history_is_what_happened_day_by_day_on_mariadb(mariadb_warehouse: Warehouse) -> None:
    check_many(mariadb_warehouse, 2)


@pytest.mark.hypothesis
def test_a_history_is_the_same_where_a_dialect_knows_less(
    sqlite_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither updates from other rows, nor comparisons of several columns at once."""
    for ability in ("updates_from", "compares_tuples"):
        monkeypatch.setattr(f"drillster_pipeline.warehouse.dialects.sqlite.SQLite.{ability}", False)
    check_many(sqlite_warehouse, 4)


@pytest.mark.hypothesis
def test_a_history_ends_as_the_entity_is(sqlite_warehouse: Warehouse) -> None:
    """The last row of a history says what the entity says: its columns, and since when it is gone."""

    @settings(max_examples=examples(5))
    @given(histories=histories())
    def the_end_agrees(histories: tuple[Loads, Loads]) -> None:
        empty(sqlite_warehouse)
        for each in histories[1]:
            each.publish(sqlite_warehouse)
        for name in ENTITIES:
            key = HISTORY_TABLES[history_name(name)].key[:-1]
            last = {tuple(row[part] for part in key): row for row in rows(sqlite_warehouse, history_name(name))}
            seen = [row for row in rows(sqlite_warehouse, name) if row["last_seen_on"] is not None]
            assert last.keys() == {tuple(row[part] for part in key) for row in seen}
            for row in seen:
                end = last[tuple(row[part] for part in key)]
                assert (end["row_hash"], end["valid_until"]) == (row["row_hash"], row["deleted_on"])

    the_end_agrees()


def test_what_changes_leaves_and_comes_back_is_an_interval_each(warehouse: Warehouse) -> None:
    nights = [["a", "b"], ["a", "b"], ["b"], ["b"], ["a", "b"]]
    for number, there in enumerate(nights, start=1):
        load(warehouse, day(number), {"accounts": [account(who, "Other" if number > 3 else who) for who in there]})
    assert intervals(warehouse, "accounts", "name") == [
        ("a", 1, 3, "a"),
        ("a", 5, None, "Other"),
        ("b", 1, 4, "b"),
        ("b", 4, None, "Other"),
    ]


def test_only_what_changed_is_written(warehouse: Warehouse) -> None:
    people = [account(f"a{number}") for number in range(50)]
    reports = [
        load(warehouse, day(1), {"accounts": people}),
        load(warehouse, day(2), {"accounts": people}),
        load(warehouse, day(3), {"accounts": [account("a0", "Other"), *people[2:], account("new")]}),
        load(warehouse, day(2), {"accounts": people}),
    ]
    # One changed (an end and a beginning), one left, one came.
    assert [report.tables["accounts"].history_rows for report in reports] == [50, 0, 4, 0]
    written = {row["account_id"]: row["load_id"] for row in rows(warehouse, "accounts_history", ledger=True)}
    assert {written[f"a{number}"] for number in range(2, 50)} == {reports[0].load_id}


def test_a_night_that_comes_in_later_dates_a_change_more_closely(warehouse: Warehouse) -> None:
    for number, name in ((1, "Old"), (9, "New")):
        load(warehouse, day(number), {"accounts": [account("a", name), *([account("b")] if number == 1 else [])]})
    assert intervals(warehouse, "accounts", "name") == [("a", 1, 9, "Old"), ("a", 9, None, "New"), ("b", 1, 9, "B")]
    load(warehouse, day(5), {"accounts": [account("a", "New"), account("b")]})
    load(warehouse, day(7), {"accounts": [account("a", "New")]})
    assert intervals(warehouse, "accounts", "name") == [("a", 1, 5, "Old"), ("a", 5, None, "New"), ("b", 1, 7, "B")]


def test_of_two_loads_of_a_date_the_newest_counts(warehouse: Warehouse) -> None:
    first = load(warehouse, day(1), {"accounts": [account("a", "Wrong"), account("b")]})
    load(warehouse, day(2), {"accounts": [account("a"), account("b")]})
    again = load(warehouse, day(1), {"accounts": [account("a")]})
    assert intervals(warehouse, "accounts", "name") == [("a", 1, None, "A"), ("b", 2, None, "B")]
    told = {row["load_id"]: row["in_history"] for row in rows(warehouse, "load_tables", ledger=True)}
    assert (told[first.load_id], told[again.load_id]) == (False, True)


def test_what_a_closed_group_hides_is_taken_to_be_as_before(warehouse: Warehouse) -> None:
    open_ = {
        "accounts": [account("a"), account("b")],
        "groups": [group("g"), group("h")],
        "group_members": [member("g", "a"), member("h", "b")],
    }
    closed = open_ | {"group_members": [member("h", "b")]}
    plans = {"group_members": TablePlan(unobserved_groups=frozenset({"g"}))}
    load(warehouse, day(1), open_)
    for number in range(2, 7):
        load(warehouse, day(number), closed, plans=plans)
    hidden = [("g", "a", 1, 2, True), ("g", "a", 2, None, False), ("h", "b", 1, None, True)]
    assert intervals(warehouse, "group_members", "is_seen") == hidden  # however many nights that takes
    load(warehouse, day(7), open_)
    load(warehouse, day(4), open_)
    assert intervals(warehouse, "group_members", "is_seen") == [
        ("g", "a", 1, 2, True),
        ("g", "a", 2, 4, False),
        ("g", "a", 4, 5, True),
        ("g", "a", 5, 7, False),
        ("g", "a", 7, None, True),
        ("h", "b", 1, None, True),
    ]


def test_a_row_that_was_rejected_is_taken_to_be_as_before(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    load(warehouse, day(2), {"accounts": []}, rejects={"accounts": [reject("accounts", "a")]})
    assert intervals(warehouse, "accounts", "is_seen") == [("a", 1, 2, True), ("a", 2, None, False), ("b", 1, 2, True)]


def test_what_is_only_met_in_passing_has_no_history(warehouse: Warehouse) -> None:
    named = {"accounts": [account("a", is_managed=None)], "objective_events": [event("e", "a")]}
    additive = {"accounts": TablePlan(load_type=LoadType.ADDITIVE)}
    report = load(warehouse, day(1), named, plans=additive, kind="events")
    assert report.tables["accounts"].history_rows is None
    assert history(warehouse, "accounts") == []
    assert [row["name"] for row in rows(warehouse, "accounts")] == ["A"]
