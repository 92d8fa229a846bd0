"""Snapshot tables on PostgreSQL: a partition per month, attached without locking readers, and those of others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import Busy, Refused
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.dialects.postgresql import PostgreSQL
from tests.support.databases import Place

from .support import account, group, listening, load, playable, result, rows, sql

pytestmark = pytest.mark.slow
JANUARY, END, START, DAY = date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 1), timedelta(days=1)


@pytest.fixture
def warehouse(postgresql: Place) -> Iterator[Warehouse]:
    with postgresql.prepared() as opened:
        yield opened


@pytest.fixture
def analyst(postgresql: Place, warehouse: Warehouse) -> Iterator[sa.Connection]:
    """A reader with an open transaction, for whom it is an error to wait."""
    assert warehouse.schema == postgresql.schema
    with postgresql.opened() as opened, opened.engine.connect() as connection:
        connection.exec_driver_sql(f"SET search_path = {postgresql.schema}")
        connection.exec_driver_sql("SET lock_timeout = '1s'")
        connection.commit()
        yield connection


def content(on: date, proficiency: int = 50) -> dict[str, list[Any]]:
    return {
        "accounts": [account("a")],
        "playables": [playable("p")],
        "groups": [group("g")],
        "results": [result(on, "g", "a", "p", proficiency)],
    }


def load_dates(warehouse: Warehouse, *dates: date) -> None:
    for each in dates:
        load(warehouse, each, content(each))


def partitions(warehouse: Warehouse, table: str = "results") -> set[str]:
    query = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        f" WHERE i.inhparent = '{warehouse.schema}.{table}'::regclass"
    )
    return {name for (name,) in sql(warehouse, query)}


def export_dates(warehouse: Warehouse) -> list[date]:
    return [row["export_date"] for row in rows(warehouse, "results")]


def count(connection: sa.Connection, table: str = "results") -> Any:
    return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def test_a_load_makes_the_partition_of_its_month_and_prune_drops_months(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_dates(warehouse, JANUARY, END, START, START + 30 * DAY)
    assert partitions(warehouse) == {"results_2026_01", "results_2026_02", "results_2026_03"}
    assert sql(warehouse, "SELECT export_date FROM {}results_2026_02") == [(END,)]
    # Queries over months are planned by statistics of the table, with the key and indexes that partitions have too.
    statistics = f"SELECT attname FROM pg_stats WHERE schemaname = '{warehouse.schema}' AND tablename = 'results'"
    assert ("group_id",) in sql(warehouse, f"{statistics} AND inherited")
    keys = sa.inspect(warehouse.engine).get_pk_constraint("results_2026_03", schema=warehouse.schema)
    assert keys["constrained_columns"] == ["export_date", "group_id", "account_id", "playable_id"]
    warehouse.prepare()
    load(warehouse, START, content(START, proficiency=60))
    assert [row["proficiency"] for row in rows(warehouse, "results")] == [50, 50, 60, 50]

    assert warehouse.drop_snapshots(END) == {"results": 1}
    assert warehouse.drop_snapshots(START) == {"results": 1}
    assert partitions(warehouse) == {"results_2026_03"}

    # A backfill brings a month back. What was merged stays, even if statistics fail.
    def fail(connection: sa.Connection, _table: sa.Table) -> None:
        connection.exec_driver_sql("SELECT 1 / 0")

    monkeypatch.setattr(PostgreSQL, "gather_statistics", staticmethod(fail))
    load_dates(warehouse, END)
    assert export_dates(warehouse) == [END, START, START + 30 * DAY]


def test_a_warehouse_that_was_made_without_partitions_stays_so(
    postgresql: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(PostgreSQL, "table_options", lambda *_: {})
        with postgresql.prepared() as warehouse:
            load_dates(warehouse, END)
    with postgresql.prepared() as warehouse:
        load_dates(warehouse, START, START + DAY)
        assert partitions(warehouse) == set()
        assert warehouse.drop_snapshots(START + DAY) == {"results": 2}


def test_making_a_partition_locks_no_reader_out(warehouse: Warehouse, analyst: sa.Connection) -> None:
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

    with listening(warehouse.engine, "commit", read_locks):
        load_dates(warehouse, END)
        assert count(analyst) == 1
        # A table without rows of the date gets no partition: a reader of it is in nobody's way.
        assert count(analyst, "objective_evaluations") == 0
        load(warehouse, START, {**content(START), "objective_evaluations": []})  # while that transaction is open
    assert count(analyst) == 2
    assert partitions(warehouse) == {"results_2026_02", "results_2026_03"}
    assert partitions(warehouse, "objective_evaluations") == set()
    assert exclusive == set()


def test_a_load_waits_a_moment_for_queries_that_were_planned_without_its_partition(
    postgresql: Place, analyst: sa.Connection
) -> None:
    """They would read it in the ledger, and none of its rows. (It needs the analyst's query, not its plan.)"""
    pauses: list[float] = []
    ends_after = 2

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == ends_after:
            analyst.rollback()
            count(analyst)  # begins after the partition, and is not waited for

    with postgresql.prepared(sleep=pause) as warehouse:
        count(analyst)
        load_dates(warehouse, END)
        assert len(pauses) == ends_after
        load_dates(warehouse, END)  # nothing is attached
        assert len(pauses) == ends_after
        ends_after = 0
        load_dates(warehouse, START)
        assert sum(pauses[2:]) == pytest.approx(1)
    assert count(analyst) == 2


def test_prune_waits_for_a_query_without_a_lock_and_gives_up_where_it_never_ends(
    postgresql: Place, warehouse: Warehouse, analyst: sa.Connection
) -> None:
    """Readers can begin while it counts rows, and while it waits for the query that is in its way."""
    pauses: list[float] = []
    reads: list[str] = []
    url = postgresql.url.replace("postgresql://", "postgresql+psycopg://")
    options = {"options": f"-c lock_timeout=1s -c search_path={postgresql.schema}"}
    others = sa.create_engine(url, connect_args=options, poolclass=sa.NullPool)

    def read(when: str) -> None:
        with others.connect() as connection:
            count(connection)
        reads.append(when)

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        read("paused")
        if len(pauses) == ends_after:
            analyst.rollback()

    def read_while_counting(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT count(*)"):
            read("counting")

    load_dates(warehouse, JANUARY, END, START)
    count(analyst)
    with postgresql.opened(sleep=pause) as pruning:
        ends_after = 0
        with pytest.raises(Busy, match="removing old snapshots failed: a query holds a lock"):
            pruning.drop_snapshots(START)
        assert export_dates(warehouse) == [JANUARY, END, START]
        assert len(pauses) > 1
        pauses.clear()
        reads.clear()
        ends_after = 3
        with listening(pruning.engine, "before_cursor_execute", read_while_counting):
            assert pruning.drop_snapshots(START) == {"results": 2}
    assert export_dates(warehouse) == [START]
    assert (len(pauses) >= 3, reads.count("counting")) == (True, 2)


def test_a_query_on_a_default_partition_sends_the_month_there(warehouse: Warehouse, analyst: sa.Connection) -> None:
    sql(warehouse, "CREATE TABLE {}theirs PARTITION OF {}results DEFAULT")
    load_dates(warehouse, END)
    assert partitions(warehouse) == {"theirs", "results_2026_02"}
    count(analyst)
    load_dates(warehouse, START)
    assert count(analyst, "theirs") == 1


@pytest.mark.parametrize("bounds", ["FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "DEFAULT"])
def test_a_partition_that_an_administrator_made_is_used_and_never_removed(warehouse: Warehouse, bounds: str) -> None:
    """Though it has the name that one of this program would have."""
    sql(
        warehouse,
        f"CREATE TABLE {{}}results_2026_01 PARTITION OF {{}}results {bounds}",
        "INSERT INTO {}results (export_date, group_id, account_id, playable_id, captured_at, load_id, loaded_at)"
        " VALUES ('2026-03-09', 'g', 'a', 'p', now(), 'l', now())",
    )
    load_dates(warehouse, START)
    assert partitions(warehouse) == {"results_2026_01"}
    assert warehouse.drop_snapshots(date(2027, 6, 1)) == {}
    assert len(export_dates(warehouse)) == 2


def test_what_an_administrator_added_to_the_table_reaches_new_partitions(warehouse: Warehouse) -> None:
    """Constraints and columns, triggers and views; a subscriber is sent what is inserted into a published table."""
    attached: list[bool] = []
    query = f"SELECT count(*) FROM pg_inherits WHERE inhparent = '{warehouse.schema}.results'::regclass"

    def count_partitions(connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(f"INSERT INTO {warehouse.schema}.results"):
            driver: Any = connection.connection.driver_connection
            attached.append(driver.execute(query).fetchone()[0] == len(attached) + 1)

    noted = f"INSERT INTO {warehouse.schema}.seen VALUES (NEW.export_date); RETURN NEW;"
    sql(
        warehouse,
        "ALTER TABLE {}results ADD CONSTRAINT theirs CHECK (proficiency < 1000)",
        "ALTER TABLE {}results ADD COLUMN hours float8 GENERATED ALWAYS AS (time_spent_seconds / 3600.0) STORED",
        "ALTER TABLE {}results ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE {}results ADD COLUMN serial bigserial",
        "ALTER TABLE {}results ADD COLUMN note text NOT NULL DEFAULT ''",
        "CREATE VIEW {}theirs AS SELECT export_date FROM {}results",
        "CREATE TABLE {}seen (seen_on date)",
        f"CREATE FUNCTION {{}}note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {noted} END$$",
        "CREATE TRIGGER theirs AFTER INSERT ON {}results FOR EACH ROW EXECUTE FUNCTION {}note()",
    )
    with listening(warehouse.engine, "before_cursor_execute", count_partitions):
        load_dates(warehouse, END, START)
    assert attached == [True, True]
    assert sql(warehouse, "SELECT * FROM {}seen") == [(END,), (START,)]
    assert sql(warehouse, "SELECT export_date FROM {}results_2026_02") == [(END,)]
    warehouse.drop_snapshots(START)
    assert sql(warehouse, "SELECT * FROM {}theirs") == [(START,)]


def test_a_partition_that_is_detached_incomplete_or_in_use_is_refused_with_what_to_do(warehouse: Warehouse) -> None:
    load_dates(warehouse, END)
    sql(warehouse, "ALTER TABLE {}results DETACH PARTITION {}results_2026_02")
    with pytest.raises(Refused, match=r"results_2026_02.*was it detached.*ALTER TABLE .*results ATTACH PARTITION"):
        load_dates(warehouse, END - DAY)
    assert sql(warehouse, "SELECT export_date FROM {}results_2026_02") == [(END,)]
    sql(warehouse, "ALTER TABLE {}results_2026_02 RENAME TO results_kept")
    load_dates(warehouse, END - DAY)
    assert export_dates(warehouse) == [END - DAY]

    sql(warehouse, "CREATE TABLE {}theirs PARTITION OF {}results FOR VALUES FROM ('2026-03-01') TO ('2026-03-15')")
    load_dates(warehouse, START)
    with pytest.raises(Refused, match="No partition of results has 2026-03-16, and one of its month can't be made"):
        load_dates(warehouse, START + 15 * DAY)

    sql(warehouse, "CREATE VIEW {}built_on AS SELECT * FROM {}results_2026_02")
    with pytest.raises(Refused, match="built on what is to be removed; drop those"):
        warehouse.drop_snapshots(START)
    assert export_dates(warehouse) == [END - DAY, START]
