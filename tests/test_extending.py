"""A column is one line, a resource and its table are a declaration each, and a dialect is one file.

A copy of the program gets what CONTRIBUTING.md shows. It describes itself, replays a capture that an earlier version
made, and captures and loads a date.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from drillster_pipeline.warehouse import Warehouse

from .support.copies import ProgramCopy
from .support.installation import REPOSITORY

pytestmark = pytest.mark.slow
SECOND_TABLE = """
 # drillster_pipeline/tables/people.py
+GROUP_SIZES = entity(
+    "group_sizes",
+    "The size of a group, from the list of groups and from each group.",
+    key("group_id", "The group.", "{group_id} | id", references="groups.group_id"),
+    integer("members", "Members, as Drillster counts them.", "counts.members"),
+    sources=("groups",),
+)
 GROUP_STAFF = entity(

 # drillster_pipeline/tables/__init__.py
+from .people import GROUP_SIZES
 from .schema import Column, Kind, Table, Type, history_name, history_of

     "Content": (PLAYABLES, CATALOGS, CATALOG_PLAYABLES, CATALOG_SUBJECTS, GROUP_PLAYABLES),
+    "Sizes": (GROUP_SIZES,),
"""
PROGRAM = """
import json, sys
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.responses import JSONResponse

from drillster_pipeline.orchestration.specs import column_lineage, column_schema, field_schemas
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.documents import data_dictionary, dbt_sources, subject_diagram
from drillster_pipeline.warehouse import CONTRACT, ddl
from tests.drillster import Faults, FieldFault, Sandbox
from tests.support.installation import DAY, NOW, Installation

SUBJECT = {"id": "s", "name": "Safety", "counts": {"playables": 5}, "new": 1}

def answer(path, query, response):
    return JSONResponse({"subjects": [SUBJECT], "total": 1}) if path.endswith("/subjects") else response

owner = {"field": "owner", "what": "value", "value": {"name": "Noor"}}
owners = Faults(fields=tuple(FieldFault(resource=name, **owner) for name in ("groups", "group")))
with (
    Sandbox(accounts=40, seed=11, now=NOW, faults=owners) as sandbox,
    pytest.MonkeyPatch.context() as monkeypatch,
    Installation(Path(sys.argv[1]), sandbox, now=NOW + timedelta(days=1), monkeypatch=monkeypatch) as installation,
):
    from tests.orchestration.runs import checks_of, metadata_of

    sandbox.app.rewrite = answer
    runs = {}
    for name, day in (("replayed", DAY), ("loaded", DAY + timedelta(days=1))):
        result = installation.run(day)
        with installation.context.warehouse.engine.connect() as connection:
            runs[name] = {
                "errors": [*map(str, result.errors), *result.unexpected],
                "metadata": {
                    asset: {name: one if isinstance(one, str | int) else repr(one) for name, one in shown.items()}
                    for asset, shown in metadata_of(installation.instance, result.run_id).items()
                },
                "checks": checks_of(installation.instance, result.run_id),
                "rows": {
                    table: [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]
                    for table in ("groups", "group_sizes", "catalogs", "catalog_subjects")
                },
            }
tables = [DATA_TABLES[name] for name in ("groups", "catalog_subjects")]
print(json.dumps({
    "ddl": ddl("sqlite"), "mssql": ddl("mssql"), "dictionary": data_dictionary(CONTRACT),
    "dbt": dbt_sources(CONTRACT), "diagram": subject_diagram("Content", CONTRACT), "runs": runs,
    "lineage": {
        f"{table.name}.{column}": [dep.column_name for dep in deps]
        for table in tables for column, deps in column_lineage(table).deps_by_column.items()
    },
    "fields": {name: [column.name for column in schema.columns] for name, schema in field_schemas().items()},
    "columns": {table.name: [column.name for column in column_schema(table).columns] for table in tables},
}, default=str))
"""


@pytest.fixture(scope="module")
def extended(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the program says of itself and does with a column, a resource, its table and a dialect more."""
    copy = ProgramCopy(tmp_path_factory.mktemp("copy"))
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for diff in re.findall(r"```diff\n(.*?)```", page, re.DOTALL):
        copy.apply(diff)
    copy.apply(SECOND_TABLE)
    for path, text in re.findall(r"```python\n# (\S+)\n(.*?)```", page, re.DOTALL):
        copy.write(path, text)
    folder = tmp_path_factory.mktemp("installation")
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    found: Mapping[str, Any] = copy.run(PROGRAM, folder)
    return found


def test_ddl_documents_and_metadata_follow_from_the_declarations(extended: Mapping[str, Any]) -> None:
    assert "CREATE TABLE catalog_subjects" in extended["ddl"]
    assert extended["ddl"].count("owner_name") == 2  # in the entity and in its history
    row = "| `owner_name` | text | yes | Who owns the group. *Personal.* | `groups: groups[].owner.fullName` |"
    assert row in extended["dictionary"]
    assert "## catalog_subjects_history" in extended["dictionary"]
    assert "name: owner_name" in extended["dbt"]
    assert 'catalogs ||--o{ catalog_subjects : "catalog_id"' in extended["diagram"]
    assert extended["columns"]["groups"].index("owner_name") == 4
    assert extended["columns"]["catalog_subjects"][:4] == ["catalog_id", "subject_id", "name", "playable_count"]
    assert extended["lineage"]["groups.owner_name"] == ["groups[].owner.fullName"]
    assert extended["lineage"]["catalog_subjects.playable_count"] == ["subjects[].counts.playables"]
    assert "groups[].owner.fullName" in extended["fields"]["groups"]
    assert "subjects[].name" in extended["fields"]["catalog_subjects"]


def test_the_dialect_of_a_file_is_found(extended: Mapping[str, Any]) -> None:
    assert "run_id NVARCHAR(max) NULL" in extended["mssql"]


def test_the_new_resource_is_captured_and_loaded_with_the_new_column(extended: Mapping[str, Any]) -> None:
    run = extended["runs"]["loaded"]
    assert run["errors"] == []
    catalogs = {row["catalog_id"] for row in run["rows"]["catalogs"]}
    subjects = run["rows"]["catalog_subjects"]
    assert {row["catalog_id"] for row in subjects} == catalogs != set()
    assert {(row["subject_id"], row["name"], row["playable_count"]) for row in subjects} == {("s", "Safety", 5)}
    sizes = {row["group_id"]: row["members"] for row in run["rows"]["group_sizes"]}
    assert sizes == {row["group_id"]: row["member_count"] for row in run["rows"]["groups"]}
    assert {"Noor"} <= {row["owner_name"] for row in run["rows"]["groups"]}
    assert "Noor" not in str(run["metadata"])  # it is personal
    captured = run["metadata"]["drillster/catalog_subjects"]
    assert (captured["status"], captured["units"]) == ("captured", len(catalogs))
    assert [name for name, passed in run["checks"].items() if not passed] == [
        "warehouse/catalog_subjects:no_unknown_fields"
    ]


def test_a_capture_of_before_is_replayed_and_leaves_the_new_table_as_it_is(extended: Mapping[str, Any]) -> None:
    run = extended["runs"]["replayed"]
    assert run["errors"] == []
    assert run["metadata"]["drillster/catalog_subjects"]["status"] == "not captured"
    assert "warehouse/catalog_subjects" not in run["metadata"]
    assert run["rows"]["catalog_subjects"] == []
    assert [name for name, passed in run["checks"].items() if not passed] == [
        "drillster/catalog_subjects:complete",
        "warehouse/catalog_subjects:no_rejects",
    ]


class MadeUp(SQLiteDialect_pysqlite):
    """A database that SQLAlchemy knows, and this package does not yet."""

    name = "made_up"
    supports_statement_cache = True


def test_a_database_without_a_dialect_of_its_own_is_called_not_tested(tmp_path: Path) -> None:
    registry.register("made_up", __name__, "MadeUp")
    warehouse = Warehouse(f"made_up:///{tmp_path}/warehouse.db")
    assert (warehouse.caution or "").startswith("made_up is not tested")


DIALECT = """
from typing import Any

import sqlalchemy as sa

from . import Dialect
from .sqlite import SQLite

written = {}


class Ours(Dialect):
    names = ("made_up",)
    is_tested = True
    expressions = SQLite.expressions

    def to_driver(self, moment: Any) -> Any:
        return moment.isoformat()

    def timestamp_type(self) -> sa.Text:
        return sa.Text()

    def write(self, connection, target, columns, frame, first_row):
        written[target.name] = written.get(target.name, 0) + len(frame)
        super().write(connection, target, columns, frame, first_row)
"""
LOAD = """
import json, sys

import sqlalchemy as sa
from sqlalchemy.dialects import registry

from drillster_pipeline.warehouse import Warehouse
from tests.warehouse.support import account, day, load

registry.register("made_up", "tests.test_extending", "MadeUp")
warehouse = Warehouse(sys.argv[1])
warehouse.prepare()
report = load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
load(warehouse, day(2), {"accounts": [account("a")]}, allow_mass_delete=True)

from drillster_pipeline.warehouse.dialects.made_up import written

print(json.dumps({
    "caution": warehouse.caution,
    "inserted": report.tables["accounts"].rows_inserted,
    "written": written,
    "rows": warehouse.row_counts(["accounts", "accounts_history"]),
    "views": len(sa.inspect(warehouse.engine).get_view_names()),
}))
"""


def test_a_dialect_is_one_file_in_its_folder(tmp_path: Path) -> None:
    copy = ProgramCopy(tmp_path)
    copy.write("drillster_pipeline/warehouse/dialects/made_up.py", DIALECT)
    found = copy.run(LOAD, f"made_up:///{tmp_path}/warehouse.db")
    assert found["caution"] is None
    assert found["inserted"] == 2
    assert found["written"] == {"drillster_staged_accounts": 3}
    assert found["rows"] == {"accounts": 2, "accounts_history": 2}
    assert found["views"]
