"""Loads in any order, with repeats, end in the state of the nights in order; and that is what an oracle says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import Warehouse
from tests.conftest import examples

from .histories import ENTITIES, Loads, Oracle, histories
from .place import empty, rows, sql

TABLES = (*ENTITIES, "objective_events")


def published(warehouse: Warehouse, loads: Loads) -> dict[str, list[dict[str, Any]]]:
    """The tables after these loads, in a warehouse that was empty before."""
    empty(warehouse)
    for each in loads:
        each.publish(warehouse)
    if warehouse.schema is None:
        assert sql(warehouse, "PRAGMA foreign_key_check") == []
    return {name: rows(warehouse, name) for name in TABLES}


def check(warehouse: Warehouse, ordered: Loads, shuffled: Loads) -> None:
    in_order = published(warehouse, ordered)
    assert published(warehouse, shuffled) == in_order
    for name, expected in Oracle(ordered).tables.items():
        key = DATA_TABLES[name].key
        assert {tuple(row[part] for part in key) for row in in_order[name]} == expected.keys()
        for row in in_order[name]:
            told = expected[tuple(row[part] for part in key)]
            assert {column: row[column] for column in told} == told


def check_many(warehouse: Warehouse, number: int) -> None:
    @settings(max_examples=examples(number))
    @given(histories=histories())
    def any_order_will_do(histories: tuple[Loads, Loads]) -> None:
        check(warehouse, *histories)

    any_order_will_do()


@pytest.mark.hypothesis
def test_any_order_of_loads_ends_in_the_same_state_on_sqlite(sqlite_warehouse: Warehouse) -> None:
    check_many(sqlite_warehouse, 12)


@pytest.mark.hypothesis
def test_any_order_of_loads_ends_in_the_same_state_on_postgresql(postgresql_warehouse: Warehouse) -> None:
    check_many(postgresql_warehouse, 5)


@pytest.mark.hypothesis
def test_any_order_of_loads_ends_in_the_same_state_on_mariadb(mariadb_warehouse: Warehouse) -> None:
    check_many(mariadb_warehouse, 2)
