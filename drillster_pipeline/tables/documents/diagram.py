"""Entity diagrams, in Mermaid: GitHub and most editors draw them.

All tables with all columns in one picture are too small to read. So there is one of names alone, and one for each
subject with the columns that join tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from drillster_pipeline.tables import DATA_TABLES, TABLES
from drillster_pipeline.tables.schema import Column, Table

SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "People and groups": (
        "organizations",
        "accounts",
        "account_external_ids",
        "groups",
        "group_members",
        "group_staff",
    ),
    "Content": ("playables", "group_playables", "catalogs", "catalog_playables"),
    "Objectives": ("objectives", "objective_playables", "objective_evaluations", "objective_events"),
    "Practice and tests": ("results", "test_results", "test_result_scores", "test_result_drills"),
    "Bookkeeping": ("loads", "load_tables", "load_exceptions", "rejected_rows"),
}
"""What is drawn together. Tables that refer to nothing and that nothing refers to are in none."""


def entity_diagram(tables: Mapping[str, Table] = TABLES) -> str:
    """One ``erDiagram`` of all subjects, with the columns that join tables."""
    return _diagram(tables, [name for names in SUBJECTS.values() for name in names])


def overview(tables: Mapping[str, Table] = TABLES) -> str:
    """The names of all tables that come from Drillster, and what refers to what."""
    names = [name for name in tables if name in DATA_TABLES]
    return _diagram(tables, (), names)


def subject_diagram(subject: str, tables: Mapping[str, Table] = TABLES) -> str:
    """The tables of a subject with the columns that join them; of others that they refer to, the names."""
    return _diagram(tables, SUBJECTS[subject])


def _diagram(tables: Mapping[str, Table], open_: Collection[str], closed: Collection[str] = ()) -> str:
    """An ``erDiagram``: tables with their joining columns, and tables of which only the name is shown."""
    shown = [table for name, table in tables.items() if name in open_ or name in closed]
    lines = ["erDiagram"]
    for table in shown:
        if table.name in open_:
            lines.append(f"    {table.name} {{")
            lines.extend(f"        {_attribute(table, column)}" for column in table.columns if _joins(table, column))
            lines.append("    }")
    for table in shown:
        lines.extend(f"    {line}" for line in _relations(table))
    return "\n".join(lines) + "\n"


def _joins(table: Table, column: Column) -> bool:
    return column.name in table.key or bool(column.references or column.joins)


def _attribute(table: Table, column: Column) -> str:
    marks = ["PK"] if column.name in table.key else []
    if column.references:
        marks.append("FK")
    return " ".join(filter(None, (column.type.value, column.name, ", ".join(marks))))


def _relations(table: Table) -> Iterator[str]:
    for column in table.columns:
        target = column.references or column.joins
        if target:
            parent = target.partition(".")[0]
            one = "|o" if column.nullable or column.joins else "||"
            line = "--" if column.references else ".."
            yield f'{parent} {one}{line}o{{ {table.name} : "{column.name}"'
