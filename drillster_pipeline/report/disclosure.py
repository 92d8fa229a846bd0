"""The page for a person with all that there is of that person: one HTML file that needs nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from drillster_pipeline.language import Language
from drillster_pipeline.tables import Table

from .page import environment_of

_TEMPLATE = Path(__file__).with_name("disclosure.html.j2")
MOST_ROWS = 200
"""Rows of a table that the page shows: the JSON has them all."""


def label(name: str) -> str:
    """The name of a table or a column as words."""
    return name.removesuffix("_id").replace("_", " ")


def render(found: Mapping[str, Any], tables: Mapping[str, Table], language: Language) -> str:
    """The disclosure as HTML; ``tables`` describe its rows."""

    def time(value: str) -> str:
        clock = f" {value[11:16]}" if "T" in value else ""
        return language.numeric_day(datetime.fromisoformat(value)) + clock

    environment = environment_of(language)
    environment.filters |= {
        "label": lambda name: language.translated(label(name)),
        "time": time,
        # Translators: between ones and tenths
        "decimal": lambda value: f"{value:g}".replace(".", language.translated(".")),
    }
    shown = {}
    for name, rows in found["tables"].items():
        # Not the account id in every row, nor what is never given.
        said_already = {None} if name == "accounts" else {None, found["account_id"]}
        columns = [column for column in tables[name].columns if {row[column.name] for row in rows} - said_already]
        newest = sorted(rows, key=lambda row: str(row.get("export_date", "")), reverse=True)
        shown[name] = (tables[name].description, columns, newest[:MOST_ROWS], len(rows))
    responses = Counter((each["capture"], each["resource"]) for each in found["responses"])
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        found=found,
        language=language.code,
        tables=shown,
        responses=sorted(responses.items(), reverse=True),
        most_rows=MOST_ROWS,
    )
