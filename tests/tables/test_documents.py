from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from jinja2 import Template

from drillster_pipeline.tables import SUBJECTS, TABLES, Kind
from drillster_pipeline.tables.documents import data_dictionary, dbt_sources, entity_diagram, subject_diagram
from drillster_pipeline.warehouse import CONTRACT

DICTIONARY = data_dictionary()
SOURCES = yaml.safe_load(dbt_sources())
DBT_TABLES = {table["name"]: table for table in SOURCES["sources"][0]["tables"]}
DRAWN = [*SUBJECTS, "Bookkeeping"]


@dataclass(frozen=True)
class _View:
    name: str
    description: str
    columns: Mapping[str, str]


VIEW = _View("latest_load", "The newest load.", {"kind": "Which | kind."})


def test_the_dictionary_describes_every_table_and_column() -> None:
    for table in TABLES.values():
        section = DICTIONARY.split(f"\n## {table.name}\n")[1].split("\n## ", maxsplit=1)[0]
        assert table.description in section
        rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
        for row, column in zip(rows, table.all_columns, strict=True):
            assert f"`{column.name}`" in row
            assert column.description.replace("|", "\\|") in row
            assert (f"`{column.source}`" in row) == (column.source is not None)
            assert ("*Personal.*" in row) == column.personal


def test_every_link_of_the_dictionary_leads_somewhere_and_views_are_described_too() -> None:
    document = data_dictionary(views=(VIEW,))
    links = set(re.findall(r"\]\(#([^)]+)\)", document))
    assert {*TABLES, "latest_load"} <= links <= {*re.findall(r"^## (\S+)$", document, re.MULTILINE)}
    assert "## latest_load\n\nThe newest load." in document
    assert "| `kind` | Which \\| kind. |" in document


def test_the_dictionary_shows_a_diagram_of_each_subject() -> None:
    shown = re.findall(r"```mermaid\n(.*?)```", DICTIONARY, re.DOTALL)
    assert shown == [subject_diagram(subject) for subject in DRAWN]


ENTITY = re.compile(r"    (\w+) \{\n((?:        \w+ \w+(?: PK| FK| PK, FK)?\n)+)    \}\n")
RELATION = re.compile(r'    (\w+) (?:\|\||\|o)(--|\.\.)o\{ (\w+) : "(\w+)"\n')
DIAGRAMS = {"all": entity_diagram(CONTRACT), **{subject: subject_diagram(subject, CONTRACT) for subject in DRAWN}}


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_has_entities_and_relations_and_nothing_else(name: str) -> None:
    form = f"erDiagram\n(?:    direction LR\n)?(?:{ENTITY.pattern})+(?:{RELATION.pattern})+"
    assert re.fullmatch(form, DIAGRAMS[name])


def test_a_table_is_drawn_in_one_subject_with_its_keys_and_what_joins_it_to_others() -> None:
    for name, attributes in ENTITY.findall(DIAGRAMS["all"]):
        table = CONTRACT[name]
        drawn = [line.split(maxsplit=2) for line in attributes.splitlines()]
        joining = [one for one in table.columns if one.name in table.key or one.references or one.joins]
        assert [(kind, column) for kind, column, *_ in drawn] == [(one.type.value, one.name) for one in joining]
        assert tuple(column for _, column, *marks in drawn if "PK" in "".join(marks)) == table.key
    names = [name for subject in DRAWN for name, _ in ENTITY.findall(DIAGRAMS[subject])]
    assert sorted(names) == sorted(set(names)) == sorted(name for name, _ in ENTITY.findall(DIAGRAMS["all"]))
    kinds = {Kind.ENTITY, Kind.SNAPSHOT, Kind.EVENT}
    assert set(names) >= {name for name, table in TABLES.items() if table.kind in kinds}


def test_every_reference_is_drawn_in_the_diagram_of_all_and_in_one_of_a_subject() -> None:
    expected = {
        (target.split(".")[0], line, table.name, column.name)
        for name, table in CONTRACT.items()
        if f"    {name} {{" in DIAGRAMS["all"]
        for column in table.columns
        for target, line in ((column.references, "--"), (column.joins, ".."))
        if target
    }
    assert set(RELATION.findall(DIAGRAMS["all"])) == expected
    of_subjects = [set(RELATION.findall(DIAGRAMS[subject])) for subject in DRAWN]
    assert set.union(*of_subjects) == expected
    assert sum(map(len, of_subjects)) == len(expected)


