from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import yaml

from drillster_pipeline.tables import TABLES, Column, Kind, Table
from drillster_pipeline.tables.documents import _DRAWN as SUBJECTS
from drillster_pipeline.tables.documents import data_dictionary, entity_diagram, subject_diagram
from drillster_pipeline.tables.documents.dbt import dbt_sources
from drillster_pipeline.warehouse import CONTRACT

COLUMNS = [(table, column) for table in TABLES.values() for column in table.all_columns]
DICTIONARY = data_dictionary()
SOURCES = yaml.safe_load(dbt_sources())
DBT_TABLES = {table["name"]: table for table in SOURCES["sources"][0]["tables"]}


def _section(table: Table, document: str = DICTIONARY) -> str:
    return document.split(f"\n## {table.name}\n")[1].split("\n## ", maxsplit=1)[0]


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_the_dictionary_describes_every_table_and_column(table: Table) -> None:
    section = _section(table)
    assert table.description in section
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(table.all_columns)
    for row, column in zip(rows, table.all_columns, strict=True):
        assert f"`{column.name}`" in row
        assert column.description.replace("|", "\\|") in row
        assert (f"`{column.source}`" in row) == (column.source is not None)
        assert ("*Personal.*" in row) == column.personal


def test_every_row_of_every_grid_has_as_many_cells_as_its_head() -> None:
    width = 0
    for line in DICTIONARY.splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = width or cells
        assert cells == width, line


