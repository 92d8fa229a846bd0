from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import (
    DATA_TABLES,
    HISTORY_TABLES,
    TABLES,
    Column,
    Kind,
    Table,
    Type,
    resources_of,
    tables_of,
)

CONTRACT = {
    "organizations": "organization_id | name email_address locale domicile contract_type contract_created_at "
    "contract_expires_at group_member_quota privacy_location",
    "accounts": "account_id | name email_address locale domicile time_zone year_of_birth status is_managed is_admin "
    "repertoire_size organization_id created_at last_login_at",
    "account_external_ids": "account_id third_party external_id |",
    "groups": "group_id | name description custom_reference member_count drillable_count test_count is_sensitive "
    "created_at last_edited_at",
    "group_members": "group_id member_key | account_id name email_address status joined_at invited_at",
    "group_staff": "group_id account_id | permission",
    "playables": "playable_id | type name",
    "group_playables": "group_id playable_id | type",
    "catalogs": "catalog_id | name description organization_id playable_count",
    "catalog_playables": "catalog_id playable_id | type",
    "objectives": "objective_id | group_id name type review_at minimum_proficiency falling_minimum_proficiency "
    "estimated_study_seconds",
    "objective_playables": "objective_id playable_id |",
    "objective_evaluations": "export_date objective_id account_id | group_id met proficiency evaluated_at review_at "
    "minimum_proficiency captured_at",
    "results": "export_date group_id account_id playable_id | proficiency receptive_proficiency "
    "productive_proficiency highest_proficiency eventual_proficiency time_spent_seconds expected_duration_seconds "
    "last_practiced_at added_at captured_at",
    "objective_events": "event_id | objective_id account_id group_id event_type occurred_at proficiency",
    "test_results": "test_result_id | test_id group_id account_id started_at completed_at duration_minutes "
    "question_count correctly_answered progress score_percentage passed",
    "test_result_scores": "test_result_id transformation_id | result passed percentage",
    "test_result_drills": "test_result_id drill_id | score_percentage",
    "loads": "load_id | run_id export_date kind started_at finished_at captured_from captured_until archive_url "
    "program_version",
    "load_tables": "load_id table_name | rows_read rows_rejected rows_inserted rows_updated rows_deleted "
    "rows_unchanged",
    "rejected_rows": "load_id table_name row_number | reason record",
}
"""The warehouse contract: key | other columns. Columns may be added, none renamed or dropped."""

SUFFIXES = {"_at": {Type.TIMESTAMP}, "_on": {Type.DATE}, "_id": {Type.TEXT}, "_seconds": {Type.INTEGER}}
COLUMNS = [(table, column) for table in TABLES.values() for column in table.all_columns]


def names_of(*columns: tuple[Table, Column]) -> list[str]:
    return [f"{table.name}.{column.name}" for table, column in columns]


def test_the_tables_are_those_of_the_contract_and_the_history_of_each_entity() -> None:
    entities = {name for name in CONTRACT if TABLES[name].kind is Kind.ENTITY}
    assert set(TABLES) == {*CONTRACT, *(f"{name}_history" for name in entities)}
    assert len(entities) == 12


def test_a_table_and_its_history_have_the_columns_and_key_of_the_contract() -> None:
    for name, declared in CONTRACT.items():
        key, others = (part.split() for part in declared.split("|"))
        table = TABLES[name]
        assert table.key == tuple(key)
        assert [column.name for column in table.columns][: len(key) + len(others)] == key + others
        if table.kind is Kind.ENTITY:
            history = TABLES[f"{name}_history"]
            assert history.key == (*key, "valid_from")
            assert [column.name for column in history.columns] == [*key, "valid_from", "valid_until", *others]


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


def test_a_kind_decides_key_and_managed_columns() -> None:
    for table in TABLES.values():
        names = {column.name for column in table.managed_columns}
        assert (table.key[0] == "export_date") == (table.kind is Kind.SNAPSHOT)
        assert ({"row_hash", "deleted_on", "first_seen_on", "last_seen_on"} <= names) == (table.kind is Kind.ENTITY)


def test_what_says_who_a_person_is_is_personal() -> None:
    personal = set(names_of(*((table, column) for table, column in COLUMNS if column.personal)))
    of_history = {name for name in personal if name.partition(".")[0] in HISTORY_TABLES}
    assert {name.replace("_history", "") for name in of_history} == personal - of_history
    assert personal - of_history == {
        *("accounts.name", "accounts.email_address", "accounts.year_of_birth", "account_external_ids.external_id"),
        *("group_members.member_key", "group_members.name", "group_members.email_address"),
    }


def test_a_snapshot_and_the_events_publish_each_data_table_once() -> None:
    assert tables_of("events") == ("objective_events",)
    assert sorted(tables_of("snapshot") + tables_of("events")) == sorted(DATA_TABLES)


@pytest.mark.parametrize(
    ("tables", "resources"),
    [
        ((), ()),
        (("results",), ("results",)),
        (("objective_evaluations",), ("objectives", "objective_evaluations")),
        (("group_playables", "organizations"), ("organization", "groups", "group_drillables")),
        (tuple(DATA_TABLES), tuple(RESOURCES)),
    ],
    ids=["nothing", "results", "evaluations with their norm", "two tables", "everything"],
)
def test_resources_of_tables_are_those_they_are_read_from_in_the_order_of_the_walk(tables: Any, resources: Any) -> None:
    assert resources_of(tables) == resources
