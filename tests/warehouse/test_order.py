"""Loads in any order, some of them repeated, end in what a day-by-day account in plain Python says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from drillster_pipeline.tables import DATA_TABLES, history_name
from drillster_pipeline.warehouse import Warehouse
from tests.conftest import examples

from .histories import ENTITIES, Loads, all_events, entities, is_one_a_date, many_loads, runs
from .support import empty, rows, sql

pytestmark = pytest.mark.hypothesis


def by_key(warehouse: Warehouse, name: str) -> dict[tuple[str, ...], dict[str, Any]]:
    return {tuple(row[part] for part in DATA_TABLES[name].key): row for row in rows(warehouse, name)}


def check(warehouse: Warehouse, loads: Loads) -> None:
    empty(warehouse)
    for each in loads:
        each.publish(warehouse)
    if warehouse.schema is None:
        assert sql(warehouse, "PRAGMA foreign_key_check") == []
    expected = {"objective_events": all_events(loads)}
    for name in ENTITIES:
        history = rows(warehouse, history_name(name))
        found = [{column: value for column, value in row.items() if column != "row_hash"} for row in history]
        assert found == runs(loads, name), name
        if is_one_a_date(loads):
            expected[name] = entities(loads, name)
            last = {tuple(row[part] for part in DATA_TABLES[name].key): row["row_hash"] for row in history}
            current = by_key(warehouse, name).items()
            assert last == {key: row["row_hash"] for key, row in current if row["last_seen_on"] is not None}
    for name, of_table in expected.items():
        found_rows = by_key(warehouse, name)
        assert {key: {column: found_rows[key][column] for column in row} for key, row in of_table.items()} == of_table
        assert found_rows.keys() == of_table.keys(), name


def check_many(warehouse: Warehouse, number: int) -> None:
    @settings(max_examples=examples(number))
    @given(loads=many_loads())
    def in_any_order(loads: Loads) -> None:
        check(warehouse, loads)

    in_any_order()


@pytest.mark.deep
def test_tables_and_histories_are_what_happened_day_by_day_on_sqlite(sqlite_warehouse: Warehouse) -> None:
    check_many(sqlite_warehouse, 12)


@pytest.mark.deep
def test_tables_and_histories_are_what_happened_day_by_day_on_postgresql(postgresql_warehouse: Warehouse) -> None:
    check_many(postgresql_warehouse, 4)


@pytest.mark.deep
def test_tables_and_histories_are_what_happened_day_by_day_on_mariadb(mariadb_warehouse: Warehouse) -> None:
    check_many(mariadb_warehouse, 2)


@pytest.mark.slow
def test_they_are_the_same_where_a_dialect_knows_less(
    sqlite_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither updates from other rows, nor comparisons of several columns at once."""
    for ability in ("updates_from", "compares_tuples"):
        monkeypatch.setattr(f"drillster_pipeline.warehouse.dialects.sqlite.SQLite.{ability}", False)
    check_many(sqlite_warehouse, 3)