def test_every_link_of_the_dictionary_leads_somewhere() -> None:
    heads = {head.lower() for head in re.findall(r"^## (\S+)$", DICTIONARY, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", DICTIONARY))
    assert links <= heads
    assert set(TABLES) <= links


def test_the_dictionary_shows_a_diagram_of_each_subject() -> None:
    shown = re.findall(r"```mermaid\n(.*?)```", DICTIONARY, re.DOTALL)
    assert shown == [subject_diagram(subject) for subject in SUBJECTS]


@dataclass(frozen=True)
class _Named:
    name: str
    description: str
    columns: tuple[_Named, ...] = ()


def test_views_are_added_where_there_are_some() -> None:
    view = _Named("latest_load", "The newest load.", (_Named("kind", "Which | kind."),))
    document = data_dictionary(views=(view,))
    assert "## latest_load\n\nThe newest load." in document
    assert "| `kind` | Which \\| kind. |" in document
    assert "- [latest_load](#latest_load) (view)" in document


ENTITY = re.compile(r"    (\w+) \{\n((?:        \w+ \w+(?: PK| FK| PK, FK)?\n)+)    \}\n")
RELATION = re.compile(r'    (\w+) (?:\|\||\|o)(--|\.\.)o\{ (\w+) : "(\w+)"\n')


DIAGRAMS = {
    "all": entity_diagram(CONTRACT),
    **{subject: subject_diagram(subject, CONTRACT) for subject in SUBJECTS},
}


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_holds_entities_and_relations_and_nothing_else(name: str) -> None:
    assert re.fullmatch(
        f"erDiagram\n(?:    direction LR\n)?(?:{ENTITY.pattern})+(?:{RELATION.pattern})+", DIAGRAMS[name]
    )


def _joining(table: Table) -> list[Column]:
    return [column for column in table.columns if column.name in table.key or column.references or column.joins]


def test_a_table_is_drawn_with_its_keys_and_with_what_joins_it_to_others() -> None:
    for name, attributes in ENTITY.findall(DIAGRAMS["all"]):
        table = CONTRACT[name]
        drawn = [line.split(maxsplit=2) for line in attributes.splitlines()]
        assert [(kind, column) for kind, column, *_ in drawn] == [(c.type.value, c.name) for c in _joining(table)]
        assert tuple(column for _, column, *marks in drawn if "PK" in "".join(marks)) == table.key


def test_every_table_that_refers_to_another_is_drawn_in_one_subject() -> None:
    drawn = [name for subject in SUBJECTS for name, _ in ENTITY.findall(DIAGRAMS[subject])]
    assert sorted(drawn) == sorted(set(drawn)) == sorted(name for name, _ in ENTITY.findall(DIAGRAMS["all"]))
    kinds = {Kind.ENTITY, Kind.SNAPSHOT, Kind.EVENT}
    assert set(drawn) == {name for names in SUBJECTS.values() for name in names}
    assert set(drawn) >= {name for name, table in TABLES.items() if table.kind in kinds}


def _drawn_relations(diagram: str) -> set[tuple[str, ...]]:
    return {(parent, line, child, column) for parent, line, child, column in RELATION.findall(diagram)}


def _relations(tables: dict[str, Table]) -> set[tuple[str, ...]]:
    expected: set[tuple[str, ...]] = set()
    for table in tables.values():
        for column in table.columns:
            if column.references:
                expected.add((column.references.split(".")[0], "--", table.name, column.name))
            if column.joins:
                expected.add((column.joins.split(".")[0], "..", table.name, column.name))
    return expected


def test_every_reference_is_drawn_in_the_diagram_of_all_and_in_one_of_a_subject() -> None:
    expected = _relations({name: table for name, table in CONTRACT.items() if name in DIAGRAMS["all"]})
    assert _drawn_relations(DIAGRAMS["all"]) == expected
    of_subjects = [_drawn_relations(DIAGRAMS[subject]) for subject in SUBJECTS]
    assert set.union(*of_subjects) == expected
    assert sum(map(len, of_subjects)) == len(expected)


def test_the_dbt_sources_are_one_source_with_every_table_and_column() -> None:
    (source,) = SOURCES["sources"]
    assert SOURCES["version"] == 2
    assert source["schema"] == "{{ target.schema }}"
    assert list(DBT_TABLES) == list(TABLES)
    for name, table in TABLES.items():
        assert DBT_TABLES[name]["description"] == table.description
        told = [(column["name"], column["description"]) for column in DBT_TABLES[name]["columns"]]
        assert told == [(column.name, column.description) for column in table.all_columns]


def _tests(table: Table, column: Column) -> list[object]:
    """A test that has settings only because it is limited to some rows counts by its name."""
    (told,) = [one for one in DBT_TABLES[table.name]["columns"] if one["name"] == column.name]
    tests = told.get("data_tests", [])
    return [
        next(iter(one)) if isinstance(one, dict) and not next(iter(one.values())).get("arguments") else one
        for one in tests
    ]


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda one: one.name)
def test_dbt_tests_what_the_declaration_promises(table: Table, column: Column) -> None:
    tests = _tests(table, column)
    assert ("not_null" in tests) == (not column.nullable)
    assert ("unique" in tests) == (table.key == (column.name,))
    relations = [one["relationships"]["arguments"] for one in tests if isinstance(one, dict) and "relationships" in one]
    if column.references and not (table.kind is not Kind.BOOKKEEPING and column.name == "load_id"):
        parent, field = column.references.split(".")
        assert relations == [{"to": f"source('drillster', '{parent}')", "field": field}]
    else:
        assert relations == []
    accepted = [one["accepted_values"] for one in tests if isinstance(one, dict) and "accepted_values" in one]
    assert [tuple(one["arguments"]["values"]) for one in accepted] == ([column.values] if column.values else [])


@pytest.mark.parametrize("table", [t for t in TABLES.values() if len(t.key) > 1], ids=lambda table: table.name)
def test_dbt_tests_that_a_key_of_several_columns_is_unique(table: Table) -> None:
    (test,) = DBT_TABLES[table.name]["data_tests"]
    parts = test["unique"]["arguments"]["column_name"].split(" || '|' || ")
    assert tuple(re.sub(r"^cast\((\w+) as varchar\(40\)\)$", r"\1", part) for part in parts) == table.key


def test_dbt_tests_the_newest_date_alone_of_tables_that_keep_every_date() -> None:
    written = yaml.safe_load(dbt_sources(schema="HR data", database="warehouse"))["sources"][0]["tables"]
    limits: dict[str, set[str | None]] = {}
    for told in written:
        tests = [test for each in (told, *told["columns"]) for test in each.get("data_tests", [])]
        limits[told["name"]] = {
            settings.get("config", {}).get("where")
            for test in tests
            for settings in (test.values() if isinstance(test, dict) else [{}])
        }
    for name, table in TABLES.items():
        newest = f'export_date = (select max(export_date) from warehouse."HR data".{name})'
        assert limits[name] == ({newest} if table.kind is Kind.SNAPSHOT else {None}), name
    assert "from {{ target.schema }}.results)" in dbt_sources()


def test_dbt_asks_how_fresh_what_every_night_writes_is() -> None:
    """Of other tables, a row that did not change keeps its loaded_at, however fresh the read."""
    asked = {name: table["config"] for name, table in DBT_TABLES.items() if "freshness" in table["config"]}
    assert set(asked) == {"loads", *(name for name, table in TABLES.items() if table.kind is Kind.SNAPSHOT)}
    assert {name: config["loaded_at_field"] for name, config in asked.items() if name != "loads"} == dict.fromkeys(
        asked.keys() - {"loads"}, "loaded_at"
    )
    assert asked["loads"]["loaded_at_field"] == "finished_at"
    for config in asked.values():
        assert config["freshness"]["warn_after"]["count"] < config["freshness"]["error_after"]["count"]


def test_schema_and_database_can_be_named() -> None:
    (source,) = yaml.safe_load(dbt_sources(schema="drillster", database="warehouse"))["sources"]
    assert (source["database"], source["schema"]) == ("warehouse", "drillster")
    assert "database" not in SOURCES["sources"][0]


def test_views_are_sources_too() -> None:
    view = _Named("latest_load", "The newest load.", (_Named("kind", "Which kind."),))
    *_, told = yaml.safe_load(dbt_sources(views=(view,)))["sources"][0]["tables"]
    assert (told["name"], told["description"]) == ("latest_load", "The newest load.")
    assert told["columns"] == [{"name": "kind", "description": "Which kind."}]


def test_what_is_personal_is_marked_for_dbt() -> None:
    marked = {
        (table, column["name"])
        for table, told in DBT_TABLES.items()
        for column in told["columns"]
        if column.get("config", {}).get("meta", {}).get("personal")
    }
    assert marked == {(table.name, column.name) for table, column in COLUMNS if column.personal}
