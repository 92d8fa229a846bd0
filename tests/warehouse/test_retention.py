"""Old snapshots that somebody wants gone."""

from __future__ import annotations

from datetime import date

from drillster_pipeline.warehouse import Warehouse

from .partitioned import export_dates, nights
from .place import rows


def test_dates_before_the_day_go_and_nothing_else(warehouse: Warehouse) -> None:
    nights(warehouse, date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 1))
    before = {name: rows(warehouse, name) for name in ("accounts", "loads", "load_tables")}
    assert warehouse.drop_snapshots(date(2026, 2, 1)) == {"results": 2}
    assert export_dates(warehouse) == [date(2026, 2, 1)]
    assert {name: rows(warehouse, name) for name in before} == before
    assert warehouse.drop_snapshots(date(2026, 2, 1)) == {}


def test_an_empty_table_has_nothing_to_lose(warehouse: Warehouse) -> None:
    assert warehouse.drop_snapshots(date(2026, 2, 1)) == {}
