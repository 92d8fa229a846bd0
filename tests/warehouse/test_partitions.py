"""Snapshot tables on PostgreSQL: a partition per month, made when it is needed, and dropped as a whole."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from drillster_pipeline.warehouse.dialects import postgresql as postgresql_dialect
from drillster_pipeline.warehouse.partitions import partition_name

from .nights import day, load
from .partitioned import END, START, export_dates, night, nights, partitions
from .place import Place, rows, sql


def test_a_night_makes_the_partition_of_its_month(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        assert partitions(warehouse) == set()
        nights(warehouse, END, START, START + timedelta(days=30), date(2026, 12, 31))
        assert partitions(warehouse) == {"results_2026_02", "results_2026_03", "results_2026_12"}
        assert sql(warehouse, "SELECT export_date FROM {}results_2026_02") == [(END,)]
        assert len(export_dates(warehouse)) == 4
        # Looked at anew, there is nothing to do.
        warehouse.prepare()
        load(warehouse, START, night(START, proficiency=60))
        assert [row["proficiency"] for row in rows(warehouse, "results")] == [50, 60, 50, 50]


def test_queries_over_months_are_planned_by_statistics_from_the_first_night_on(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, END)
        query = f"SELECT attname FROM pg_stats WHERE schemaname = '{postgresql.schema}' AND tablename = 'results'"
        assert ("group_id",) in sql(warehouse, f"{query} AND inherited")


def test_what_was_published_stays_so_whatever_becomes_of_the_statistics(
    postgresql: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sa.Connection, _table: sa.Table) -> None:
        connection.exec_driver_sql("SELECT 1 / 0")

    monkeypatch.setattr("drillster_pipeline.warehouse.partitions.gather_statistics", fail)
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, END)
        assert export_dates(warehouse) == [END]


def test_a_warehouse_that_was_made_without_partitions_goes_on_without(
    postgresql: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(postgresql_dialect.PostgreSQL, "table_options", lambda *_: {})
        with postgresql.opened() as warehouse:
            warehouse.prepare()
            nights(warehouse, END)
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, START, START + timedelta(days=1))
        assert partitions(warehouse) == set()
        assert warehouse.drop_snapshots(START + timedelta(days=1)) == {"results": 2}
        assert export_dates(warehouse) == [START + timedelta(days=1)]


def test_old_dates_go_a_whole_month_at_a_time(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, date(2026, 1, 31), END, START)
        assert warehouse.drop_snapshots(END) == {"results": 1}
        assert export_dates(warehouse) == [END, START]
        assert warehouse.drop_snapshots(START) == {"results": 1}
        assert partitions(warehouse) == {"results_2026_03"}
        nights(warehouse, END)  # a backfill brings it back
        assert export_dates(warehouse) == [END, START]


def test_a_partition_is_named_by_its_month() -> None:
    assert partition_name("results", day(5)) == "results_2026_01"
