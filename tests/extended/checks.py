"""What tests/test_extending.py runs in a copy of the program to which it has added what CONTRIBUTING.md shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from starlette.responses import JSONResponse, Response

from drillster_pipeline.orchestration.specs import column_lineage, column_schema, field_schemas
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.documents import data_dictionary, dbt_sources, subject_diagram
from drillster_pipeline.warehouse import CONTRACT, Warehouse, ddl
from tests.drillster import Faults, FieldFault, Sandbox
from tests.orchestration.runs import checks_of, metadata_of
from tests.support.installation import DAY, NOW, Installation
from tests.warehouse.support import account, day, load

SUBJECT = {"id": "s", "name": "Safety", "counts": {"playables": 5}, "new": 1}
NEXT = timedelta(days=1)


def with_subjects(path: str, _query: str, response: Response) -> Response:
    return JSONResponse({"subjects": [SUBJECT], "total": 1}) if path.endswith("/subjects") else response


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """With a capture that was made before; Drillster names owners, and has subjects."""
    owner: Any = {"field": "owner", "what": "value", "value": {"name": "Noor"}}
    owners = Faults(fields=tuple(FieldFault(resource=name, **owner) for name in ("groups", "group")))
    with (
        Sandbox(accounts=40, seed=11, now=NOW, faults=owners) as sandbox,
        Installation(Path(os.environ["PREPARED"]), sandbox, now=NOW + NEXT, monkeypatch=monkeypatch) as made,
    ):
        sandbox.app.rewrite = with_subjects
        yield made


def failed_checks(installation: Installation, run_id: str) -> list[str]:
    return [name for name, passed in checks_of(installation.instance, run_id).items() if not passed]


def test_ddl_documents_and_metadata_follow_from_the_declarations() -> None:
    assert "CREATE TABLE catalog_subjects" in ddl("sqlite")
    assert ddl("sqlite").count("owner_name") == 2  # in the entity and in its history
    row = "| `owner_name` | text | yes | Who owns the group. *Personal.* | `groups: groups[].owner.fullName` |"
    assert row in data_dictionary(CONTRACT)
    assert "## catalog_subjects_history" in data_dictionary(CONTRACT)
    assert "name: owner_name" in dbt_sources(CONTRACT)
    assert 'catalogs ||--o{ catalog_subjects : "catalog_id"' in subject_diagram("Content", CONTRACT)
    groups, subjects = (DATA_TABLES[name] for name in ("groups", "catalog_subjects"))
    assert [column.name for column in column_schema("groups").columns].index("owner_name") == 4
    names = [column.name for column in column_schema("catalog_subjects").columns]
    assert names[:4] == ["catalog_id", "subject_id", "name", "playable_count"]
    for table, column, place in (
        (groups, "owner_name", "groups[].owner.fullName"),
        (subjects, "playable_count", "subjects[].counts.playables"),
    ):
        assert [dep.column_name for dep in column_lineage(table).deps_by_column[column]] == [place]
        assert place in [field.name for field in field_schemas()[table.name].columns]


def test_a_capture_of_before_is_replayed_and_the_next_one_has_the_new_column_and_resource(
    installation: Installation,
) -> None:
    replayed = installation.run(DAY)
    assert (replayed.errors, replayed.unexpected) == ((), ())
    shown = metadata_of(installation.instance, replayed.run_id)
    assert shown["drillster/catalog_subjects"]["status"] == "not captured"
    assert "warehouse/catalog_subjects" not in shown
    assert installation.rows("catalog_subjects") == {}
    assert failed_checks(installation, replayed.run_id) == [
        "drillster/catalog_subjects:complete",
        "warehouse/catalog_subjects:no_rejects",
    ]

    loaded = installation.run(DAY + NEXT)
    assert (loaded.errors, loaded.unexpected) == ((), ())
    shown = metadata_of(installation.instance, loaded.run_id)
    catalogs, subjects = installation.rows("catalogs"), installation.rows("catalog_subjects")
    assert {(catalog,) for catalog, _ in subjects} == catalogs.keys() != set()
    assert {(key, row["name"], row["playable_count"]) for (_, key), row in subjects.items()} == {("s", "Safety", 5)}
    groups, sizes = installation.rows("groups"), installation.rows("group_sizes")
    assert {key: row["members"] for key, row in sizes.items()} == {
        key: row["member_count"] for key, row in groups.items()
    }
    assert {"Noor"} <= {row["owner_name"] for row in groups.values()}
    assert "Noor" not in str(shown)  # it is personal
    captured = shown["drillster/catalog_subjects"]
    assert (captured["status"], captured["units"]) == ("captured", len(catalogs))
    assert failed_checks(installation, loaded.run_id) == ["warehouse/catalog_subjects:no_unknown_fields"]


class MadeUp(SQLiteDialect_pysqlite):
    """A database that SQLAlchemy knows, and this package by the file of its dialect."""

    name = "made_up"
    supports_statement_cache = True


class Unknown(MadeUp):
    """One that this package does not know."""

    name = "unknown"


def test_a_dialect_is_one_file_in_its_folder(tmp_path: Path) -> None:
    from drillster_pipeline.warehouse.dialects import made_up  # of the copy alone

    assert "run_id NVARCHAR(max) NULL" in ddl("mssql")
    for kind in (MadeUp, Unknown):
        registry.register(kind.name, __name__, kind.__name__)
    warehouse = Warehouse(f"made_up:///{tmp_path}/warehouse.db")
    warehouse.prepare()
    report = load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    load(warehouse, day(2), {"accounts": [account("a")]}, allow_mass_delete=True)
    assert warehouse.caution is None
    assert report.tables["accounts"].rows_inserted == 2
    assert made_up.written == {"drillster_staged_accounts": 3}
    assert warehouse.row_counts(["accounts", "accounts_history"]) == {"accounts": 2, "accounts_history": 2}
    assert (Warehouse(f"unknown:///{tmp_path}/other.db").caution or "").startswith("unknown is not tested")
