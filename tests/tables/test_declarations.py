"""Declarations keep what earlier versions wrote, and follow the conventions."""

from __future__ import annotations

import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import (
    DATA_TABLES,
    HISTORY_TABLES,
    TABLES,
    Column,
    Kind,
    Table,
    Type,
)
from drillster_pipeline.warehouse import CONTRACT

EARLIER = next((Path(__file__).parents[1] / "compat").glob("written_by_*.zip"))
"""What an earlier version wrote, a warehouse among it."""

SUFFIXES = {"_at": {Type.TIMESTAMP}, "_on": {Type.DATE}, "_id": {Type.TEXT}, "_seconds": {Type.INTEGER}}
COLUMNS = [(table, column) for table in TABLES.values() for column in table.all_columns]


def names_of(*columns: tuple[Table, Column]) -> list[str]:
    return [f"{table.name}.{column.name}" for table, column in columns]


def test_an_entity_table_has_a_history_with_the_same_columns() -> None:
    entities = [table for table in TABLES.values() if table.kind is Kind.ENTITY]
    assert {f"{table.name}_history" for table in entities} == set(HISTORY_TABLES)
    for table in entities:
        key, names = table.key, [column.name for column in table.columns if column.name not in table.key]
        history = TABLES[f"{table.name}_history"]
        assert history.key == (*key, "valid_from")
        assert [column.name for column in history.columns] == [*key, "valid_from", "valid_until", *names]


def test_no_table_and_no_column_of_an_earlier_version_is_renamed_dropped_or_moved(tmp_path: Path) -> None:
    with zipfile.ZipFile(EARLIER) as written:
        file = written.extract("warehouse.sqlite", tmp_path)
    with closing(sqlite3.connect(file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert set(names) <= CONTRACT.keys()
        for name in names:
            earlier = [(row[1], row[5]) for row in connection.execute(f"PRAGMA table_info({name})")]
            assert CONTRACT[name].key == tuple(column for column, place in earlier if place)
            known = {column for column, _ in earlier}
            now = [column.name for column in CONTRACT[name].all_columns if column.name in known]
            assert sorted(now) == sorted(known), name
            data = [column.name for column in CONTRACT[name].columns]
            assert [one for one, _ in earlier if one in data] == [one for one in data if one in known], name


def test_no_column_breaks_the_conventions() -> None:
    """None of a key is NULL, each is described in a sentence, and its name says its type."""
    assert not any(column.nullable for table, column in COLUMNS if column.name in table.key)
    sentences = [column.description for _, column in COLUMNS]
    assert all((text[0].isupper() or text[0] == "'") and text.endswith(".") for text in sentences)
    misnamed = [
        (table, column)
        for table, column in COLUMNS
        for suffix, types in SUFFIXES.items()
        if column.name.endswith(suffix) and column.type not in types
    ]
    assert names_of(*misnamed) == []
    percentages = [column for _, column in COLUMNS if column.name.endswith(("proficiency", "percentage"))]
    assert {(column.minimum, column.maximum) for column in percentages} == {(0, 100)}
    assert len(COLUMNS) == len(set(names_of(*COLUMNS)))


def test_a_reference_points_to_the_complete_key_of_a_table_that_comes_first() -> None:
    order = list(TABLES)
    for table, column in COLUMNS:
        for target in filter(None, (column.references, column.joins)):
            parent, field = target.split(".")
            assert TABLES[parent].key == (field,)
            assert not column.references or order.index(parent) < order.index(table.name), column.name


def test_every_column_of_a_data_table_says_where_it_comes_from() -> None:
    for table in DATA_TABLES.values():
        read = {*table.sources, *table.secondary_sources}
        assert table.sources
        assert read <= set(RESOURCES)
        resources = {column.source.split(":")[0] if column.source else column.name for column in table.columns}
        assert resources <= {*read, "export_date"}


def test_what_says_who_a_person_is_is_personal() -> None:
    personal = set(names_of(*((table, column) for table, column in COLUMNS if column.personal)))
    of_history = {name for name in personal if name.partition(".")[0] in HISTORY_TABLES}
    assert {name.replace("_history", "") for name in of_history} == personal - of_history
    assert personal - of_history >= {
        *("accounts.name", "accounts.email_address", "accounts.year_of_birth", "account_external_ids.external_id"),
        *("group_members.member_key", "group_members.name", "group_members.email_address"),
    }
