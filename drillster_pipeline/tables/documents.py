"""Documents made of the declarations: the data dictionary in Markdown, entity diagrams in Mermaid, and dbt sources.

All tables with all columns in one picture are too small to read. So a diagram has only the columns that join tables,
and the dictionary has one for each subject. The sources are for dbt 1.10.5 and later (``config``, ``data_tests`` with
``arguments``): descriptions, tests that the loader's promises imply, and freshness.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from string import Template
from typing import Any, Protocol

import yaml

from . import SUBJECTS, TABLES
from .schema import Column, Kind, Table, Type


class DescribedView(Protocol):
    """A view, as far as a document needs it; the views themselves are the warehouse's."""

    @property
    def name(self) -> str: ...  # noqa: D102 - says it itself
    @property
    def description(self) -> str: ...  # noqa: D102 - the same
    @property
    def columns(self) -> Mapping[str, str]: ...  # noqa: D102 - by name, their descriptions


_DRAWN: Mapping[str, Sequence[str]] = {
    **{subject: [table.name for table in tables] for subject, tables in SUBJECTS.items()},
    "Bookkeeping": ["loads", "load_tables", "load_exceptions", "rejected_rows"],
}
"""What is drawn together. Tables that refer to nothing and that nothing refers to are in none, nor are histories, each
of which has the columns and the lines of its entity, nor figures of a date."""


def data_dictionary(tables: Mapping[str, Table] = TABLES, views: Sequence[DescribedView] = ()) -> str:
    """The complete document; ``views`` are added where the caller has them."""
    entries = [(table.name, table.kind.value, table.description) for table in tables.values()]
    entries += [(view.name, "view", view.description) for view in views]
    contents = "".join(f"- [{name}](#{name}) ({kind}): {description}\n" for name, kind, description in entries)
    sections = [
        *(f"### {subject}\n\n```mermaid\n{subject_diagram(subject, tables)}```\n" for subject in _DRAWN),
        *(_table(table) for table in tables.values()),
        *(_view(view) for view in views),
    ]
    template = Path(__file__).with_name("dictionary.md").read_text(encoding="utf-8")
    return Template(template).substitute(contents=contents, sections="\n".join(sections)).removesuffix("\n")


def _table(table: Table) -> str:
    facts = [f"*{table.kind.value.capitalize()}*, key: {_code(table.key)}."]
    if table.sources:
        facts.append(f"Read from {_code(table.sources)}.")
    if table.secondary_sources:
        facts.append(f"Also from references in {_code(table.secondary_sources)}.")
    if table.counts:
        facts.append(f"Drillster's own count: `{table.counts}`.")
    rows = [
        (
            f"**`{column.name}`**" if column.name in table.key else f"`{column.name}`",
            column.type.value,
            "yes" if column.nullable else "no",
            " ".join(_meaning(column)),
            f"`{column.source}`" if column.source else "",
        )
        for column in table.all_columns
    ]
    grid = _grid(("column", "type", "null", "meaning", "from"), rows)
    return f"## {table.name}\n\n{table.description}\n\n{' '.join(facts)}\n\n{grid}"


def _meaning(column: Column) -> Iterator[str]:
    yield column.description
    if column.values:
        yield f"Documented: {_code(column.values)}."
    if column.minimum is not None:
        yield f"From {column.minimum}." if column.maximum is None else f"From {column.minimum} to {column.maximum}."
    for target, text in ((column.references, "Foreign key to {}."), (column.joins, "Joins {}, where that is known.")):
        if target:
            yield text.format(f"[{target}](#{target.partition('.')[0]})")
    if column.personal:
        yield "*Personal.*"


def _view(view: DescribedView) -> str:
    columns = _grid(("column", "meaning"), ((f"`{name}`", words) for name, words in view.columns.items()))
    return f"## {view.name}\n\n{view.description}\n\n*View.*\n\n{columns}"


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def entity_diagram(tables: Mapping[str, Table] = TABLES) -> str:
    """One ``erDiagram`` of all subjects; from left to right, which keeps so many boxes legible."""
    return "erDiagram\n    direction LR\n" + "".join(_diagram(tables, list(chain.from_iterable(_DRAWN.values()))))


def subject_diagram(subject: str, tables: Mapping[str, Table] = TABLES) -> str:
    """The ``erDiagram`` of a subject; of the tables of others that it refers to, only the names."""
    return "erDiagram\n" + "".join(_diagram(tables, _DRAWN[subject]))


def _diagram(tables: Mapping[str, Table], names: Sequence[str]) -> Iterator[str]:
    shown = [table for name, table in tables.items() if name in names]
    for table in shown:
        yield f"    {table.name} {{\n"
        for column in table.columns:
            marks = ["PK"] * (column.name in table.key) + ["FK"] * bool(column.references)
            if marks or column.joins:
                yield f"        {column.type.value} {column.name} {', '.join(marks)}".rstrip() + "\n"
        yield "    }\n"
    for table in shown:
        for column in table.columns:
            if target := column.references or column.joins:
                one, line = "|o" if column.nullable or column.joins else "||", "--" if column.references else ".."
                yield f'    {target.partition(".")[0]} {one}{line}o{{ {table.name} : "{column.name}"\n'