def test_the_dbt_sources_have_every_table_column_and_view() -> None:
    assert (SOURCES["version"], SOURCES["sources"][0]["schema"]) == (2, "{{ var('drillster_schema', target.schema) }}")
    assert list(DBT_TABLES) == list(TABLES)
    for name, table in TABLES.items():
        columns = [(column["name"], column["description"]) for column in DBT_TABLES[name]["columns"]]
        assert columns == [(column.name, column.description) for column in table.all_columns]
        personal = [one["name"] for one in DBT_TABLES[name]["columns"] if one.get("config", {}).get("meta", {})]
        assert personal == [column.name for column in table.all_columns if column.personal]
    *_, view = yaml.safe_load(dbt_sources(views=(VIEW,)))["sources"][0]["tables"]
    assert (view["name"], view["columns"]) == ("latest_load", [{"name": "kind", "description": "Which | kind."}])


def _relationship(table: str, field: str) -> dict[str, Any]:
    return {"relationships": {"arguments": {"to": f"source('drillster', '{table}')", "field": field}}}


_TYPES = {"arguments": {"values": ["ONEOFF", "PERMANENT", "RECURRING", "TEST"]}, "config": {"severity": "warn"}}
PROMISES: dict[str, list[Any]] = {
    "groups.group_id": ["unique", "not_null"],
    "groups.name": [],
    "groups.load_id": ["not_null"],
    "group_members.group_id": ["not_null", _relationship("groups", "group_id")],
    "load_tables.load_id": ["not_null", _relationship("loads", "load_id")],
    "objectives.type": [{"accepted_values": _TYPES}],
}


def test_dbt_tests_what_declarations_promise() -> None:
    for name, tests in PROMISES.items():
        table, column = name.split(".")
        (described,) = [one for one in DBT_TABLES[table]["columns"] if one["name"] == column]
        assert described.get("data_tests", []) == tests
    (unique,) = DBT_TABLES["catalog_playables"]["data_tests"]
    assert unique["unique"]["arguments"]["column_name"] == "catalog_id || '|' || playable_id"


def _wheres(sources: str, **variables: str) -> dict[str, set[str]]:
    """Per table, what its tests are limited to, for dbt's variables."""
    (source,) = yaml.safe_load(sources)["sources"]
    found: dict[str, set[str]] = {}
    for described in source["tables"]:
        tests = [test for each in (described, *described["columns"]) for test in each.get("data_tests", [])]
        settings = [one for test in tests for one in (test.values() if isinstance(test, dict) else [{}])]
        conditions = [one.get("config", {}).get("where", "") for one in settings]
        rendered = {Template(text).render(var=variables.get, target={"schema": "models"}) for text in conditions}
        found[described["name"]] = rendered
    return found


@pytest.mark.parametrize(
    ("options", "variables", "rows"),
    [
        ({}, {}, "models.results"),
        ({}, {"drillster_schema": "hr"}, "hr.results"),
        ({}, {"drillster_location": "sqlite_scan('w', '{name}')"}, "sqlite_scan('w', 'results')"),
        ({"schema": "HR data", "database": "warehouse"}, {}, 'warehouse."HR data".results'),
    ],
)
def test_dbt_tests_the_newest_date_alone_of_tables_that_keep_every_date(
    options: dict[str, str], variables: dict[str, str], rows: str
) -> None:
    found = _wheres(dbt_sources(**options), **variables)
    for name, conditions in found.items():
        of_table = f"export_date = (select max(export_date) from {rows.replace('results', name)})"
        assert conditions == {of_table if TABLES[name].kind is Kind.SNAPSHOT else ""}, name


def test_dbt_asks_how_fresh_what_every_run_writes_is() -> None:
    """Of other tables, a row that did not change keeps its loaded_at, however fresh the read."""
    fresh = {name: table["config"] for name, table in DBT_TABLES.items() if "freshness" in table["config"]}
    snapshots = {name for name, table in TABLES.items() if table.kind is Kind.SNAPSHOT}
    expected = {**dict.fromkeys(snapshots, "loaded_at"), "loads": "finished_at"}
    assert {name: re.findall(r"cast\((\w+) as", config["loaded_at_field"]) for name, config in fresh.items()} == {
        name: [column] for name, column in expected.items()
    }
    for config in fresh.values():
        assert config["freshness"]["warn_after"]["count"] < config["freshness"]["error_after"]["count"]
