"""Histories of entities: whatever the order of loads, they say what a day-by-day account of them says."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from drillster_pipeline.tables import HISTORY_TABLES, history_name
from drillster_pipeline.warehouse import Mode, TablePlan, Warehouse

from .daily import DATES, mixed_loads, runs, states
from .histories import ENTITIES, Loads, histories
from .nights import account, day, event, group, load, member, plan, reject
from .place import empty, is_mariadb, rows, sql, table

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


def check_many(warehouse: Warehouse, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(loads=mixed_loads())
    def any_order_will_do(loads: Loads) -> None:
        check(warehouse, loads)

    any_order_will_do()


def test_a_history_is_what_happened_day_by_day_on_sqlite(sqlite_warehouse: Warehouse) -> None:
    check_many(sqlite_warehouse, 20)


def test_a_history_is_what_happened_day_by_day_on_postgresql(postgresql_warehouse: Warehouse) -> None:
    check_many(postgresql_warehouse, 8)


def test_a_history_is_what_happened_day_by_day_on_mariadb(mariadb_warehouse: Warehouse) -> None:
    check_many(mariadb_warehouse, 2)


def test_a_history_ends_as_the_entity_is(sqlite_warehouse: Warehouse) -> None:
    """The last row of a history says what the entity says: its columns, and since when it is gone."""

    @settings(max_examples=8, deadline=None)
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
