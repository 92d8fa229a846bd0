"""Snapshot tables on PostgreSQL: a partition per month, made when it is needed, in nobody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import Busy, Refused
from drillster_pipeline.warehouse import Warehouse, model
from drillster_pipeline.warehouse.partitions import partition_name

from .nights import account, day, evaluation, group, load, objective, playable, result
from .place import Place, rows, sql


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


END, START = date(2026, 2, 28), date(2026, 3, 1)


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


def test_making_a_partition_keeps_no_reader_out(postgresql: Place) -> None:
    with postgresql.opened() as warehouse, postgresql.opened() as analyst:
        warehouse.prepare()
        nights(warehouse, END)
        with analyst.engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.results")
            nights(warehouse, START)  # while that transaction is open
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.results").scalar() == 2
        assert partitions(warehouse) == {"results_2026_02", "results_2026_03"}
        assert sql(warehouse, "SELECT count(*) FROM {}loads") == [(2,)]


@contextmanager
def closed_at_commits(warehouse: Warehouse) -> Iterator[set[str]]:
    """Which of two tables, one with partitions and one without, nobody may read while something is committed."""
    held: set[str] = set()
    query = (
        "SELECT relname FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE mode = 'AccessExclusiveLock'"
        f" AND pid = pg_backend_pid() AND relation IN ('{warehouse.schema}.results'::regclass,"
        f" '{warehouse.schema}.loads'::regclass)"
    )

    def look(connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        held.update(name for (name,) in driver.execute(query).fetchall())

    sa.event.listen(warehouse.engine, "commit", look)
    try:
        yield held
    finally:
        sa.event.remove(warehouse.engine, "commit", look)


def test_nobody_begins_to_read_a_table_while_it_is_told_of_a_partition(postgresql: Place) -> None:
    """Else one sees the load in the ledger, and not yet the partition that its rows are in."""
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        with closed_at_commits(warehouse) as held:
            nights(warehouse, END)
            assert held == {"results"}
        with closed_at_commits(warehouse) as held:
            nights(warehouse, date(2026, 2, 27))  # in the same partition
            assert held == set()


def test_who_reads_on_a_standby_is_not_in_the_way(postgresql: Place) -> None:
    """It closes what its primary closes, and ends the sessions that hold it up by reading that."""
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        with psycopg.connect(postgresql.url, replication="true"), closed_at_commits(warehouse) as held:
            nights(warehouse, END)
        assert held == set()
        assert partitions(warehouse) == {"results_2026_02"}
        assert export_dates(warehouse) == [END]


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

    monkeypatch.setattr("drillster_pipeline.warehouse.load.gather_statistics", fail)
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, END)
        assert export_dates(warehouse) == [END]


@pytest.mark.parametrize("bounds", ["FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "DEFAULT"])
def test_a_partition_that_an_administrator_made_is_used(postgresql: Place, bounds: str) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        sql(warehouse, f"CREATE TABLE {{}}theirs PARTITION OF {{}}results {bounds}")
        sql(
            warehouse,
            "INSERT INTO {}results (export_date, group_id, account_id, playable_id, captured_at, load_id, loaded_at)"
            " VALUES ('2026-03-09', 'g', 'a', 'p', now(), 'l', now())",
        )
        nights(warehouse, START)
        assert partitions(warehouse) == {"theirs"}
        assert warehouse.drop_snapshots(date(2027, 6, 1)) == {}
        assert len(export_dates(warehouse)) == 2


def test_a_warehouse_that_was_made_without_partitions_goes_on_without(
    postgresql: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(model, "_POSTGRESQL_STORAGE", {})
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


def test_a_long_query_is_not_waited_for_while_others_wait_behind(postgresql: Place) -> None:
    with postgresql.opened() as warehouse, postgresql.opened() as analyst:
        warehouse.prepare()
        nights(warehouse, END, START)
        with analyst.engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.results")
            with pytest.raises(Busy, match="removing old snapshots failed: a query holds a lock"):
                warehouse.drop_snapshots(START)
        assert export_dates(warehouse) == [END, START]


def test_rights_and_views_of_analysts_reach_new_partitions(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        sql(warehouse, "CREATE VIEW {}theirs AS SELECT export_date FROM {}results")
        nights(warehouse, END, START)
        assert sql(warehouse, "SELECT * FROM {}theirs ORDER BY 1") == [(END,), (START,)]
        warehouse.drop_snapshots(START)
        assert sql(warehouse, "SELECT * FROM {}theirs ORDER BY 1") == [(START,)]
        # A partition has the key and the indexes of its table.
        keys = sa.inspect(warehouse.engine).get_pk_constraint("results_2026_03", schema=postgresql.schema)
        assert keys["constrained_columns"] == ["export_date", "group_id", "account_id", "playable_id"]


def test_a_partition_is_named_by_its_month() -> None:
    assert partition_name("results", day(5)) == "results_2026_01"


@pytest.mark.parametrize(
    "change",
    [
        "ADD CONSTRAINT theirs CHECK (proficiency < 1000)",
        "ADD COLUMN hours float8 GENERATED ALWAYS AS (time_spent_seconds / 3600.0) STORED",
        "ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY",
        "ADD COLUMN number bigserial",
        "ADD COLUMN note text NOT NULL DEFAULT ''",
    ],
)
def test_what_an_administrator_added_to_the_table_reaches_new_partitions(postgresql: Place, change: str) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        sql(warehouse, f"ALTER TABLE {{}}results {change}")
        nights(warehouse, END)
        assert sql(warehouse, "SELECT export_date FROM {}results_2026_02") == [(END,)]


def test_a_trigger_of_the_table_sees_the_first_night_of_a_month_too(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        sql(warehouse, "CREATE TABLE {}seen (seen_on date)")
        noted = f"INSERT INTO {postgresql.schema}.seen VALUES (NEW.export_date); RETURN NEW;"
        sql(warehouse, f"CREATE FUNCTION {{}}note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {noted} END$$")
        sql(warehouse, "CREATE TRIGGER theirs AFTER INSERT ON {}results FOR EACH ROW EXECUTE FUNCTION {}note()")
        nights(warehouse, END, START)
        assert sql(warehouse, "SELECT * FROM {}seen") == [(END,), (START,)]
        assert partitions(warehouse) == {"results_2026_02", "results_2026_03"}


def test_a_replicated_table_has_the_partition_before_its_rows(postgresql: Place) -> None:
    """A subscriber is sent what is inserted into a published table; a table on its own is not one."""
    attached: list[bool] = []
    query = f"SELECT count(*) FROM pg_inherits WHERE inhparent = '{postgresql.schema}.results'::regclass"

    def look(connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(f"INSERT INTO {postgresql.schema}.results"):
            driver: Any = connection.connection.driver_connection
            attached.append(driver.execute(query).fetchone()[0] == 1)

    with postgresql.opened() as warehouse:
        warehouse.prepare()
        sa.event.listen(warehouse.engine, "before_cursor_execute", look)
        nights(warehouse, END)
        sql(warehouse, "DROP TABLE {}results_2026_02")
        sql(warehouse, f"CREATE PUBLICATION {postgresql.schema} FOR TABLE {{}}results")
        try:
            nights(warehouse, END)
        finally:
            sql(warehouse, f"DROP PUBLICATION {postgresql.schema}")
    assert attached == [False, True]


def test_a_year_that_is_named_like_a_month_is_not_taken_for_one(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        bounds = "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
        sql(warehouse, f"CREATE TABLE {{}}results_2026_01 PARTITION OF {{}}results {bounds}")
        nights(warehouse, END, date(2026, 12, 31))
        assert warehouse.drop_snapshots(START) == {}
        assert export_dates(warehouse) == [END, date(2026, 12, 31)]


def test_a_detached_partition_is_not_written_to_and_what_to_do_is_told(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, END)
        sql(warehouse, "ALTER TABLE {}results DETACH PARTITION {}results_2026_02")
        with pytest.raises(Refused, match=r"results_2026_02.*was it detached.*ALTER TABLE .*results ATTACH PARTITION"):
            nights(warehouse, END - timedelta(days=1))
        assert sql(warehouse, "SELECT export_date FROM {}results_2026_02") == [(END,)]
        sql(warehouse, "ALTER TABLE {}results_2026_02 RENAME TO results_kept")
        nights(warehouse, END - timedelta(days=1))
        assert export_dates(warehouse) == [END - timedelta(days=1)]


def test_a_month_that_partitions_of_others_have_in_part_is_theirs_to_complete(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        sql(warehouse, "CREATE TABLE {}theirs PARTITION OF {}results FOR VALUES FROM ('2026-02-01') TO ('2026-02-15')")
        nights(warehouse, date(2026, 2, 14))
        with pytest.raises(Refused, match="No partition of results has 2026-02-28, and one of its month can't be made"):
            nights(warehouse, END)
        assert partitions(warehouse) == {"theirs"}


def test_a_query_on_a_default_partition_is_not_waited_for_while_others_wait_behind(postgresql: Place) -> None:
    with postgresql.opened() as warehouse, postgresql.opened() as analyst:
        warehouse.prepare()
        sql(warehouse, "CREATE TABLE {}theirs PARTITION OF {}results DEFAULT")
        nights(warehouse, END)
        assert partitions(warehouse) == {"theirs", "results_2026_02"}
        with analyst.engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.results")
            nights(warehouse, START)
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.theirs").scalar() == 1
        assert export_dates(warehouse) == [END, START]


def test_a_partition_that_others_built_on_is_not_dropped_under_them(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, END, START)
        sql(warehouse, "CREATE VIEW {}theirs AS SELECT * FROM {}results_2026_02")
        with pytest.raises(Refused, match="built on what is to be removed; drop those"):
            warehouse.drop_snapshots(START)
        assert export_dates(warehouse) == [END, START]


def test_a_table_without_rows_of_the_date_gets_no_partition_and_no_reader_of_it_is_in_the_way(
    postgresql: Place,
) -> None:
    """As most nights are where nobody has objectives."""
    with postgresql.opened() as warehouse, postgresql.opened() as analyst:
        warehouse.prepare()
        with analyst.engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.objective_evaluations")
            load(warehouse, END, {**night(END), "objective_evaluations": []})
        assert partitions(warehouse) == {"results_2026_02"}
        assert partitions(warehouse, "objective_evaluations") == set()


def evaluated(of: date) -> dict[str, list[Any]]:
    told = evaluation(of, "o", "a", "g", met=True)
    return {**night(of), "objectives": [objective("o", "g")], "objective_evaluations": [told]}


def until(asked: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not asked() and time.monotonic() < deadline:
        time.sleep(0.01)


def is_waited_for(warehouse: Warehouse, table: str) -> bool:
    query = f"SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = '{warehouse.schema}.{table}'::regclass"
    return sql(warehouse, query) == [(True,)]


def test_a_table_is_not_closed_while_another_is_waited_for(postgresql: Place) -> None:
    """The one has a default partition, which is closed while it is searched; the other is being analyzed by hand."""
    with postgresql.opened() as warehouse, postgresql.opened() as analyst, ThreadPoolExecutor(1) as pool:
        warehouse.prepare()
        sql(warehouse, "CREATE TABLE {}theirs PARTITION OF {}objective_evaluations DEFAULT")
        sql(warehouse, f"CREATE PUBLICATION {postgresql.schema} FOR TABLE {{}}results")
        try:
            with analyst.engine.begin() as connection:
                connection.exec_driver_sql(f"ANALYZE {postgresql.schema}.results")
                loading = pool.submit(load, warehouse, END, evaluated(END))
                until(lambda: is_waited_for(analyst, "results"))
                connection.exec_driver_sql("SET LOCAL lock_timeout = '300ms'")
                connection.exec_driver_sql(f"SELECT * FROM {postgresql.schema}.theirs")
                time.sleep(0.6)  # for longer than queries on a default partition are waited for
            loading.result()
        finally:
            sql(warehouse, f"DROP PUBLICATION {postgresql.schema}")
        assert partitions(warehouse) == {"results_2026_02"}
        assert partitions(warehouse, "objective_evaluations") == {"theirs", "objective_evaluations_2026_02"}


def test_a_reader_who_waits_for_the_load_that_waits_for_him_is_in_the_way(postgresql: Place) -> None:
    """A server may look for such a circle sooner than the load would give up waiting."""
    with postgresql.opened() as warehouse, postgresql.opened() as analyst, ThreadPoolExecutor(1) as pool:

        def look_soon(driver: Any, _: object) -> None:
            driver.execute("SET deadlock_timeout = '10ms'")
            driver.commit()

        def let_wait(_connection: Any, _cursor: object, statement: str, *_: object) -> None:
            if statement == f"LOCK TABLE ONLY {postgresql.schema}.objective_evaluations IN ACCESS EXCLUSIVE MODE":
                closed.set()
                until(lambda: is_waited_for(analyst, "objective_evaluations"))

        closed = threading.Event()
        sa.event.listen(warehouse.engine, "connect", look_soon)
        sa.event.listen(warehouse.engine, "after_cursor_execute", let_wait)
        warehouse.prepare()
        with analyst.engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.results")
            loading = pool.submit(load, warehouse, END, evaluated(END))
            assert closed.wait(20)
            query = f"SELECT count(*) FROM {postgresql.schema}.objective_evaluations"
            assert connection.exec_driver_sql(query).scalar() == 0
            loading.result()
        assert sql(warehouse, "SELECT count(*) FROM {}objective_evaluations") == [(1,)]
        assert sql(warehouse, "SELECT count(*) FROM {}loads") == [(1,)]
