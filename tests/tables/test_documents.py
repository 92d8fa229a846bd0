from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import yaml

from drillster_pipeline.tables import TABLES, Column, Kind, Table
from drillster_pipeline.tables.documents import data_dictionary, dbt_sources, entity_diagram

COLUMNS = [(table, column) for table in TABLES.values() for column in table.all_columns]
DRAWN = {name: table for name, table in TABLES.items() if table.kind is not Kind.HISTORY}
DICTIONARY = data_dictionary()
DIAGRAM = entity_diagram()
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


def test_the_dictionary_shows_the_diagram() -> None:
    assert f"```mermaid\n{DIAGRAM}```" in DICTIONARY


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


def test_the_diagram_holds_entities_and_relations_and_nothing_else() -> None:
    assert re.fullmatch(f"erDiagram\n(?:{ENTITY.pattern})+(?:{RELATION.pattern})+", DIAGRAM)


def test_the_diagram_shows_every_table_but_histories_with_its_columns_and_keys() -> None:
    drawn = dict(ENTITY.findall(DIAGRAM))
    assert list(drawn) == list(DRAWN)
    for name, table in DRAWN.items():
        attributes = [line.split(maxsplit=2) for line in drawn[name].splitlines()]
        assert [(kind, column) for kind, column, *_ in attributes] == [(c.type.value, c.name) for c in table.columns]
        assert tuple(column for _, column, *marks in attributes if "PK" in "".join(marks)) == table.key


def test_the_diagram_draws_every_reference_between_entities_that_it_shows() -> None:
    drawn = {(parent, line, child, column) for parent, line, child, column in RELATION.findall(DIAGRAM)}
    expected = set()
    for table in DRAWN.values():
        for column in table.columns:
            if column.references:
                expected.add((column.references.split(".")[0], "--", table.name, column.name))
            if column.joins:
                expected.add((column.joins.split(".")[0], "..", table.name, column.name))
    assert drawn == expected


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
    (told,) = [one for one in DBT_TABLES[table.name]["columns"] if one["name"] == column.name]
    return told.get("data_tests", [])


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


def test_dbt_asks_the_loads_how_fresh_the_data_is() -> None:
    """Of other tables, a row that did not change keeps its loaded_at, however fresh the read."""
    asked = {name for name, table in DBT_TABLES.items() if "freshness" in table["config"]}
    assert asked == {"loads"}
    config = DBT_TABLES["loads"]["config"]
    assert config["loaded_at_field"] == "finished_at"
    assert config["freshness"]["warn_after"]["count"] < config["freshness"]["error_after"]["count"]


def test_a_schema_can_be_named() -> None:
    assert yaml.safe_load(dbt_sources(schema="drillster"))["sources"][0]["schema"] == "drillster"


def test_what_is_personal_is_marked_for_dbt() -> None:
    marked = {
        (table, column["name"])
        for table, told in DBT_TABLES.items()
        for column in told["columns"]
        if column.get("config", {}).get("meta", {}).get("personal")
    }
    assert marked == {(table.name, column.name) for table, column in COLUMNS if column.personal}
