"""The tables as dbt sources: descriptions, tests that the loader's promises imply, and freshness.

Written for dbt 1.10.5 and later (``config``, ``data_tests`` with ``arguments``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from drillster_pipeline.tables import TABLES
from drillster_pipeline.tables.schema import Column, Kind, Table, Type

from . import DescribedView

SOURCE = "drillster"
_TARGET = "{{ target.schema }}"
_FRESHNESS = {
    # A day and a morning: the newest load is older than this only if a run was missed.
    "warn_after": {"count": 30, "period": "hour"},
    "error_after": {"count": 54, "period": "hour"},
}
_HEADER = """\
# Made by: drillster-pipeline schema --format dbt
# Freshness is tested on `loads`, and on what every run writes anew: a row of another table that did not change keeps
# its loaded_at, and a run may have no events. Of tables with a row per date, tests read the newest date alone.
"""


def dbt_sources(
    tables: Mapping[str, Table] = TABLES,
    views: Sequence[DescribedView] = (),
    *,
    schema: str | None = None,
    database: str | None = None,
) -> str:
    """A ``sources.yml`` of tables and views; what is not named is the schema and database of the project's target."""
    place = ".".join(map(_identifier, [*([database] if database else []), schema or _TARGET]))
    source = {
        "name": SOURCE,
        "description": "Drillster's data, export date by export date; loaded by drillster-pipeline.",
        "loader": "drillster-pipeline",
        **({"database": database} if database else {}),
        "schema": schema or _TARGET,
        "tables": [*(_table(table, place) for table in tables.values()), *(_view(view) for view in views)],
    }
    document = {"version": 2, "sources": [source]}
    # Through JSON, so that nothing is the same object and needs a YAML alias.
    text: str = yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False, allow_unicode=True, width=1_000)
    return _HEADER + text


def _identifier(name: str) -> str:
    return name if name == _TARGET or re.fullmatch("[a-z_][a-z0-9_]*", name) else f'"{name}"'


def _table(table: Table, place: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "meta": {"kind": table.kind.value, "key": list(table.key), "resources": list(table.sources)}
    }
    if table.name == "loads":
        config |= {"loaded_at_field": "finished_at", "freshness": {**_FRESHNESS, "filter": "kind = 'snapshot'"}}
    elif table.kind is Kind.SNAPSHOT:
        config |= {"loaded_at_field": "loaded_at", "freshness": _FRESHNESS}
    newest = "export_date = (select max(export_date) from {})"
    where = {"where": newest.format(f"{place}.{table.name}")} if table.kind is Kind.SNAPSHOT else {}
    unique_key = {"unique": {"arguments": {"column_name": _joined_key(table)}}}
    return {
        "name": table.name,
        "description": table.description,
        "config": config,
        **_data_tests([unique_key] if len(table.key) > 1 else [], where),
        "columns": [
            {
                "name": column.name,
                "description": column.description,
                **({"config": {"meta": {"personal": True}}} if column.personal else {}),
                **_data_tests(list(_tests(table, column)), where),
            }
            for column in table.all_columns
        ],
    }


def _data_tests(tests: list[dict[str, Any]], where: Mapping[str, str]) -> dict[str, Any]:
    """The tests of a table or column, limited to some rows; a test without settings is only its name."""
    limited = [
        {name: settings | {"config": {**settings.get("config", {}), **where}} if where else settings}
        for test in tests
        for name, settings in test.items()
    ]
    return {"data_tests": [test if all(test.values()) else next(iter(test)) for test in limited]} if limited else {}


def _tests(table: Table, column: Column) -> Iterator[dict[str, Any]]:
    if table.key == (column.name,):
        yield {"unique": {}}
    if not column.nullable:
        yield {"not_null": {}}
    if column.references and (table.kind is Kind.BOOKKEEPING or column.name != "load_id"):
        parent, field = column.references.split(".")
        yield {"relationships": {"arguments": {"to": f"source('{SOURCE}', '{parent}')", "field": field}}}
    if column.values:
        values = {"values": list(column.values)}
        yield {"accepted_values": {"arguments": values, "config": {"severity": "warn"}}}


def _joined_key(table: Table) -> str:
    """One SQL expression that differs where the key does; ids contain no ``|``."""
    return " || '|' || ".join(
        name if table.column(name).type is Type.TEXT else f"cast({name} as varchar(40))" for name in table.key
    )


def _view(view: DescribedView) -> dict[str, Any]:
    columns = [{"name": column.name, "description": column.description} for column in view.columns]
    meta = {"meta": {"kind": "view"}}
    return {"name": view.name, "description": view.description, "config": meta, "columns": columns}