SOURCE = "drillster"
_DBT_SCHEMA = "var('drillster_schema', target.schema)"
_DBT_TYPES = {
    Type.TEXT: "text",
    Type.INTEGER: "bigint",
    Type.SMALLINT: "smallint",
    Type.FLOAT: "double precision",
    Type.BOOLEAN: "boolean",
    Type.TIMESTAMP: "timestamp with time zone",
    Type.DATE: "date",
    Type.JSON: "text",
}
"""What PostgreSQL and DuckDB call them."""
_DBT_FRESHNESS = {
    # A day and a morning: the newest load is older than this only if a run was missed.
    "warn_after": {"count": 30, "period": "hour"},
    "error_after": {"count": 54, "period": "hour"},
}
_DBT_HEADER = """\
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
    """A ``sources.yml`` of tables and views.

    What is not named is said by variables of the project: the schema by ``drillster_schema``, else it is that of the
    target; on DuckDB ``drillster_location`` is what to select from, with ``{name}`` in it for the table.
    """
    named = [repr(f"{_dbt_identifier(database)}.")] if database else []
    place = " ~ ".join([*named, repr(_dbt_identifier(schema)) if schema else _DBT_SCHEMA])
    location = f"var('drillster_location', '(from ' ~ {place} ~ '.{{name}})')"
    source = {
        "name": SOURCE,
        "description": "Drillster's data, export date by export date; loaded by drillster-pipeline.",
        "loader": "drillster-pipeline",
        **({"database": database} if database else {}),
        "schema": schema or f"{{{{ {_DBT_SCHEMA} }}}}",
        "config": {"meta": {"external_location": f"{{{{ {location} }}}}"}},
        "tables": [*(_dbt_table(table, place) for table in tables.values()), *(_dbt_view(view) for view in views)],
    }
    document = {"version": 2, "sources": [source]}
    # Through JSON, so that nothing is the same object and needs a YAML alias.
    text: str = yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False, allow_unicode=True, width=1_000)
    return _DBT_HEADER + text


def _dbt_identifier(name: str) -> str:
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else f'"{name}"'


def _dbt_table(table: Table, place: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "meta": {"kind": table.kind.value, "key": list(table.key), "resources": list(table.sources)}
    }
    if table.name == "loads":
        config |= {
            "loaded_at_field": _dbt_moment("finished_at"),
            "freshness": {**_DBT_FRESHNESS, "filter": "kind = 'snapshot'"},
        }
    elif table.kind is Kind.SNAPSHOT:
        config |= {"loaded_at_field": _dbt_moment("loaded_at"), "freshness": _DBT_FRESHNESS}
    rows = f"{{{{ var('drillster_location', {place} ~ '.{{name}}').replace('{{name}}', '{table.name}') }}}}"
    newest = "export_date = (select max(export_date) from {})"
    where = {"where": newest.format(rows)} if table.kind is Kind.SNAPSHOT else {}
    unique_key = {"unique": {"arguments": {"column_name": _joined_key(table)}}}
    return {
        "name": table.name,
        "description": table.description,
        "config": config,
        **_dbt_data_tests([unique_key] if len(table.key) > 1 else [], where),
        "columns": [
            {
                "name": column.name,
                "description": column.description,
                "data_type": _DBT_TYPES[column.type],
                **({"config": {"meta": {"personal": True}}} if column.personal else {}),
                **_dbt_data_tests(list(_dbt_tests(table, column)), where),
            }
            for column in table.all_columns
        ],
    }


def _dbt_moment(column: str) -> str:
    """A timestamp; in SQLite's files it is text."""
    return f"cast({column} as {_DBT_TYPES[Type.TIMESTAMP]})"


def _dbt_data_tests(tests: list[dict[str, Any]], where: Mapping[str, str]) -> dict[str, Any]:
    """The tests of a table or column, limited to some rows; a test without settings is only its name."""
    limited = [
        {name: settings | ({"config": {**settings.get("config", {}), **where}} if where else {})}
        for test in tests
        for name, settings in test.items()
    ]
    return {"data_tests": [test if all(test.values()) else next(iter(test)) for test in limited]} if limited else {}


def _dbt_tests(table: Table, column: Column) -> Iterator[dict[str, Any]]:
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


def _dbt_view(view: DescribedView) -> dict[str, Any]:
    columns = [{"name": name, "description": description} for name, description in view.columns.items()]
    meta = {"meta": {"kind": "view"}}
    return {"name": view.name, "description": view.description, "config": meta, "columns": columns}
