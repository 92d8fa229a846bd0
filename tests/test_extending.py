"""A column is one line, a table one declaration and its place in the registry, a dialect one class.

The rest follows from them. Column and table are added to a copy of the program, which then describes itself and loads
an answer that has them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

import drillster_pipeline
from drillster_pipeline.tables.schema import Column
from drillster_pipeline.warehouse import Warehouse, dialects
from drillster_pipeline.warehouse.dialects import Dialect
from tests.warehouse.support import account, day, load

COLUMN = '    text("owner_name", "Who owns the group.", "owner.fullName | owner.name"),\n'
TABLE = """

GROUP_LABELS = entity(
    "group_labels",
    "The labels of groups.",
    key("group_id", "The group.", "id", references="groups.group_id"),
    key("label", "The label.", "labelText"),
    integer("weight", "Its weight.", "counts.weight"),
    sources=("groups",),
)
"""
PROGRAM = """
import json, sys
from datetime import UTC, date, datetime
from drillster_pipeline.extract.batches import Page
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.orchestration.specs import column_lineage, column_schema, field_schemas
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.documents import data_dictionary, dbt_sources, subject_diagram
from drillster_pipeline.warehouse import CONTRACT, ddl

answer = {"groups": [{"id": "g", "owner": {"name": "Care"}, "labelText": "red", "counts": {"weight": 5}, "new": 1}]}
extractor = Extractor(export_date=date(2026, 1, 1), tables=("groups", "group_labels"))
pages = [("groups", Page({}, 1, datetime(2026, 1, 2, tzinfo=UTC), answer))]
loaded = {batch.table.name: json.loads(batch.frame.to_json(orient="records")) for batch in extractor.batches(pages)}
lineage = {
    f"{name}.{column}": [dep.column_name for dep in deps]
    for name in ("groups", "group_labels")
    for column, deps in column_lineage(DATA_TABLES[name]).deps_by_column.items()
}
print(json.dumps({
    "ddl": ddl("sqlite"), "dictionary": data_dictionary(CONTRACT), "dbt": dbt_sources(CONTRACT),
    "diagram": subject_diagram("People and groups", CONTRACT), "lineage": lineage, "loaded": loaded,
    "unknown": list(extractor.unknown_fields["groups"]),
    "fields": [column.name for column in field_schemas()["groups"].columns],
    "metadata": {name: [column.name for column in column_schema(DATA_TABLES[name]).columns] for name in loaded},
}))
"""


def extended(folder: Path) -> Mapping[str, Any]:
    """What the program says of itself with a column and a table more."""
    package = folder / "drillster_pipeline"
    shutil.copytree(Path(drillster_pipeline.__file__).parent, package)
    declarations, tables = package / "tables" / "people.py", package / "tables" / "__init__.py"
    text = declarations.read_text(encoding="utf-8")
    place = next(line for line in text.splitlines(keepends=True) if '"custom_reference"' in line)
    declarations.write_text(text.replace(place, place + COLUMN) + TABLE, encoding="utf-8")
    text = tables.read_text(encoding="utf-8")
    text = text.replace("from .people import ", "from .people import GROUP_LABELS, ")
    tables.write_text(
        text.replace("GROUP_MEMBERS, GROUP_STAFF),", "GROUP_MEMBERS, GROUP_STAFF, GROUP_LABELS),"), "utf-8"
    )
    run = [sys.executable, "-P", "-c", PROGRAM]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    described = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    found: Mapping[str, Any] = json.loads(described.stdout)
    return found


@pytest.mark.slow
def test_a_new_column_and_a_new_table_are_described_shown_by_dagster_and_loaded(tmp_path: Path) -> None:
    found = extended(tmp_path)
    assert "CREATE TABLE group_labels" in found["ddl"]
    assert "weight" in found["ddl"]
    assert found["ddl"].count("owner_name") == 2  # in the entity and in its history
    row = "| `owner_name` | text | yes | Who owns the group. | `groups: groups[].owner.fullName` |"
    assert row in found["dictionary"]
    assert "## group_labels_history" in found["dictionary"]
    assert "name: owner_name" in found["dbt"]
    assert 'groups ||--o{ group_labels : "group_id"' in found["diagram"]
    assert found["metadata"]["groups"].index("owner_name") == 4
    assert found["metadata"]["group_labels"][:3] == ["group_id", "label", "weight"]
    assert found["lineage"]["groups.owner_name"] == ["groups[].owner.fullName"]
    assert found["lineage"]["group_labels.weight"] == ["groups[].counts.weight"]
    assert {"groups[].owner.fullName", "groups[].labelText"} <= set(found["fields"])
    (group,), (label,) = found["loaded"]["groups"], found["loaded"]["group_labels"]
    assert (group["group_id"], group["owner_name"]) == ("g", "Care")
    assert [label[name] for name in ("group_id", "label", "weight")] == ["g", "red", 5]
    assert found["unknown"] == ["groups[].new"]


class MadeUp(SQLiteDialect_pysqlite):
    """A database that SQLAlchemy supports, and this package does not yet."""

    name = "made_up"
    supports_statement_cache = True


def test_a_database_without_a_dialect_of_its_own_is_called_not_tested(tmp_path: Path) -> None:
    registry.register("made_up", __name__, "MadeUp")
    warehouse = Warehouse(f"made_up:///{tmp_path}/warehouse.db")
    assert (warehouse.caution or "").startswith("made_up is not tested")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A dialect as its file would have it: how many rows it has written to each staging table."""
    registry.register("made_up", __name__, "MadeUp")
    monkeypatch.setattr(dialects, "_REGISTERED", dict(dialects._REGISTERED))
    monkeypatch.setattr(dialects, "_dialects", lambda: dialects._REGISTERED)
    found: dict[str, int] = {}

    class Ours(Dialect):
        names = ("made_up",)
        is_tested = True
        expressions = dialects.dialect_named("sqlite").expressions

        def to_driver(self, moment: Any) -> Any:
            return moment.isoformat()

        def timestamp_type(self) -> sa.Text:
            return sa.Text()

        def write(
            self,
            connection: sa.Connection,
            target: sa.Table,
            columns: Sequence[Column],
            frame: pd.DataFrame,
            first_row: int,
        ) -> None:
            found[target.name] = found.get(target.name, 0) + len(frame)
            super().write(connection, target, columns, frame, first_row)

    return found


def test_a_dialect_is_one_class_that_names_itself(written: dict[str, int], tmp_path: Path) -> None:
    warehouse = Warehouse(f"made_up:///{tmp_path}/warehouse.db")
    assert warehouse.caution is None
    warehouse.prepare()
    report = load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    load(warehouse, day(2), {"accounts": [account("a")]}, allow_mass_delete=True)
    assert report.tables["accounts"].rows_inserted == 2
    assert written == {"drillster_staged_accounts": 3}
    assert warehouse.row_counts(["accounts", "accounts_history"]) == {"accounts": 2, "accounts_history": 2}
    assert sa.inspect(warehouse.engine).get_view_names()
    warehouse.close()
