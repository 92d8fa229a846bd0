"""Databases that are not here to be tested on: their statements compile, and the path they take works elsewhere."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.warehouse import Mode, TablePlan, Warehouse
from drillster_pipeline.warehouse.staging import PREFIX, StagingTables
from drillster_pipeline.warehouse.writers import write_generic

from . import loader
from .nights import account, batch, day, event, load, plan, reject
from .place import Place, column, rows, sql


def everything(warehouse: Warehouse) -> None:
    """Loads that reach every statement: repeats, orphans, rejects, marks, old dates with exceptions, events."""
    kept = TablePlan(kept_groups=frozenset({"g0"}), keep_mentioned=True)
    additive = {"accounts": TablePlan(mode=Mode.ADDITIVE)}
    for number, plans in ((5, {}), (6, dict.fromkeys(("accounts", "group_members"), kept)), (3, {}), (5, {})):
        content = loader.night(number)
        content["group_members"] = [
            *content["group_members"][number:],
            {**content["group_members"][0], "account_id": "?"},
        ]
        load(warehouse, day(number), content, plans=plans, rejects={"groups": [reject("groups", "g9")]})
    told = {"accounts": [account("new", is_managed=None)], "objective_events": [event("e", "new")]}
    for number in (2, 9, 5):
        load(warehouse, day(number), told, plans=additive, kind="events")
    load(warehouse, day(4), {"accounts": [account("new")]}, plans=additive)
    partial = {"results": TablePlan(mode=Mode.PARTIAL)}
    load(warehouse, day(5), {"results": loader.night(5)["results"][:7]}, plans=partial)
    with warehouse.loading(plan(day(7), ["accounts"], allow_mass_delete=True)) as loading:
        for name in ("First", "Second"):
            loading.stage(batch("accounts", [account("a", name)]))
        loading.publish()


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_every_statement_of_a_load_compiles_for_other_databases(sqlite: Place, name: str) -> None:
    dialect = sa.URL.create(name).get_dialect()()
    compiled: set[str] = set()

    def note(_connection: Any, statement: Any, *_: Any) -> None:
        if not isinstance(statement, sa.sql.ddl.DDLElement | str):
            compiled.add(str(statement.compile(dialect=dialect)))

    with sqlite.opened() as warehouse, warnings.catch_warnings():
        warnings.simplefilter("error")
        warehouse.prepare()
        sa.event.listen(warehouse.engine, "before_execute", note)
        everything(warehouse)
        staging = StagingTables(name, "w")
        for table in staging.metadata.sorted_tables:
            compiled.add(str(sa.schema.CreateTable(table).compile(dialect=dialect)))
    assert len(compiled) > 90
    assert not [statement for statement in compiled if "IS DISTINCT" in statement]


def test_the_generic_path_ends_in_the_same_state(place: Place, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (*loader.TABLES, "objective_events", "rejected_rows", "load_exceptions")
    with Place(f"sqlite:///{tmp_path}/fast.sqlite", None).opened() as fast:
        fast.prepare()
        everything(fast)
        expected = {name: rows(fast, name) for name in loader.TABLES}
    with place.opened() as warehouse:
        warehouse.prepare()
        take_the_generic_path(warehouse, monkeypatch)
        everything(warehouse)
        assert {name: rows(warehouse, name) for name in loader.TABLES} == expected
        assert {name: len(rows(warehouse, name)) > 0 for name in names} == dict.fromkeys(names, True)
        assert staging_tables(warehouse) == []


def take_the_generic_path(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a database without a fast path of its own, and without temporary tables that will do."""
    monkeypatch.setattr("drillster_pipeline.warehouse.staging.writer_for", lambda _dialect: write_generic)
    warehouse._staging = StagingTables("some other database", warehouse.schema)


def staging_tables(warehouse: Warehouse) -> list[str]:
    found = sa.inspect(warehouse.engine).get_table_names(schema=warehouse.schema)
    return [name for name in found if name.startswith(PREFIX)]


def test_staging_that_a_dead_load_left_is_cleared_by_the_next(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.opened() as warehouse:
        warehouse.prepare()
        take_the_generic_path(warehouse, monkeypatch)
        sql(warehouse, f"CREATE TABLE {{}}{PREFIX}accounts (x INTEGER)")
        sql(warehouse, f"CREATE TABLE {{}}{PREFIX}of_an_older_version (x INTEGER)")
        load(warehouse, day(1), {"accounts": [account("a")]})
        assert column(warehouse, "accounts", "name") == {"a": "A"}
        assert staging_tables(warehouse) == []
