"""Snapshot tables on PostgreSQL: a partition per month, which is in no reader's way, and those that others made."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import Busy, Refused
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.dialects.postgresql import PostgreSQL

from .nights import evaluation, load, objective
from .partitioned import END, START, export_dates, night, nights, partitions
from .place import Place, rows, sql

JANUARY, DAY = date(2026, 1, 31), timedelta(days=1)


@pytest.fixture
def warehouse(postgresql: Place) -> Iterator[Warehouse]:
    with postgresql.opened() as opened:
        opened.prepare()
        yield opened


@pytest.fixture
def analyst(postgresql: Place, warehouse: Warehouse) -> Iterator[sa.Connection]:
    """A reader with an open transaction, to whom it is an error to wait."""
    assert warehouse.schema == postgresql.schema
    with postgresql.opened() as opened, opened.engine.connect() as connection:
        connection.exec_driver_sql(f"SET search_path = {postgresql.schema}")
        connection.exec_driver_sql("SET lock_timeout = '1s'")
        connection.commit()
        yield connection


def count(connection: sa.Connection, table: str = "results") -> Any:
    return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def test_a_load_makes_the_partition_of_its_month_and_prune_drops_months(warehouse: Warehouse) -> None:
    nights(warehouse, JANUARY, END, START, START + 30 * DAY)
    assert partitions(warehouse) == {"results_2026_01", "results_2026_02", "results_2026_03"}
    assert sql(warehouse, "SELECT export_date FROM {}results_2026_02") == [(END,)]
    # Queries over months are planned by statistics of the table, with the key and indexes that partitions have too.
    statistics = f"SELECT attname FROM pg_stats WHERE schemaname = '{warehouse.schema}' AND tablename = 'results'"
    assert ("group_id",) in sql(warehouse, f"{statistics} AND inherited")
    keys = sa.inspect(warehouse.engine).get_pk_constraint("results_2026_03", schema=warehouse.schema)
    assert keys["constrained_columns"] == ["export_date", "group_id", "account_id", "playable_id"]
    warehouse.prepare()
    load(warehouse, START, night(START, proficiency=60))
    assert [row["proficiency"] for row in rows(warehouse, "results")] == [50, 50, 60, 50]

    assert warehouse.drop_snapshots(END) == {"results": 1}
    assert warehouse.drop_snapshots(START) == {"results": 1}
    assert partitions(warehouse) == {"results_2026_03"}
    nights(warehouse, END)  # a backfill brings it back
    assert export_dates(warehouse) == [END, START, START + 30 * DAY]


def test_what_was_merged_stays_so_even_if_statistics_fail(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sa.Connection, _table: sa.Table) -> None:
        connection.exec_driver_sql("SELECT 1 / 0")

    monkeypatch.setattr(PostgreSQL, "gather_statistics", staticmethod(fail))
    nights(warehouse, END)
    assert export_dates(warehouse) == [END]


def test_a_warehouse_that_was_made_without_partitions_goes_on_without(
    postgresql: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(PostgreSQL, "table_options", lambda *_: {})
        with postgresql.opened() as warehouse:
            warehouse.prepare()
            nights(warehouse, END)
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, START, START + DAY)
        assert partitions(warehouse) == set()
        assert warehouse.drop_snapshots(START + DAY) == {"results": 2}


def test_making_a_partition_keeps_no_reader_out(warehouse: Warehouse, analyst: sa.Connection) -> None:
    """Here, or on a standby, which repeats the locks of its primary."""
    exclusive: set[str] = set()
    query = (
        "SELECT relname FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE mode = 'AccessExclusiveLock'"
        f" AND pid = pg_backend_pid() AND relation IN ('{warehouse.schema}.results'::regclass,"
        f" '{warehouse.schema}.loads'::regclass)"
    )

    def read_locks(connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        exclusive.update(name for (name,) in driver.execute(query).fetchall())

    sa.event.listen(warehouse.engine, "commit", read_locks)
    nights(warehouse, END)
    assert count(analyst) == 1
    # A table without rows of the date gets no partition: a reader of it is in nobody's way.
    assert count(analyst, "objective_evaluations") == 0
    load(warehouse, START, {**night(START), "objective_evaluations": []})  # while that transaction is open
    assert count(analyst) == 2
    assert partitions(warehouse) == {"results_2026_02", "results_2026_03"}
    assert partitions(warehouse, "objective_evaluations") == set()
    assert exclusive == set()


def test_prune_gives_up_where_a_query_never_ends(postgresql: Place, warehouse: Warehouse, analyst: Any) -> None:
    pauses: list[float] = []
    nights(warehouse, END, START)
    count(analyst)
    with (
        postgresql.opened(sleep=pauses.append) as pruning,
        pytest.raises(Busy, match="removing old snapshots failed: a query holds a lock"),
    ):
        pruning.drop_snapshots(START)
    assert export_dates(warehouse) == [END, START]
    assert len(pauses) > 1


def patient(place: Place) -> sa.Engine:
    """A reader to whom it is an error to wait for longer than a second."""
    url = place.url.replace("postgresql://", "postgresql+psycopg://")
    options = {"options": f"-c lock_timeout=1s -c search_path={place.schema}"}
    return sa.create_engine(url, connect_args=options, poolclass=sa.NullPool)


def test_prune_makes_no_reader_wait_while_it_counts_or_waits(
    postgresql: Place, warehouse: Warehouse, analyst: sa.Connection
) -> None:
    """Readers keep arriving while one that began before is not done; it ends when prune has tried a few times."""
    over = threading.Event()
    pauses: list[float] = []
    counted: list[str] = []

    def keep_reading() -> int:
        found = 0
        while not over.is_set():
            with patient(postgresql).connect() as connection:
                count(connection)
            found += 1
        return found

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            analyst.rollback()

    def read_meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT count(*)"):
            with patient(postgresql).connect() as connection:
                count(connection)
            counted.append(statement)

    nights(warehouse, JANUARY, END, START)
    count(analyst)
    with postgresql.opened(sleep=pause) as pruning, ThreadPoolExecutor(2) as pool:
        sa.event.listen(pruning.engine, "before_cursor_execute", read_meanwhile)
        reading = [pool.submit(keep_reading) for _ in range(2)]
        try:
            assert pruning.drop_snapshots(START) == {"results": 2}
        finally:
            over.set()
        assert all(one.result() > 0 for one in reading)
    assert export_dates(warehouse) == [START]
    assert (len(pauses) >= 3, len(counted)) == (True, 2)


def test_a_query_on_a_default_partition_sends_the_month_there(warehouse: Warehouse, analyst: sa.Connection) -> None:
    sql(warehouse, "CREATE TABLE {}theirs PARTITION OF {}results DEFAULT")
    nights(warehouse, END)
    assert partitions(warehouse) == {"theirs", "results_2026_02"}
    count(analyst)
    nights(warehouse, START)
    assert count(analyst, "theirs") == 1


def test_a_table_is_not_closed_while_another_is_waited_for(warehouse: Warehouse, analyst: sa.Connection) -> None:
    """The one has a default partition, which is closed while it is searched; the other is being analyzed by hand."""
    sql(warehouse, "CREATE TABLE {}theirs PARTITION OF {}objective_evaluations DEFAULT")
    evaluated = {"objectives": [objective("o", "g")], "objective_evaluations": [evaluation(END, "o", "a", "g", True)]}
    waiting = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{warehouse.schema}.results'::regclass"
    with ThreadPoolExecutor(1) as pool:
        analyst.exec_driver_sql("ANALYZE results")
        loading = pool.submit(load, warehouse, END, {**night(END), **evaluated})
        deadline = time.monotonic() + 20
        while analyst.exec_driver_sql(waiting).scalar() == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        count(analyst, "theirs")
        time.sleep(0.6)  # for longer than queries on a default partition are waited for
        analyst.commit()
        loading.result()
    assert partitions(warehouse) == {"results_2026_02"}
    assert partitions(warehouse, "objective_evaluations") == {"theirs", "objective_evaluations_2026_02"}


@pytest.mark.parametrize("bounds", ["FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "DEFAULT"])
@pytest.mark.parametrize("name", ["theirs", "results_2026_01"])
def test_a_partition_that_an_administrator_made_is_used_and_never_removed(
    warehouse: Warehouse, bounds: str, name: str
) -> None:
    sql(warehouse, f"CREATE TABLE {{}}{name} PARTITION OF {{}}results {bounds}")
    sql(
        warehouse,
        "INSERT INTO {}results (export_date, group_id, account_id, playable_id, captured_at, load_id, loaded_at)"
        " VALUES ('2026-03-09', 'g', 'a', 'p', now(), 'l', now())",
    )
    nights(warehouse, START)
    assert partitions(warehouse) == {name}
    assert warehouse.drop_snapshots(date(2027, 6, 1)) == {}
    assert len(export_dates(warehouse)) == 2


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
def test_what_an_administrator_added_to_the_table_reaches_new_partitions(warehouse: Warehouse, change: str) -> None:
    sql(warehouse, f"ALTER TABLE {{}}results {change}")
    nights(warehouse, END)
    assert sql(warehouse, "SELECT export_date FROM {}results_2026_02") == [(END,)]


def test_triggers_views_and_replication_include_the_first_rows_of_a_month(warehouse: Warehouse) -> None:
    """A subscriber is sent what is inserted into a published table; a table on its own is not one."""
    attached: list[bool] = []
    query = f"SELECT count(*) FROM pg_inherits WHERE inhparent = '{warehouse.schema}.results'::regclass"

    def count_partitions(connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(f"INSERT INTO {warehouse.schema}.results"):
            driver: Any = connection.connection.driver_connection
            attached.append(driver.execute(query).fetchone()[0] == len(attached) + 1)

    sql(warehouse, "CREATE VIEW {}theirs AS SELECT export_date FROM {}results")
    sql(warehouse, "CREATE TABLE {}seen (seen_on date)")
    noted = f"INSERT INTO {warehouse.schema}.seen VALUES (NEW.export_date); RETURN NEW;"
    sql(warehouse, f"CREATE FUNCTION {{}}note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {noted} END$$")
    sql(warehouse, "CREATE TRIGGER theirs AFTER INSERT ON {}results FOR EACH ROW EXECUTE FUNCTION {}note()")
    sa.event.listen(warehouse.engine, "before_cursor_execute", count_partitions)
    nights(warehouse, END, START)
    assert attached == [True, True]
    assert sql(warehouse, "SELECT * FROM {}seen") == [(END,), (START,)]
    warehouse.drop_snapshots(START)
    assert sql(warehouse, "SELECT * FROM {}theirs") == [(START,)]


def test_a_partition_that_is_detached_incomplete_or_in_use_is_refused_with_what_to_do(warehouse: Warehouse) -> None:
    nights(warehouse, END)
    sql(warehouse, "ALTER TABLE {}results DETACH PARTITION {}results_2026_02")
    with pytest.raises(Refused, match=r"results_2026_02.*was it detached.*ALTER TABLE .*results ATTACH PARTITION"):
        nights(warehouse, END - DAY)
    assert sql(warehouse, "SELECT export_date FROM {}results_2026_02") == [(END,)]
    sql(warehouse, "ALTER TABLE {}results_2026_02 RENAME TO results_kept")
    nights(warehouse, END - DAY)
    assert export_dates(warehouse) == [END - DAY]

    sql(warehouse, "CREATE TABLE {}theirs PARTITION OF {}results FOR VALUES FROM ('2026-03-01') TO ('2026-03-15')")
    nights(warehouse, START)
    with pytest.raises(Refused, match="No partition of results has 2026-03-16, and one of its month can't be made"):
        nights(warehouse, START + 15 * DAY)

    sql(warehouse, "CREATE VIEW {}built_on AS SELECT * FROM {}results_2026_02")
    with pytest.raises(Refused, match="built on what is to be removed; drop those"):
        warehouse.drop_snapshots(START)
    assert export_dates(warehouse) == [END - DAY, START]
