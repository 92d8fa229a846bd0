"""The tables as dbt sources: descriptions, tests that the loader's promises imply, and freshness.

Written for dbt 1.10.5 and later (``config``, ``data_tests`` with ``arguments``). YAML is written here rather than
by a library: a JSON text is a YAML scalar, so quoting needs no rules of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from drillster_pipeline.tables import TABLES
from drillster_pipeline.tables.schema import Column, Kind, Table, Type

from .described import Described

SOURCE = "drillster"
_TARGET = "{{ target.schema }}"
_LATE_HOURS = 30
"""A night and a morning: the newest load is older than this only if a night was missed."""
_STALE_HOURS = 54
_FRESHNESS = {
    "warn_after": {"count": _LATE_HOURS, "period": "hour"},
    "error_after": {"count": _STALE_HOURS, "period": "hour"},
}

_NEWEST = "export_date = (select max(export_date) from {})"

_HEADER = """\
# Made by: drillster-pipeline schema --format dbt
# Freshness is asked of `loads`, and of what every night writes anew: a row of another table that did not change keeps
# its loaded_at, and a night may have no events. Of tables with a row per date, tests look at the newest date alone.
"""


def dbt_sources(
    tables: Mapping[str, Table] = TABLES,
    views: Sequence[Described] = (),
    *,
    schema: str | None = None,
    database: str | None = None,
) -> str:
    """A ``sources.yml`` of tables and views; what is not named is the schema and database of the project's target."""
    place = ".".join(map(_identifier, [*([database] if database else []), schema or _TARGET]))
    source: dict[str, Any] = {
        "name": SOURCE,
        "description": "What Drillster knew, night by night; loaded by drillster-pipeline.",
        "loader": "drillster-pipeline",
        **({"database": database} if database else {}),
        "schema": schema or _TARGET,
        "tables": [*(_table(table, place) for table in tables.values()), *(_view(view) for view in views)],
    }
    return _HEADER + "\n".join(_written({"version": 2, "sources": [source]}, 0)) + "\n"


def _identifier(name: str) -> str:
    return name if name == _TARGET or re.fullmatch("[a-z_][a-z0-9_]*", name) else f'"{name}"'


def _table(table: Table, place: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "meta": {"kind": table.kind.value, "key": list(table.key), "resources": list(table.sources)}
    }
    if table.name == "loads":
        config["loaded_at_field"] = "finished_at"
        config["freshness"] = {**_FRESHNESS, "filter": "kind = 'snapshot'"}
    elif table.kind is Kind.SNAPSHOT:
        config["loaded_at_field"] = "loaded_at"
        config["freshness"] = _FRESHNESS
    described: dict[str, Any] = {"name": table.name, "description": table.description, "config": config}
    if len(table.key) > 1:
        described["data_tests"] = [{"unique": {"arguments": {"column_name": _joined_key(table)}}}]
    described["columns"] = [_column(table, column) for column in table.all_columns]
    if table.kind is Kind.SNAPSHOT:
        newest = _NEWEST.format(f"{place}.{table.name}")
        for tested in (described, *described["columns"]):
            if "data_tests" in tested:
                tested["data_tests"] = [_only(newest, test) for test in tested["data_tests"]]
    return described


def _only(rows: str, test: Any) -> dict[str, Any]:
    """A test of some rows, told by a condition."""
    ((name, settings),) = test.items() if isinstance(test, Mapping) else [(test, {})]
    return {name: {**settings, "config": {**settings.get("config", {}), "where": rows}}}


def _view(view: Described) -> dict[str, Any]:
    columns = [{"name": column.name, "description": column.description} for column in view.columns]
    return {
        "name": view.name,
        "description": view.description,
        "config": {"meta": {"kind": "view"}},
        "columns": columns,
    }


def _joined_key(table: Table) -> str:
    """One SQL expression that differs where the key does; ids hold no ``|``."""
    return " || '|' || ".join(
        name if table.column(name).type is Type.TEXT else f"cast({name} as varchar(40))" for name in table.key
    )


def _column(table: Table, column: Column) -> dict[str, Any]:
    described: dict[str, Any] = {"name": column.name, "description": column.description}
    if column.personal:
        described["config"] = {"meta": {"personal": True}}
    tests = list(_tests(table, column))
    if tests:
        described["data_tests"] = tests
    return described


def _tests(table: Table, column: Column) -> Iterator[Any]:
    if table.key == (column.name,):
        yield "unique"
    if not column.nullable:
        yield "not_null"
    if column.references and (table.kind is Kind.BOOKKEEPING or column.name != "load_id"):
        parent, field = column.references.split(".")
        yield {"relationships": {"arguments": {"to": f"source('{SOURCE}', '{parent}')", "field": field}}}
    if column.values:
        yield {
            "accepted_values": {
                "arguments": {"values": list(column.values)},
                "config": {"severity": "warn"},
            }
        }


def _written(value: Any, depth: int) -> Iterator[str]:
    """Block YAML of dictionaries, lists and JSON scalars."""
    margin = "  " * depth
    if isinstance(value, Mapping):
        for name, inside in value.items():
            if isinstance(inside, Mapping | list) and inside:
                yield f"{margin}{name}:"
                yield from _written(inside, depth + 1)
            else:
                yield f"{margin}{name}: {json.dumps(inside, ensure_ascii=False)}"
    else:
        for inside in value:
            if isinstance(inside, Mapping):
                first, *rest = _written(inside, depth + 1)
                yield f"{margin}- {first.lstrip()}"
                yield from rest
            else:
                yield f"{margin}- {json.dumps(inside, ensure_ascii=False)}"
