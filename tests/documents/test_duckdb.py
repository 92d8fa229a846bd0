"""Every statement of docs/duckdb.md, in its order, on an archive and a warehouse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from drillster_pipeline.warehouse import Warehouse
from tests.extract.answers import FORMS
from tests.support.databases import Place

from .month import LAST
from .questions import blocks

pytestmark = pytest.mark.deep
BLOCKS = blocks("duckdb.md", "sql")
(INSTALL,) = (block for block in blocks("duckdb.md", "python") if block.startswith("import importlib\n"))
SERVER = "postgresql://analyst@db.example.org/warehouse"


@pytest.fixture(scope="module")
def answers(dates: Place, dates_on_postgresql: Warehouse, postgresql_url: str) -> dict[str, list[tuple[Any, ...]]]:
    """What each statement of the document gives."""
    folder = Path(dates.url.removeprefix("sqlite:///")).parents[1]
    found = {}
    with pytest.MonkeyPatch.context() as monkeypatch, duckdb.connect() as connection:
        monkeypatch.chdir(folder)
        connection.execute(f"SET extension_directory = '{folder}/extensions'")
        exec(INSTALL.replace("duckdb.sql", "connection.execute"), {"connection": connection})  # noqa: S102 (ours)
        for block in BLOCKS:
            found[block] = connection.execute(block.replace(SERVER, postgresql_url)).fetchall()
        for table in ("archived_results", "warehouse.results", "team.results"):
            found[table] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    return found


def test_every_query_of_the_document_has_rows_with_a_value_in_every_column(answers: dict[str, list[Any]]) -> None:
    for block in BLOCKS:
        if block.startswith(("SELECT", "PIVOT")):
            assert answers[block], block
            assert all(any(value is not None for value in column) for column in zip(*answers[block], strict=True)), (
                block
            )


def test_the_archive_and_the_warehouse_say_the_same(answers: dict[str, list[Any]]) -> None:
    (comparison,) = [block for block in BLOCKS if block.startswith("-- expect no rows")]
    assert answers[comparison] == []
    assert answers["archived_results"] == answers["warehouse.results"] == answers["team.results"]
    assert answers["archived_results"] > [(100,)]


def test_sqlite_and_postgresql_give_the_same_compliance(answers: dict[str, list[Any]]) -> None:
    on_sqlite, on_postgresql = (answers[block] for block in BLOCKS if "met_percentage NULLS LAST" in block)
    assert sorted((row[1], row[2] or "", row[3], round(row[4], 9)) for row in on_sqlite) == sorted(
        (row[0], row[1] or "", row[2], round(row[4], 9)) for row in on_postgresql
    )
    assert max(row[0] for row in on_sqlite) == LAST


def test_results_are_found_in_every_form_that_drillster_gives_them_in() -> None:
    (view,) = [block for block in BLOCKS if block.startswith("CREATE TEMP VIEW archived_results")]
    a_number = {"drillable": {"id": "d"}, "proficiency": 61, "timeSpent": 1800}
    body = json.dumps({"groupDrillableMemberResults": [*FORMS["results"]["items"], a_number]})
    unit = json.dumps({"group_id": "g", "account_id": "a"})
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE answers (export_date DATE, resource TEXT, unit JSON, body JSON)")
        connection.execute("INSERT INTO answers VALUES ('2026-03-01', 'results', ?, ?)", [unit, body])
        connection.execute(view)
        found = connection.execute("SELECT * EXCLUDE export_date FROM archived_results").fetchall()
    assert found == [("g", "a", "d", 61, 1800)] * 4
