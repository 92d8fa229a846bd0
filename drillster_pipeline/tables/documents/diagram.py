"""The entity diagram, in Mermaid: GitHub and most editors draw it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from drillster_pipeline.tables import TABLES
from drillster_pipeline.tables.schema import Column, Kind, Table


def entity_diagram(tables: Mapping[str, Table] = TABLES) -> str:
    """A Mermaid ``erDiagram``: a solid line is a foreign key, a dotted one a join that may find nothing.

    Columns that the warehouse adds to every table are left out, and so are the lines from them to ``loads``. Histories
    are left out too: each has the columns and the lines of its entity, and would double the drawing.
    """
    lines = ["erDiagram"]
    drawn = [table for table in tables.values() if table.kind is not Kind.HISTORY]
    for table in drawn:
        lines.append(f"    {table.name} {{")
        lines.extend(f"        {_attribute(table, column)}" for column in table.columns)
        lines.append("    }")
    for table in drawn:
        lines.extend(f"    {line}" for line in _relations(table))
    return "\n".join(lines) + "\n"


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
