"""A partition that is made or dropped is in no reader's way, and none sees half a load."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import Busy
from drillster_pipeline.warehouse import Warehouse

from .nights import evaluation, load, objective
from .partitioned import END, START, export_dates, night, nights, partitions
from .place import Place, sql


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


def test_a_long_query_is_not_waited_for_while_others_wait_behind(postgresql: Place) -> None:
    with postgresql.opened() as warehouse, postgresql.opened() as analyst:
        warehouse.prepare()
        nights(warehouse, END, START)
        with analyst.engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.results")
            with pytest.raises(Busy, match="removing old snapshots failed: a query holds a lock"):
                warehouse.drop_snapshots(START)
        assert export_dates(warehouse) == [END, START]


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
