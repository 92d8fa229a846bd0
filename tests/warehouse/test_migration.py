"""A new version of the program meets an older warehouse; a user has changed something by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import Busy, Refused
from drillster_pipeline.tables import HISTORY_TABLES
from drillster_pipeline.warehouse import CONTRACT, VIEWS, Warehouse
from tests.support.databases import Place

from .support import account, column, day, is_mariadb, load, rows, sql, statements, view


def test_preparing_makes_every_table_and_view_and_again_writes_nothing(place: Place) -> None:
    with place.opened() as warehouse:
        assert statements(warehouse)
        inspector = sa.inspect(warehouse.engine)
        assert set(inspector.get_table_names(schema=place.schema)) == CONTRACT.keys()
        assert set(inspector.get_view_names(schema=place.schema)) == VIEWS.keys()
        assert statements(warehouse) == []
    with place.opened() as another:
        assert statements(another) == []


def test_a_dropped_table_column_index_key_and_view_are_made_again(place: Place) -> None:
    with place.prepared() as warehouse:
        load(warehouse, day(1), {"accounts": [account("a")]})
        for name in ("group_compliance", "overdue_objectives", "current_results", "enrollments"):
            sql(warehouse, f"DROP VIEW {{}}{name}")
        sql(warehouse, "DROP TABLE {}objective_evaluations", "ALTER TABLE {}accounts DROP COLUMN time_zone")
        sql(warehouse, drop_index(warehouse, "accounts", "ix_accounts_organization_id"))
        if place.schema is None:
            sql(
                warehouse,
                drop_index(warehouse, "group_members", "ix_group_members_account_id"),
                "DROP TABLE group_members",
                "CREATE TABLE group_members (group_id TEXT NOT NULL, member_key TEXT NOT NULL, load_id TEXT NOT NULL,"
                " loaded_at TEXT NOT NULL, row_hash TEXT NOT NULL, status TEXT NOT NULL,"
                " PRIMARY KEY (group_id, member_key))",
            )
        elif is_mariadb(warehouse):
            drops = ("FOREIGN KEY fk_group_members_account_id", "INDEX ix_group_members_account_id", "account_id")
            sql(warehouse, f"ALTER TABLE group_members {', '.join(f'DROP {each}' for each in drops)}")
        else:
            sql(warehouse, "ALTER TABLE {}group_members DROP COLUMN account_id CASCADE")
        warehouse.prepare()

        assert view(warehouse, "group_compliance") == rows(warehouse, "objective_evaluations") == []
        assert column(warehouse, "accounts", "time_zone") == {"a": None}
        inspector = sa.inspect(warehouse.engine)
        for table, name in (("accounts", "organization_id"), ("group_members", "account_id")):
            indexes = {each["name"]: each["column_names"] for each in inspector.get_indexes(table, place.schema)}
            assert indexes[f"ix_{table}_{name}"] == [name]
        keys = inspector.get_foreign_keys("group_members", schema=place.schema)
        assert ["account_id"] in [key["constrained_columns"] for key in keys]


def test_a_new_column_is_added_with_old_rows_null_and_a_replay_fills_it(sqlite: Place) -> None:
    with sqlite.prepared() as older:
        load(older, day(1), {"accounts": [account("a", locale="nl")], "groups": []})
        for name in ("accounts", "accounts_history"):
            sql(older, f"ALTER TABLE {{}}{name} DROP COLUMN locale")
    with sqlite.prepared() as newer:
        assert column(newer, "accounts", "locale") == {"a": None}
        for name in ("accounts", "accounts_history"):
            sql(newer, f"UPDATE {{}}{name} SET row_hash = 'of the older version'")
        load(newer, day(1), {"accounts": [account("a", locale="nl")]})
        assert column(newer, "accounts", "locale") == {"a": "nl"}


def test_histories_are_added_and_begin_with_the_next_load_until_older_ones_are_replayed(sqlite: Place) -> None:
    contents = {number: [account("a", f"name {number}")] for number in (1, 2, 3)} | {4: []}
    with sqlite.prepared() as older:
        for number in (1, 2):
            load(older, day(number), {"accounts": contents[number]})
        for name in HISTORY_TABLES:
            sql(older, f"DROP TABLE {{}}{name}")
        for name in ("in_history", "history_rows"):
            sql(older, f"ALTER TABLE {{}}load_tables DROP COLUMN {name}")

    def names(warehouse: Warehouse) -> list[tuple[Any, ...]]:
        found = rows(warehouse, "accounts_history")
        return [(row["name"], row["valid_from"], row["valid_until"]) for row in found]

    with sqlite.prepared() as newer:
        for number in (3, 4):
            load(newer, day(number), {"accounts": contents[number]})
        assert names(newer) == [("name 3", day(3), day(4))]
        for number in (2, 1):
            load(newer, day(number), {"accounts": contents[number]})
        assert names(newer) == [(f"name {number}", day(number), day(number + 1)) for number in (1, 2, 3)]


def test_what_users_added_is_left_alone(place: Place) -> None:
    with place.prepared() as warehouse:
        sql(warehouse, "ALTER TABLE {}accounts ADD COLUMN remark TEXT")
        sql(warehouse, "ALTER TABLE {}groups ADD COLUMN cost_centre TEXT NOT NULL DEFAULT 'none'")
        sql(warehouse, f"CREATE INDEX mine ON {'{}' if place.schema else ''}accounts (remark)")
        sql(warehouse, "CREATE TABLE {}mine_too (x INTEGER)")
        load(warehouse, day(1), {"accounts": [account("a"), account("b")], "groups": [{"group_id": "g"}]})
        sql(warehouse, "UPDATE {}accounts SET remark = 'new here' WHERE account_id = 'a'")

        assert statements(warehouse) == []
        load(warehouse, day(2), {"accounts": [account("a", "Other")], "groups": [{"group_id": "h"}]})
        assert sql(warehouse, "SELECT account_id, name, remark FROM {}accounts ORDER BY 1") == [
            ("a", "Other", "new here"),
            ("b", "B", None),
        ]
        assert sql(warehouse, "SELECT cost_centre FROM {}groups") == [("none",), ("none",)]


def drop_index(warehouse: Warehouse, table: str, name: str) -> str:
    return f"DROP INDEX {name} ON {table}" if is_mariadb(warehouse) else f"DROP INDEX {{}}{name}"


BY_HAND = {
    "ALTER TABLE {}groups DROP COLUMN description": "",
    "ALTER TABLE {}groups ADD COLUMN description INTEGER": (
        r"groups\.description: the type is INTEGER.*, and must be (LONG)?TEXT"
    ),
    "ALTER TABLE {}groups DROP COLUMN member_count": "",
    "ALTER TABLE {}groups ADD COLUMN member_count SMALLINT": (
        r"groups\.member_count: the type is SMALLINT.*, and must be BIGINT"
    ),
    "ALTER TABLE {}view_definitions RENAME TO moved": "",
    "CREATE VIEW {}view_definitions AS SELECT * FROM {}moved": r"view_definitions: there is a view of this name",
    "DROP VIEW {}latest_load": "",
    "CREATE TABLE {}latest_load (x INTEGER)": r"latest_load: there is a table of this name",
    "DROP VIEW {}group_compliance": "",
}
"""What somebody did by hand, and the problem that it is."""


def test_what_is_not_an_addition_is_refused_with_instructions(place: Place) -> None:
    with place.prepared() as warehouse:
        for statement in BY_HAND:
            sql(warehouse, statement)
        with pytest.raises(Refused) as caught:
            warehouse.prepare()
        assert [problem for problem in BY_HAND.values() if not re.search(problem, str(caught.value))] == []
        # Left alone: not even what could have been added was.
        assert "group_compliance" not in sa.inspect(warehouse.engine).get_view_names(schema=place.schema)


def test_every_problem_of_a_table_is_reported_at_once(sqlite: Place) -> None:
    with sqlite.prepared() as warehouse:
        sql(warehouse, "DROP TABLE playables")
        sql(
            warehouse,
            "CREATE TABLE playables (playable_id TEXT, type BLOB, name TEXT NOT NULL, colour TEXT NOT NULL,"
            " first_seen_on DATE, last_seen_on DATE, deleted_on DATE, row_hash TEXT NOT NULL, load_id TEXT NOT NULL)",
        )
        with pytest.raises(Refused) as caught:
            warehouse.prepare()
    for problem in (
        "playables.type: the type is BLOB, and must be TEXT",
        "playables.name: the column is NOT NULL, but Drillster may leave it out",
        "playables.colour: this column is not ours",
        "playables.loaded_at: the column is missing, and may not be NULL",
        "playables: the primary key is (missing), and must be (playable_id)",
        "Or name a new place in DRILLSTER_WAREHOUSE_URL and fill it by a backfill of all dates",
    ):
        assert problem in str(caught.value)


def test_a_view_of_a_new_version_replaces_the_old_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.prepared():
        pass
    old = VIEWS["latest_load"]
    shorter = replace(
        old,
        columns={name: old.columns[name] for name in ("kind", "load_id")},
        query=lambda tables: sa.select(tables("loads").c.kind, tables("loads").c.load_id),
    )
    monkeypatch.setitem(VIEWS, "latest_load", shorter)
    with place.opened() as newer:
        made = statements(newer)
        assert any("latest_load" in statement for statement in made)
        assert not any("current_results" in statement for statement in made)
        columns = sa.inspect(newer.engine).get_columns("latest_load", schema=place.schema)
        assert [found["name"] for found in columns] == ["kind", "load_id"]
        assert statements(newer) == []


def test_a_migration_that_fails_halfway_leaves_the_warehouse_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.prepared() as warehouse:
        sql(warehouse, "DROP TABLE {}rejected_rows")
        sql(warehouse, "ALTER TABLE {}groups DROP COLUMN description")

        def fail(*_: Any, **_also: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("drillster_pipeline.warehouse.schema_sync._add_column", fail)
        with pytest.raises(ZeroDivisionError):
            warehouse.prepare()
        if not is_mariadb(warehouse):  # which commits each step of DDL; the next run goes on from there
            assert "rejected_rows" not in sa.inspect(warehouse.engine).get_table_names(schema=place.schema)
        monkeypatch.undo()
        warehouse.prepare()
        assert rows(warehouse, "rejected_rows") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "limit", "value", "message"),
    [
        ("postgresql", "postgresql.DDL_WAIT", "200ms", "a query holds a lock on a table that must be changed"),
        ("mariadb", "mysql.DDL_WAIT_SECONDS", 1, "another session was in the way"),
    ],
)
def test_a_migration_does_not_queue_behind_a_long_query_for_ever(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, database: str, limit: str, value: Any, message: str
) -> None:
    monkeypatch.setattr(f"drillster_pipeline.warehouse.dialects.{limit}", value)
    place: Place = request.getfixturevalue(database)
    with place.prepared() as warehouse, place.opened() as analyst:
        sql(warehouse, "ALTER TABLE {}accounts DROP COLUMN locale")
        with analyst.engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT count(*) FROM {place.schema}.accounts")
            with pytest.raises(Busy, match=message):
                warehouse.prepare()
        warehouse.prepare()
