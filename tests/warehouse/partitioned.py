"""Nights of snapshot tables that PostgreSQL has in partitions, and what became of them."""

from __future__ import annotations

from datetime import date
from typing import Any

from drillster_pipeline.warehouse import Warehouse

from .nights import account, group, load, playable, result
from .place import rows, sql

END, START = date(2026, 2, 28), date(2026, 3, 1)
"""Of a month, and of the next one."""


def night(of: date, proficiency: int = 50) -> dict[str, list[Any]]:
    return {
        "accounts": [account("a")],
        "playables": [playable("p")],
        "groups": [group("g")],
        "results": [result(of, "g", "a", "p", proficiency)],
    }


def nights(warehouse: Warehouse, *dates: date) -> None:
    for each in dates:
        load(warehouse, each, night(each))


def partitions(warehouse: Warehouse, table: str = "results") -> set[str]:
    query = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        f" WHERE i.inhparent = '{warehouse.schema}.{table}'::regclass"
    )
    return {name for (name,) in sql(warehouse, query)}


def export_dates(warehouse: Warehouse) -> list[date]:
    return [row["export_date"] for row in rows(warehouse, "results")]
