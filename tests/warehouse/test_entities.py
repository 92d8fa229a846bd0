"""Entities and their histories by example. That any order of loads ends in the same state is in test_order."""

from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline.tables import HISTORY_TABLES, history_name
from drillster_pipeline.warehouse import TablePlan, Warehouse

from .support import ADDITIVE, PARTIAL, account, column, counts, day, group, load, member, reject, rows


def dates(warehouse: Warehouse) -> dict[object, tuple[object, ...]]:
    """Of each account, first_seen_on, last_seen_on and deleted_on."""
    found = rows(warehouse, "accounts")
    return {row["account_id"]: (row["first_seen_on"], row["last_seen_on"], row["deleted_on"]) for row in found}


def intervals(warehouse: Warehouse, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """The key, the days of January 2026 from and until which a row is valid, and other columns."""
    key = HISTORY_TABLES[history_name(name)].key[:-1]
    return [
        (
            *(row[part] for part in key),
            row["valid_from"].day,
            row["valid_until"] and row["valid_until"].day,
            *(row[column] for column in columns),
        )
        for row in rows(warehouse, history_name(name))
    ]


def test_what_did_not_change_is_not_written_again(warehouse: Warehouse) -> None:
    first = load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    assert counts(first.tables["accounts"]) == (2, 0, 0, 0)
    second = load(warehouse, day(2), {"accounts": [account("a"), account("b", "Other")]})

    assert counts(second.tables["accounts"]) == (0, 1, 0, 1)
    assert column(warehouse, "accounts", "load_id") == {"a": first.load_id, "b": second.load_id}
    written = column(warehouse, "accounts", "loaded_at")
    assert written["a"] < first.finished_at < written["b"] < second.finished_at
    assert column(warehouse, "accounts", "name") == {"a": "A", "b": "Other"}
    assert dates(warehouse)["a"] == (day(1), day(2), None)


def test_the_same_load_again_changes_nothing(warehouse: Warehouse) -> None:
    content = {"accounts": [account("a"), account("b")], "groups": [group("g")], "group_members": [member("g", "a")]}
    load(warehouse, day(1), content)
    names = [*content, *map(history_name, content)]
    before = {name: rows(warehouse, name, ledger=True) for name in names}
    again = load(warehouse, day(1), content)

    assert {name: rows(warehouse, name, ledger=True) for name in names} == before
    assert (counts(again.tables["accounts"]), again.tables["accounts"].history_rows) == ((0, 0, 0, 2), 0)


def test_a_row_that_is_missing_from_a_complete_read_is_marked_until_it_comes_back(warehouse: Warehouse) -> None:
    both = {"accounts": [account("a"), account("b")]}
    load(warehouse, day(1), both)
    gone = load(warehouse, day(2), {"accounts": [account("a")]})
    assert counts(gone.tables["accounts"]) == (0, 0, 1, 1)
    load(warehouse, day(3), {"accounts": [account("a")]})
    assert dates(warehouse)["b"] == (day(1), day(1), day(2))
    assert column(warehouse, "accounts", "load_id")["b"] == gone.load_id

    back = load(warehouse, day(4), both)
    assert counts(back.tables["accounts"]) == (0, 1, 0, 1)
    assert dates(warehouse)["b"] == (day(1), day(4), None)
    assert column(warehouse, "accounts", "load_id")["b"] == back.load_id


def test_an_older_load_adds_and_dates_what_a_newer_one_found(warehouse: Warehouse) -> None:
    newer = load(warehouse, day(9), {"accounts": [account("a", "New name"), account("c")]})
    older = load(warehouse, day(2), {"accounts": [account("a", "Old name"), account("b")]})

    assert counts(older.tables["accounts"]) == (1, 0, 0, 1)
    assert column(warehouse, "accounts", "name")["a"] == "New name"
    # The newer read was complete, and did not show b.
    assert dates(warehouse) == {
        "a": (day(2), day(9), None),
        "b": (day(2), day(2), day(9)),
        "c": (day(9), day(9), None),
    }
    assert column(warehouse, "accounts", "load_id")["c"] == newer.load_id

    between = load(warehouse, day(4), {"accounts": [account("a")]})
    assert counts(between.tables["accounts"]) == (0, 1, 0, 1)
    assert dates(warehouse)["b"] == (day(2), day(2), day(4))


def test_of_two_loads_of_a_date_the_second_counts(warehouse: Warehouse) -> None:
    first = load(warehouse, day(1), {"accounts": [account("a", "Wrong"), account("b")]})
    load(warehouse, day(2), {"accounts": [account("a"), account("b")]})
    again = load(warehouse, day(1), {"accounts": [account("a")]})
    assert intervals(warehouse, "accounts", "name") == [("a", 1, None, "A"), ("b", 2, None, "B")]
    in_history = {row["load_id"]: row["in_history"] for row in rows(warehouse, "load_tables", ledger=True)}
    assert (in_history[first.load_id], in_history[again.load_id]) == (False, True)

    load(warehouse, day(2), {"accounts": [account("a")]})
    assert dates(warehouse)["b"] == (day(1), day(2), day(2))


@pytest.mark.parametrize("table_plan", [PARTIAL, ADDITIVE], ids=["partial", "additive"])
def test_nothing_is_marked_by_a_read_that_was_not_complete(warehouse: Warehouse, table_plan: TablePlan) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    new = {"accounts": [account("a", "Other")]}
    report = load(warehouse, day(2), new, plans={"accounts": table_plan})

    is_partial = table_plan is PARTIAL
    assert counts(report.tables["accounts"]) == (0, is_partial, 0, not is_partial)
    assert column(warehouse, "accounts", "name") == {"a": "Other" if is_partial else "A", "b": "B"}
    assert column(warehouse, "accounts", "deleted_on")["b"] is None
    assert column(warehouse, "load_tables", "is_complete")[report.load_id, "accounts"] is False


def test_a_rejected_row_is_not_a_deleted_row(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b"), account("c")]})
    load(warehouse, day(2), {"accounts": [account("a")]}, rejects={"accounts": [reject("accounts", "b")]})
    assert column(warehouse, "accounts", "deleted_on") == {"a": None, "b": None, "c": day(2)}
    assert intervals(warehouse, "accounts", "is_seen") == [
        ("a", 1, None, True),
        ("b", 1, 2, True),
        ("b", 2, None, False),
        ("c", 1, 2, True),
    ]

    # Without a key it may be any row.
    report = load(warehouse, day(3), {"accounts": [account("b")]}, rejects={"accounts": [reject("accounts")]})
    assert column(warehouse, "accounts", "deleted_on") == {"a": None, "b": None, "c": day(2)}
    assert column(warehouse, "load_tables", "is_complete")[report.load_id, "accounts"] is False


def test_a_history_has_an_interval_for_each_change_and_only_changes_are_written(warehouse: Warehouse) -> None:
    others = [account(f"b{number}") for number in range(40)]
    reports = [
        load(warehouse, day(number), {"accounts": [*people, *others]}).tables["accounts"].history_rows
        for number, people in (
            (1, [account("a", "Old")]),
            (2, [account("a", "Old")]),
            (3, []),
            (5, [account("a", "New"), account("new")]),
            (2, [account("a", "Old")]),
            (4, [account("a", "New")]),
        )
    ]
    assert reports == [41, 0, 1, 2, 0, 2]
    assert [row for row in intervals(warehouse, "accounts", "name") if row[0] in {"a", "new"}] == [
        ("a", 1, 3, "Old"),
        ("a", 4, None, "New"),
        ("new", 5, None, "NEW"),
    ]
