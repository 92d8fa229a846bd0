"""Dialects that no test has a database of: their statements compile, and the path that they take works elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.tables import TABLES
from drillster_pipeline.warehouse import CONTRACT, VIEWS, Warehouse, ddl
from drillster_pipeline.warehouse.dialects import Dialect, dialect_of
from drillster_pipeline.warehouse.staging import PREFIX, StagingTables
from tests.support.databases import Place, sqlite_in

from . import loader
from .support import (
    ADDITIVE,
    PARTIAL,
    TablePlan,
    account,
    batch,
    day,
    event,
    listening,
    load,
    plan,
    reject,
    rows,
    sql,
    staging_tables,
    statements,
)


def load_everything(warehouse: Warehouse) -> None:
    """Loads that reach every statement: repeats, orphans, rejects, marks, old dates with exceptions, events."""
    kept = TablePlan(unobserved_groups=frozenset({"g0"}), keep_referenced=True)
    for number, plans in ((5, {}), (6, dict.fromkeys(("accounts", "group_members"), kept)), (3, {}), (5, {})):
        content = loader.content(number, 60)
        content["group_members"] = [
            *content["group_members"][number:],
            {**content["group_members"][0], "account_id": "?"},
        ]
        load(warehouse, day(number), content, plans=plans, rejects={"groups": [reject("groups", "g9")] * 2})
    named = {"accounts": [account("new", is_managed=None)], "objective_events": [event("e", "new")]}
    for number in (2, 9, 5):
        load(warehouse, day(number), named, plans={"accounts": ADDITIVE}, kind="events")
    load(warehouse, day(4), {"accounts": [account("new")]}, plans={"accounts": ADDITIVE})
    load(warehouse, day(5), {"results": loader.content(5, 60)["results"][:7]}, plans={"results": PARTIAL})
    with warehouse.loading(plan(day(7), ["accounts"], allow_mass_delete=True)) as loading:
        for name in ("First", "Second"):
            loading.stage(batch("accounts", [account("a", name)]))
        loading.merge()


_NESTED = r"(?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*"
"""Anything with up to three pairs of parentheses inside each other."""


@pytest.mark.slow
def test_no_statement_reads_the_table_that_it_changes_in_a_way_that_mysql_refuses(sqlite: Place) -> None:
    """MySQL's error 1093, which MariaDB does not have: a subquery on the target, unless it is one in FROM."""
    found: dict[str, Any] = {}

    def note(_connection: Any, statement: Any, *_: Any) -> None:
        if isinstance(statement, sa.Update | sa.Delete):
            found.setdefault(str(statement), statement)

    with sqlite.prepared() as warehouse, listening(warehouse.engine, "before_execute", note):
        load_everything(warehouse)
    dialect = sa.URL.create("mysql").get_dialect()()
    assert len(found) > 20
    for statement in found.values():
        text = str(statement.compile(dialect=dialect)).replace("\n", " ")
        name = statement.table.name
        assert "IS DISTINCT" not in text
        # What is in FROM (or joined) is made beforehand, if something keeps it from being merged with the rest.
        for inner in re.findall(rf"(?:FROM|JOIN|,) \((SELECT {_NESTED})\) AS", text):
            assert re.search("DISTINCT|GROUP BY|OVER|LIMIT", inner), inner
            text = text.replace(inner, "")
        assert not re.search(rf"\(SELECT [^()]*(\([^()]*\)[^()]*)*(FROM|JOIN|,) `?{name}`?(?![\w.])", text), text


@pytest.mark.deep
def test_the_generic_path_ends_in_the_same_state_and_clears_what_a_killed_load_left(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (*loader.TABLES, "objective_events", "rejected_rows", "load_exceptions")
    with sqlite_in(tmp_path, "fast.sqlite").prepared() as fast:
        load_everything(fast)
        expected = {name: rows(fast, name) for name in (*loader.TABLES, *loader.HISTORIES)}
    with place.prepared() as warehouse:
        # As on a database without a fast path of its own, and without temporary tables that will do.
        own = type(dialect_of(warehouse.engine))
        for name in (
            "has_temporary_tables",
            "write",
            "index_staged",
            "drop_staging",
            "updates_from",
            "compares_tuples",
        ):
            monkeypatch.setattr(own, name, getattr(Dialect, name))
        warehouse._staging = StagingTables(own(), warehouse.schema)
        for name in ("accounts", "of_an_older_version"):
            sql(warehouse, f"CREATE TABLE {{}}{PREFIX}{name} (x INTEGER)")
        load_everything(warehouse)
        assert {name: rows(warehouse, name) for name in expected} == expected
        assert {name: len(rows(warehouse, name)) > 0 for name in names} == dict.fromkeys(names, True)
        assert staging_tables(warehouse) == []


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql", "mssql"])
def test_the_ddl_has_the_complete_contract(dialect: str) -> None:
    text = ddl(dialect)
    for table in CONTRACT.values():
        assert table.description in text.replace("''", "'")
        assert f"CREATE TABLE {table.name} (" in text.replace("`", "")
    for view in VIEWS.values():
        assert f"CREATE VIEW {view.name} AS SELECT" in text
        assert view.description in text
    assert "%%" not in text
    assert " \n" not in text


def test_a_dialect_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingsError, match="no database dialect 'dbase'; try sqlite, postgresql, mysql or mariadb"):
        ddl("dbase")


@pytest.mark.parametrize("place", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
def test_the_ddl_makes_what_preparing_makes(place: Place) -> None:
    """But for the definitions of views, which it does not have."""
    with place.opened() as warehouse, warehouse.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if place.schema is None:
            driver.executescript(ddl("sqlite"))
        else:
            driver.execute(f"CREATE SCHEMA {place.schema}; {ddl('postgresql', schema=place.schema)}")
            driver.commit()
    with place.opened() as warehouse:
        made = statements(warehouse)
        assert any("latest_load" in each for each in made)
        assert not [
            each for each in made if each.startswith(("CREATE TABLE", "CREATE INDEX", "ALTER", "COMMENT ON TABLE"))
        ]


def test_foreign_keys_and_indexes_are_where_the_contract_says(any_warehouse: Warehouse) -> None:
    """On servers none of snapshots, histories and figures: each of a million rows a run would be looked up again."""
    inspector = sa.inspect(any_warehouse.engine)
    schema, on_server = any_warehouse.schema, any_warehouse.engine.dialect.name != "sqlite"
    for table in CONTRACT.values():
        found = {
            key["constrained_columns"][0]: f"{key['referred_table']}.{key['referred_columns'][0]}"
            for key in inspector.get_foreign_keys(table.name, schema=schema)
        }
        expected = {column.name: column.references for column in table.all_columns if column.references}
        assert found == ({} if on_server and table.kind in {"snapshot", "history", "daily"} else expected), table.name
    for table in TABLES.values():
        indexes = inspector.get_indexes(table.name, schema=schema)
        leading = [table.key, *(tuple(index["column_names"]) for index in indexes)]
        starts = {name for names in leading for name in [each for each in names if each != "export_date"][:1]}
        for name in {"account_id", "group_id", "objective_id"} & {column.name for column in table.columns}:
            assert name in starts or (table.name, name) == ("objective_evaluations", "group_id"), (table.name, name)
