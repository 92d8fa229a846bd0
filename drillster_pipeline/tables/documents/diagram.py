"""Entity diagrams, in Mermaid: GitHub and most editors draw them.

All tables with all columns in one picture are too small to read. So only the columns that join tables are drawn, and
the dictionary shows a picture for each subject.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from drillster_pipeline.tables import TABLES
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
"""What is drawn together. Tables that refer to nothing and that nothing refers to are in none.

Neither are histories: each has the columns and the lines of its entity, and would double the drawing.
"""


def entity_diagram(tables: Mapping[str, Table] = TABLES) -> str:
    """One ``erDiagram`` of all subjects; from left to right, which keeps so many boxes legible."""
    return _diagram(tables, {name for names in SUBJECTS.values() for name in names}, "direction LR")


def subject_diagram(subject: str, tables: Mapping[str, Table] = TABLES) -> str:
    """The ``erDiagram`` of a subject; of the tables of others that it refers to, only the names."""
    return _diagram(tables, SUBJECTS[subject])


def _diagram(tables: Mapping[str, Table], names: Collection[str], *options: str) -> str:
    shown = [table for name, table in tables.items() if name in names]
    lines = [*options]
    for table in shown:
        lines.append(f"{table.name} {{")
        lines.extend(f"    {_attribute(table, column)}" for column in table.columns if _joins(table, column))
        lines.append("}")
    for table in shown:
        lines.extend(_relations(table))
    return "erDiagram\n" + "".join(f"    {line}\n" for line in lines)


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
