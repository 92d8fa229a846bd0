"""Rows with the same key: the one that came last is published, wherever the others are found."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from drillster_pipeline.errors import PipelineError
from drillster_pipeline.warehouse import LoadType, TablePlan, Warehouse
from drillster_pipeline.warehouse.load_plan import LoadReport, ValidationResult

from .support import (
    account,
    batch,
    column,
    day,
    evaluation,
    group,
    is_mariadb,
    member,
    objective,
    plan,
    playable,
    reject,
    result,
    rows,
    sql,
)

PARENTS: dict[str, list[Any]] = {
    "accounts": [account("a"), account("b")],
    "playables": [playable("p"), playable("q")],
    "groups": [group("g"), group("h")],
    "group_members": [member("g", "a")],
    "objectives": [objective("o", "g")],
}


def load_pages(
    warehouse: Warehouse, on: int, *pages: tuple[str, list[Any]], **plans: TablePlan
) -> tuple[LoadReport, ValidationResult]:
    """A load of PARENTS and of pages, each a batch of its own."""
    staged = [*PARENTS.items(), *pages]
    tables = {name: plans.get(name, TablePlan()) for name, _ in staged}
    with warehouse.loading(plan(day(on), tables)) as loading:
        for name, found in staged:
            loading.stage(batch(name, found))
        return loading.merge(), loading.validate()


def test_of_rows_with_the_same_key_the_last_one_is_published(warehouse: Warehouse) -> None:
    with warehouse.loading(plan(day(1), ["accounts"])) as loading:
        loading.stage(batch("accounts", [account("a", "First"), account("b")]))
        loading.stage(batch("accounts", [account("a", "Second")]))
        loading.stage(batch("accounts", [account("a", "Third"), account("c")]))
        validated = loading.validate().tables["accounts"]
        report = loading.merge().tables["accounts"]

    assert (validated.rows_read, validated.rows_staged, validated.rows_repeated) == (5, 3, 2)
    assert report.rows_inserted == 3
    assert column(warehouse, "accounts", "name") == {"a": "Third", "b": "B", "c": "C"}


@pytest.mark.parametrize("on", [1, 2, 40], ids=["first date", "second date", "another month"])
def test_a_snapshot_that_repeats_is_published_with_the_rest_of_its_date(
    any_warehouse: Warehouse, on: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    if on > 1:
        load_pages(any_warehouse, 1, ("results", [result(day(1), "g", "a", "p", 1)]))
        assert not caplog.messages
    report, validation = load_pages(
        any_warehouse,
        on,
        ("results", [result(day(on), "g", "a", "p", 10), result(day(on), "g", "a", "q", 20)]),
        ("objective_evaluations", [evaluation(day(on), "o", "a", "g", None)]),
        ("results", [result(day(on), "g", "a", "p", 30), result(day(on), "g", "b", "p", 40)]),
        ("objective_evaluations", [evaluation(day(on), "o", "a", "g", True)]),
        ("results", [result(day(on), "g", "a", "p", 50)]),
    )

    (message,) = caplog.messages
    assert "1 of objective_evaluations, 2 of results" in message
    validated = validation.tables["results"]
    assert (validated.rows_read, validated.rows_staged, validated.rows_repeated) == (5, 3, 2)
    assert report.tables["results"].rows_inserted == 3
    there = {
        key[1:]: known for key, known in column(any_warehouse, "results", "proficiency").items() if key[0] == day(on)
    }
    assert there == {("g", "a", "p"): 50, ("g", "a", "q"): 20, ("g", "b", "p"): 40}
    met = column(any_warehouse, "objective_evaluations", "met")
    assert [known for key, known in met.items() if key[0] == day(on)] == [True]
    assert len(rows(any_warehouse, "loads", ledger=True)) == (1 if on == 1 else 2)
    assert {row["load_id"] for row in rows(any_warehouse, "results", ledger=True) if row["export_date"] == day(on)} == {
        report.load_id
    }


@pytest.mark.parametrize("load_type", [LoadType.FULL, LoadType.PARTIAL, LoadType.ADDITIVE])
def test_a_date_that_is_there_is_given_rows_that_repeat(any_warehouse: Warehouse, load_type: LoadType) -> None:
    load_pages(any_warehouse, 1, ("results", [result(day(1), "g", "a", "p", 10), result(day(1), "h", "a", "p", 11)]))
    report, _ = load_pages(
        any_warehouse,
        1,
        ("results", [result(day(1), "g", "a", "p", 20), result(day(1), "g", "b", "p", 30)]),
        ("results", [result(day(1), "g", "a", "p", 40), result(day(1), "g", "b", "p", 50)]),
        results=TablePlan(load_type=load_type),
    )

    kept = {} if load_type is LoadType.FULL else {(day(1), "h", "a", "p"): 11}
    known = 10 if load_type is LoadType.ADDITIVE else 40
    assert column(any_warehouse, "results", "proficiency") == {
        (day(1), "g", "a", "p"): known,
        (day(1), "g", "b", "p"): 50,
        **kept,
    }
    counts = report.tables["results"]
    assert (counts.rows_inserted, counts.rows_updated) == (1, 0 if load_type is LoadType.ADDITIVE else 1)


def test_an_orphan_that_came_twice_is_one_and_none_if_it_had_parents_the_last_time(warehouse: Warehouse) -> None:
    report, validation = load_pages(
        warehouse,
        1,
        ("results", [result(day(1), "g", "stranger", "p", 10), result(day(1), "g", "a", "p", 20)]),
        ("objective_evaluations", [evaluation(day(1), "o", "a", "nowhere", False)]),
        ("results", [result(day(1), "g", "stranger", "p", 30)]),
        ("objective_evaluations", [evaluation(day(1), "o", "a", "g", True)]),
    )

    assert {name: found.rows_rejected for name, found in report.tables.items() if found.rows_rejected} == {"results": 1}
    assert validation.tables["results"].rows_repeated == 1
    assert [row["table_name"] for row in rows(warehouse, "rejected_rows")] == ["results"]
    assert [*column(warehouse, "objective_evaluations", "met").values()] == [True]
    assert [*column(warehouse, "results", "proficiency").values()] == [20]


def test_rejects_that_repeat_leave_room_for_orphans(warehouse: Warehouse) -> None:
    wrong, another = (reject("results", "2026-01-01", "g", "a", each, reason="proficiency: wrong") for each in "pq")
    with warehouse.loading(plan(day(1), [*PARENTS, "results"])) as loading:
        for name, found in PARENTS.items():
            loading.stage(batch(name, found))
        loading.stage(batch("results", [], [wrong]))
        found = [result(day(1), "g", who, "p") for who in ("stranger", "a")]
        loading.stage(batch("results", found, [wrong, another]))
        report = loading.merge().tables["results"]

    assert report.rows_rejected == 3
    assert len(rows(warehouse, "rejected_rows")) == 3


@pytest.fixture
def one_result_each(any_warehouse: Warehouse) -> Iterator[None]:
    """A rule of an administrator's own; the tables are those of other tests as well."""
    sql(any_warehouse, "CREATE UNIQUE INDEX one_each ON {}results (export_date, account_id)")
    yield
    sql(any_warehouse, f"DROP INDEX {'one_each ON {}results' if is_mariadb(any_warehouse) else '{}one_each'}")


@pytest.mark.usefixtures("one_result_each")
def test_what_else_the_database_refuses_is_reported_as_such(any_warehouse: Warehouse) -> None:
    with pytest.raises(PipelineError, match="publishing") as refused:
        load_pages(any_warehouse, 1, ("results", [result(day(1), "g", "a", "p"), result(day(1), "g", "a", "q")]))

    assert "'a'" not in str(refused.value)
    assert rows(any_warehouse, "loads", ledger=True) == []
