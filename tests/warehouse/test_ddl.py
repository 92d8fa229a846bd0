from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.tables import TABLES
from drillster_pipeline.warehouse import CONTRACT, VIEWS, Warehouse, ddl

from .place import Place, sql

DIALECTS = ["sqlite", "postgresql", "mysql", "mssql"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_text_holds_the_whole_contract(dialect: str) -> None:
    text = ddl(dialect)
    for table in CONTRACT.values():
        assert table.description in text.replace("''", "'")
        assert f"CREATE TABLE {table.name} (" in text.replace("`", "")
    for view in VIEWS.values():
        assert f"CREATE VIEW {view.name} AS SELECT" in text
        assert view.description in text
    assert "%%" not in text
    assert " \n" not in text


def test_the_text_for_sqlite_makes_what_preparing_makes(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "by-hand.sqlite")
    connection.executescript(ddl("sqlite"))
    connection.close()
    with Place(f"sqlite:///{tmp_path}/by-hand.sqlite", None).opened() as warehouse:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "drillster_pipeline.warehouse.schema_sync._add_column", lambda *_: pytest.fail("a column was missing")
            )
            warehouse.prepare()
        with Place(f"sqlite:///{tmp_path}/prepared.sqlite", None).opened() as prepared:
            prepared.prepare()
            query = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY 1, 2"
            assert sql(warehouse, query) == sql(prepared, query)


def test_the_text_for_postgresql_makes_what_preparing_makes(postgresql: Place) -> None:
    with postgresql.opened() as warehouse:
        sql(warehouse, f"CREATE SCHEMA {postgresql.schema}")
        with warehouse.engine.begin() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute(ddl("postgresql", schema=postgresql.schema))
        made: list[str] = []
        sa.event.listen(warehouse.engine, "before_cursor_execute", lambda _c, _k, statement, *_: made.append(statement))
        warehouse.prepare()
        assert not [
            one for one in made if one.startswith(("CREATE TABLE", "CREATE INDEX", "ALTER", "COMMENT ON TABLE"))
        ]


def test_a_dialect_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingsError, match="no database dialect 'dbase'; try sqlite, postgresql, mysql or mariadb"):
        ddl("dbase")


def test_foreign_keys_stand_where_the_contract_says(warehouse: Warehouse) -> None:
    """On servers not on snapshots and histories: each of a million rows a night would be looked up again."""
    inspector = sa.inspect(warehouse.engine)
    for table in CONTRACT.values():
        found = {
            key["constrained_columns"][0]: f"{key['referred_table']}.{key['referred_columns'][0]}"
            for key in inspector.get_foreign_keys(table.name, schema=warehouse.schema)
        }
        expected = {column.name: column.references for column in table.all_columns if column.references}
        on_server = warehouse.engine.dialect.name != "sqlite"
        assert found == ({} if on_server and table.kind in {"snapshot", "history"} else expected), table.name


@pytest.mark.parametrize("column", ["account_id", "group_id", "objective_id"])
def test_joins_by_account_group_and_objective_find_an_index(warehouse: Warehouse, column: str) -> None:
    inspector = sa.inspect(warehouse.engine)
    for table in TABLES.values():
        if column not in {one.name for one in table.columns}:
            continue
        leading = [
            table.key,
            *(tuple(index["column_names"]) for index in inspector.get_indexes(table.name, schema=warehouse.schema)),
        ]
        starts = {names[1] if names[0] == "export_date" else names[0] for names in leading}
        if (table.name, column) != ("objective_evaluations", "group_id"):
            assert column in starts, (table.name, column)
