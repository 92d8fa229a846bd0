"""A partition that is made or dropped is in no reader's way, and none sees half a load."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import Any

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


def test_a_partition_is_made_and_filled_without_a_lock_that_readers_wait_for(postgresql: Place) -> None:
    """Here or on a standby, which repeats the locks of its primary."""
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        with closed_at_commits(warehouse) as held:
            nights(warehouse, END, START)
        assert held == set()
        assert partitions(warehouse) == {"results_2026_02", "results_2026_03"}


def test_prune_gives_up_where_a_query_never_ends(postgresql: Place) -> None:
    pauses: list[float] = []
    with postgresql.opened(sleep=pauses.append) as warehouse, postgresql.opened() as analyst:
        warehouse.prepare()
        nights(warehouse, END, START)
        with analyst.engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.results")
            with pytest.raises(Busy, match="removing old snapshots failed: a query holds a lock"):
                warehouse.drop_snapshots(START)
        assert export_dates(warehouse) == [END, START]
    assert len(pauses) > 1


def patient(place: Place, *, seconds: int) -> sa.Engine:
    """A reader to whom it is an error to wait for longer than this."""
    url = place.url.replace("postgresql://", "postgresql+psycopg://")
    options = {"options": f"-c lock_timeout={seconds}s"}
    return sa.create_engine(url, connect_args=options, poolclass=sa.NullPool)


def test_prune_makes_no_reader_wait_while_it_waits_for_one(postgresql: Place) -> None:
    """Readers keep arriving while one that began before is not done; it ends when prune has tried a few times."""
    query = f"SELECT count(*) FROM {postgresql.schema}.results"
    over = threading.Event()

    def keep_reading() -> int:
        count = 0
        while not over.is_set():
            with patient(postgresql, seconds=1).connect() as connection:
                connection.exec_driver_sql(query)
            count += 1
        return count

    def pause(_seconds: float) -> None:
        pauses.append(_seconds)
        if len(pauses) == 3:
            long_one.rollback()

    pauses: list[float] = []
    with (
        postgresql.opened(sleep=pause) as warehouse,
        postgresql.opened() as analyst,
        analyst.engine.connect() as long_one,
        ThreadPoolExecutor(2) as pool,
    ):
        warehouse.prepare()
        nights(warehouse, date(2026, 1, 31), END, START)
        long_one.exec_driver_sql(query)
        reading = [pool.submit(keep_reading) for _ in range(2)]
        try:
            assert warehouse.drop_snapshots(START) == {"results": 2}
        finally:
            over.set()
        assert all(one.result() > 0 for one in reading)
        assert export_dates(warehouse) == [START]
    assert len(pauses) >= 3


def test_prune_counts_while_others_read(postgresql: Place) -> None:
    """To count a large partition takes long."""
    counted: list[str] = []

    def read_meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT count(*)"):
            with patient(postgresql, seconds=1).connect() as connection:
                connection.exec_driver_sql(f"SELECT count(*) FROM {postgresql.schema}.results")
            counted.append(statement)

    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, date(2026, 1, 31), END, START)
        sa.event.listen(warehouse.engine, "before_cursor_execute", read_meanwhile)
        assert warehouse.drop_snapshots(START) == {"results": 2}
        assert len(counted) == 2


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
        with analyst.engine.begin() as connection:
            connection.exec_driver_sql(f"ANALYZE {postgresql.schema}.results")
            loading = pool.submit(load, warehouse, END, evaluated(END))
            until(lambda: is_waited_for(analyst, "results"))
            connection.exec_driver_sql("SET LOCAL lock_timeout = '300ms'")
            connection.exec_driver_sql(f"SELECT * FROM {postgresql.schema}.theirs")
            time.sleep(0.6)  # for longer than queries on a default partition are waited for
        loading.result()
        assert partitions(warehouse) == {"results_2026_02"}
        assert partitions(warehouse, "objective_evaluations") == {"theirs", "objective_evaluations_2026_02"}
