"""Snapshots: the rows of a date are replaced, or added to by an incomplete read; old dates are removed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from drillster_pipeline.warehouse import TablePlan, Warehouse

from .support import ADDITIVE, PARTIAL, account, column, counts, day, group, load, playable, reject, result, rows


def content(on: date, found: dict[str, int]) -> dict[str, list[Any]]:
    return {
        "accounts": [account(name) for name in ("a", "b", "c")],
        "playables": [playable("p")],
        "groups": [group("g")],
        "results": [result(on, "g", name, "p", value) for name, value in found.items()],
    }


def proficiencies(warehouse: Warehouse) -> dict[tuple[int, str], int]:
    return {(row["export_date"].day, row["account_id"]): row["proficiency"] for row in rows(warehouse, "results")}


def test_the_rows_of_a_date_are_replaced_and_those_of_others_stay(any_warehouse: Warehouse) -> None:
    load(any_warehouse, day(1), content(day(1), {"a": 10, "b": 20}))
    load(any_warehouse, day(2), content(day(2), {"a": 99}))
    again = load(any_warehouse, day(1), content(day(1), {"a": 10, "c": 30}))
    assert proficiencies(any_warehouse) == {(1, "a"): 10, (1, "c"): 30, (2, "a"): 99}
    assert counts(again.tables["results"]) == (1, 0, 1, 1)
    written = column(any_warehouse, "results", "load_id")
    assert {load_id for key, load_id in written.items() if key[0] == day(1)} == {again.load_id}

    changed = load(any_warehouse, day(1), content(day(1), {"a": 11, "c": 30}))
    assert counts(changed.tables["results"]) == (0, 1, 0, 1)
    emptied = load(any_warehouse, day(1), content(day(1), {}))
    assert counts(emptied.tables["results"]) == (0, 0, 2, 0)
    assert proficiencies(any_warehouse) == {(2, "a"): 99}


@pytest.mark.parametrize(
    ("options", "b", "counted"),
    [
        ({"plans": {"results": PARTIAL}}, 21, (1, 1, 0, 0)),
        ({"rejects": {"results": [reject("results")]}}, 21, (1, 1, 0, 0)),
        ({"plans": {"results": ADDITIVE}}, 20, (1, 0, 0, 1)),
    ],
    ids=["partial", "a key that can't be read", "additive"],
)
def test_an_incomplete_read_of_a_date_only_adds(
    warehouse: Warehouse, options: dict[str, Any], b: int, counted: tuple[int, ...]
) -> None:
    load(warehouse, day(1), content(day(1), {"a": 10, "b": 20}))
    report = load(warehouse, day(1), content(day(1), {"b": 21, "c": 30}), **options)
    assert proficiencies(warehouse) == {(1, "a"): 10, (1, "b"): b, (1, "c"): 30}
    assert counts(report.tables["results"]) == counted


def test_what_was_closed_elsewhere_does_not_keep_the_rows_of_a_date(warehouse: Warehouse) -> None:
    load(warehouse, day(1), content(day(1), {"a": 10, "b": 20}))
    plans = {"results": TablePlan(keep_referenced=True)}
    load(warehouse, day(1), content(day(1), {"b": 20}), plans=plans)
    assert proficiencies(warehouse) == {(1, "b"): 20}


def test_dates_before_the_day_are_removed_and_nothing_else(any_warehouse: Warehouse) -> None:
    assert any_warehouse.drop_snapshots(day(32)) == {}
    for number in (30, 31, 32):
        load(any_warehouse, day(number), content(day(number), {"a": 50}))
    before = {name: rows(any_warehouse, name) for name in ("accounts", "loads", "load_tables")}
    assert any_warehouse.drop_snapshots(day(32)) == {"results": 2}
    assert [row["export_date"] for row in rows(any_warehouse, "results")] == [day(32)]
    assert {name: rows(any_warehouse, name) for name in before} == before
    assert any_warehouse.drop_snapshots(day(32)) == {}
