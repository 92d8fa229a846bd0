"""What the page of an asset shows: short enough to be shown in place, and nobody in it."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import dagster as dg
import pytest

from drillster_pipeline.orchestration import markdown
from drillster_pipeline.orchestration.columns import column_lineage, field_schemas
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES, Kind
from drillster_pipeline.warehouse.reads import preview_columns

from .houses import DAY, House, metadata_of, night_after

NEXT = DAY + timedelta(days=1)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (1234567, "1,234,567"),
        ("a|b", "a\\|b"),
        ("<img src=x> [a](b)", "\\<img src=x\\> \\[a\\](b)"),
        ("two\nlines", "two lines"),
        ("x" * 40, "x" * 27 + "…"),
    ],
)
def test_a_cell_holds_text_and_never_markdown(value: object, shown: str) -> None:
    assert markdown.cell(value) == shown


def test_a_table_that_would_be_too_long_to_be_shown_in_place_loses_rows_at_its_end() -> None:
    told = str(markdown.table(("name", "rows"), [(f"number {place}", place) for place in range(200)]).md_str)
    assert len(told) <= markdown.SHOWN_IN_PLACE
    assert "number 0|" in told
    assert "number 199|" not in told


def test_a_picture_is_drawing_and_words_and_is_shown_in_place() -> None:
    told = str(
        markdown.columns_picture([None, 0, 50, 100] + [75.0] * 6, most=100, first="a", last="b", told="four").md_str
    )
    assert len(told) <= markdown.SHOWN_IN_PLACE
    alt, _, content = told.partition("](data:image/svg+xml;base64,")
    assert alt == "![four"
    drawing = ET.fromstring(base64.b64decode(content.removesuffix(")")))  # noqa: S314 - our own
    assert [element.text for element in drawing.iter() if element.text] == ["a", "b"]


@pytest.mark.parametrize(("value", "drawn"), [(0, ""), (1, "▏"), (500, "████"), (1000, "████████")])
def test_a_bar_shows_whatever_is_there_at_all(value: int, drawn: str) -> None:
    assert markdown.bar(value, 1000) == drawn


def test_rows_are_shown_without_what_says_who_they_are_about() -> None:
    for table in DATA_TABLES.values():
        shown = {column.name for column in preview_columns(table)}
        assert not shown & {column.name for column in table.columns if column.personal}
        assert not shown & {"account_id", "member_key", "name" if table.name == "accounts" else ""}
        assert not any(column.references == "accounts.account_id" for column in preview_columns(table))


def test_lineage_leads_to_columns_that_the_captured_resources_have() -> None:
    fields = {resource: {column.name for column in schema.columns} for resource, schema in field_schemas().items()}
    assert set(fields) == set(RESOURCES)
    for table in DATA_TABLES.values():
        for deps in column_lineage(table).deps_by_column.values():
            for dep in deps:
                assert dep.column_name in fields[dep.asset_key.path[-1]]


def test_a_second_night_is_told_against_the_first(lived_in: House) -> None:
    house = lived_in
    house.at(night_after(NEXT))
    told = metadata_of(house.instance, house.night(NEXT).run_id)
    for name, table in DATA_TABLES.items():
        metadata: dict[str, Any] = told[f"warehouse/{name}"]
        rows = metadata["dagster/partition_row_count"]
        first = house.rows(
            "SELECT rows_inserted FROM load_tables JOIN loads USING (load_id) "
            "WHERE table_name = :t AND export_date = :d",
            t=name,
            d=str(DAY),
        )[0][0]
        change = "as many as" if rows == first else f"{abs(rows - first):,} {'more' if rows > first else 'fewer'} than"
        assert f"{change} on {DAY}" in metadata["in short"], name
        assert f"{DAY.day}\N{NO-BREAK SPACE}{DAY:%b}" in metadata["last nights"]
        assert metadata["whole"].startswith("Yes: ")
        assert ("dagster/row_count" in metadata) == (table.kind is not Kind.EVENT)
        for value in metadata.values():
            assert len(str(value)) <= markdown.SHOWN_IN_PLACE
    ((average, share),) = house.rows(
        "SELECT (SELECT AVG(proficiency) FROM results WHERE export_date = :d), "
        "(SELECT 100.0 * SUM(met) / COUNT(met) FROM objective_evaluations WHERE export_date = :d)",
        d=str(NEXT),
    )
    assert told["warehouse/results"]["average proficiency"] == pytest.approx(average, abs=0.05)
    assert told["warehouse/objective_evaluations"]["objectives met, %"] == pytest.approx(share, abs=0.05)


def test_the_pages_name_nobody_and_show_no_account(lived_in: House) -> None:
    house = lived_in
    house.at(night_after(NEXT))
    run_id = house.night(NEXT).run_id
    shown = str(metadata_of(house.instance, run_id))
    accounts = [key for (key,) in house.rows("SELECT account_id FROM accounts")]
    names = [name for (name,) in house.rows("SELECT name FROM accounts WHERE length(name) > 6")]
    assert len(accounts) > 20
    assert [word for word in [*accounts, *(key[:8] for key in accounts), *names] if word in shown] == []


def test_a_run_that_failed_is_tagged_with_what_it_failed_with(house: House) -> None:
    house.at(night_after(DAY + timedelta(days=3)))
    run = house.instance.get_run_by_id(house.night(DAY).run_id)
    assert isinstance(run, dg.DagsterRun)
    assert run.tags["drillster/failed_with"] == "past date refused"
