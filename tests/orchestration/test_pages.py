"""What the page of an asset shows: short enough to be shown in place, and nobody in it."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import dagster as dg
import pytest

from drillster_pipeline.orchestration.specs import column_lineage, field_schemas
from drillster_pipeline.report.charts import picture
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES, Kind
from drillster_pipeline.warehouse.reads import preview_columns

from .houses import DAY, House, metadata_of, night_after

SHOWN_IN_PLACE = 1_000
"""Characters of a Markdown entry that the UI shows in place; a longer one is behind a button."""
NEXT = DAY + timedelta(days=1)


def test_a_picture_is_drawing_and_words_and_is_shown_in_place() -> None:
    told = picture([None, 0, 50, 100] + [75.0] * 6, most=100, first="a", last="b", words="four")
    assert len(told) < SHOWN_IN_PLACE
    alt, _, content = told.partition("](data:image/svg+xml;base64,")
    assert alt == "![four"
    drawing = ET.fromstring(base64.b64decode(content.removesuffix(")")))  # noqa: S314 - our own
    assert [element.text for element in drawing.iter() if element.text] == ["a", "b"]


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
        assert f"{change} on {DAY}" in metadata["summary"], name
        assert metadata["last_dates"].startswith(f"![Rows, {DAY}: {first:,}, {NEXT}: {rows:,}](")
        assert metadata["complete"].startswith("Yes: ")
        assert ("dagster/row_count" in metadata) == (table.kind is not Kind.EVENT)
        assert all(len(metadata.get(name, "")) < SHOWN_IN_PLACE for name in ("last_dates", "spread_of_proficiency"))
    ((average, share),) = house.rows(
        "SELECT (SELECT AVG(proficiency) FROM results WHERE export_date = :d), "
        "(SELECT 100.0 * SUM(met) / COUNT(met) FROM objective_evaluations WHERE export_date = :d)",
        d=str(NEXT),
    )
    assert told["warehouse/results"]["average_proficiency"] == pytest.approx(average, abs=0.05)
    assert told["warehouse/objective_evaluations"]["objectives_met_percentage"] == pytest.approx(share, abs=0.05)


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
    assert run.tags["drillster/error_type"] == "past date refused"
