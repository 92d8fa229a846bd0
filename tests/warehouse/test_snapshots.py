from __future__ import annotations

from typing import Any

from drillster_pipeline.warehouse import LoadType, TablePlan, TableReport, Warehouse

from .nights import account, day, group, load, playable, reject, result
from .place import column, rows

PARTIAL, ADDITIVE = TablePlan(load_type=LoadType.PARTIAL), TablePlan(load_type=LoadType.ADDITIVE)


def counts(report: TableReport) -> tuple[int, int, int, int]:
    return report.rows_inserted, report.rows_updated, report.rows_deleted, report.rows_unchanged


def night(number: int, proficiencies: dict[str, int]) -> dict[str, list[Any]]:
    return {
        "accounts": [account(name) for name in ("a", "b", "c")],
        "playables": [playable("p")],
        "groups": [group("g")],
        "results": [result(day(number), "g", name, "p", value) for name, value in proficiencies.items()],
    }


def proficiencies(warehouse: Warehouse) -> dict[tuple[int, str], int]:
    return {(row["export_date"].day, row["account_id"]): row["proficiency"] for row in rows(warehouse, "results")}


def test_each_date_has_its_own_rows(warehouse: Warehouse) -> None:
    load(warehouse, day(1), night(1, {"a": 10, "b": 20}))
    report = load(warehouse, day(2), night(2, {"a": 11}))

    assert proficiencies(warehouse) == {(1, "a"): 10, (1, "b"): 20, (2, "a"): 11}
    assert counts(report.tables["results"]) == (1, 0, 0, 0)


def test_the_rows_of_a_date_are_replaced_as_a_whole(warehouse: Warehouse) -> None:
    load(warehouse, day(1), night(1, {"a": 10, "b": 20}))
    load(warehouse, day(2), night(2, {"a": 99}))
    again = load(warehouse, day(1), night(1, {"a": 10, "c": 30}))
    assert proficiencies(warehouse) == {(1, "a"): 10, (1, "c"): 30, (2, "a"): 99}
    assert counts(again.tables["results"]) == (1, 0, 1, 1)
    assert {row for key, row in column(warehouse, "results", "load_id").items() if key[0] == day(1)} == {again.load_id}

    changed = load(warehouse, day(1), night(1, {"a": 11, "c": 30}))
    assert counts(changed.tables["results"]) == (0, 1, 0, 1)


def test_a_date_with_no_rows_any_more_ends_empty(warehouse: Warehouse) -> None:
    load(warehouse, day(1), night(1, {"a": 10}))
    report = load(warehouse, day(1), night(1, {}))
    assert proficiencies(warehouse) == {}
    assert counts(report.tables["results"]) == (0, 0, 1, 0)


def test_a_read_with_holes_adds_to_the_date_and_takes_nothing_away(warehouse: Warehouse) -> None:
    load(warehouse, day(1), night(1, {"a": 10, "b": 20}))
    report = load(warehouse, day(1), night(1, {"b": 21, "c": 30}), plans={"results": PARTIAL})

    assert proficiencies(warehouse) == {(1, "a"): 10, (1, "b"): 21, (1, "c"): 30}
    assert counts(report.tables["results"]) == (1, 1, 0, 0)


def test_an_unreadable_key_makes_a_read_one_with_holes(warehouse: Warehouse) -> None:
    load(warehouse, day(1), night(1, {"a": 10, "b": 20}))
    report = load(warehouse, day(1), night(1, {"b": 20}), rejects={"results": [reject("results")]})

    assert proficiencies(warehouse) == {(1, "a"): 10, (1, "b"): 20}
    assert counts(report.tables["results"]) == (0, 0, 0, 1)


def test_an_additive_load_of_a_date_only_adds(warehouse: Warehouse) -> None:
    load(warehouse, day(1), night(1, {"a": 10}))
    report = load(warehouse, day(1), night(1, {"a": 99, "b": 20}), plans={"results": ADDITIVE})

    assert proficiencies(warehouse) == {(1, "a"): 10, (1, "b"): 20}
    assert counts(report.tables["results"]) == (1, 0, 0, 1)


def test_what_was_closed_elsewhere_does_not_keep_the_rows_of_a_date(warehouse: Warehouse) -> None:
    load(warehouse, day(1), night(1, {"a": 10, "b": 20}))
    load(warehouse, day(1), night(1, {"b": 20}), plans={"results": TablePlan(keep_referenced=True)})
    assert proficiencies(warehouse) == {(1, "b"): 20}
