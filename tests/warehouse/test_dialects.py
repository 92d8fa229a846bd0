"""Databases that are not here to be tested on: their statements compile, and the path they take works elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.warehouse import LoadType, TablePlan, Warehouse
from drillster_pipeline.warehouse.dialects import Dialect, dialect_of
from drillster_pipeline.warehouse.staging import PREFIX, StagingTables

from . import loader
from .nights import account, batch, day, event, load, plan, reject
from .place import Place, column, rows, sql


def everything(warehouse: Warehouse) -> None:
    """Loads that reach every statement: repeats, orphans, rejects, marks, old dates with exceptions, events."""
    kept = TablePlan(unobserved_groups=frozenset({"g0"}), keep_referenced=True)
    additive = {"accounts": TablePlan(load_type=LoadType.ADDITIVE)}
    for number, plans in ((5, {}), (6, dict.fromkeys(("accounts", "group_members"), kept)), (3, {}), (5, {})):
        content = loader.night(number)
        content["group_members"] = [
            *content["group_members"][number:],
            {**content["group_members"][0], "account_id": "?"},
        ]
        load(warehouse, day(number), content, plans=plans, rejects={"groups": [reject("groups", "g9")] * 2})
    told = {"accounts": [account("new", is_managed=None)], "objective_events": [event("e", "new")]}
    for number in (2, 9, 5):
        load(warehouse, day(number), told, plans=additive, kind="events")
    load(warehouse, day(4), {"accounts": [account("new")]}, plans=additive)
    partial = {"results": TablePlan(load_type=LoadType.PARTIAL)}
    load(warehouse, day(5), {"results": loader.night(5)["results"][:7]}, plans=partial)
    with warehouse.loading(plan(day(7), ["accounts"], allow_mass_delete=True)) as loading:
        for name in ("First", "Second"):
            loading.stage(batch("accounts", [account("a", name)]))
        loading.merge()


_NESTED = r"(?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*"
"""Anything with up to three pairs of parentheses inside each other."""


def statements_of_everything(sqlite: Place) -> list[Any]:
    """What the loads of ``everything`` execute, each once."""
    found: dict[str, Any] = {}

    def note(_connection: Any, statement: Any, *_: Any) -> None:
        if not isinstance(statement, sa.sql.ddl.DDLElement | str):
            found.setdefault(str(statement), statement)

    with sqlite.opened() as warehouse:
        warehouse.prepare()
        sa.event.listen(warehouse.engine, "before_execute", note)
        everything(warehouse)
    return [*found.values()]


def test_no_statement_reads_the_table_that_it_changes_in_a_way_that_mysql_refuses(sqlite: Place) -> None:
    """MySQL's error 1093, which MariaDB does not have: a subquery on the target, unless it is one in FROM."""
    dialect = sa.URL.create("mysql").get_dialect()()
    changing = [found for found in statements_of_everything(sqlite) if isinstance(found, sa.Update | sa.Delete)]
    assert len(changing) > 20
    for statement in changing:
        text = str(statement.compile(dialect=dialect)).replace("\n", " ")
        name = statement.table.name
        assert "IS DISTINCT" not in text
        # What is in FROM (or joined) is made beforehand, if something keeps it from being merged with the rest.
        for inner in re.findall(rf"(?:FROM|JOIN|,) \((SELECT {_NESTED})\) AS", text):
            assert re.search("DISTINCT|GROUP BY|OVER|LIMIT", inner), inner
            text = text.replace(inner, "")
        assert not re.search(rf"\(SELECT [^()]*(\([^()]*\)[^()]*)*(FROM|JOIN|,) `?{name}`?(?![\w.])", text), text


def test_the_generic_path_ends_in_the_same_state(place: Place, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (*loader.TABLES, "objective_events", "rejected_rows", "load_exceptions")
    with Place(f"sqlite:///{tmp_path}/fast.sqlite", None).opened() as fast:
        fast.prepare()
        everything(fast)
        expected = {name: rows(fast, name) for name in (*loader.TABLES, *loader.HISTORIES)}
    with place.opened() as warehouse:
        warehouse.prepare()
        take_the_generic_path(warehouse, monkeypatch)
        everything(warehouse)
        assert {name: rows(warehouse, name) for name in expected} == expected
        assert {name: len(rows(warehouse, name)) > 0 for name in names} == dict.fromkeys(names, True)
        assert staging_tables(warehouse) == []


def take_the_generic_path(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a database without a fast path of its own, and without temporary tables that will do."""
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
