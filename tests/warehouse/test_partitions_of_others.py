"""What administrators and analysts made of a table with partitions is used, kept, or told."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import Refused

from .partitioned import END, START, export_dates, nights, partitions
from .place import Place, sql


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
    assert attached == [True]


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


def test_a_partition_that_others_built_on_is_not_dropped_under_them(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        warehouse.prepare()
        nights(warehouse, END, START)
        sql(warehouse, "CREATE VIEW {}theirs AS SELECT * FROM {}results_2026_02")
        with pytest.raises(Refused, match="built on what is to be removed; drop those"):
            warehouse.drop_snapshots(START)
        assert export_dates(warehouse) == [END, START]
