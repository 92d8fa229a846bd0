"""Columns of tables, fields of answers, and which comes from which: all of it from the declarations of tables."""

from __future__ import annotations

from functools import cache

import dagster as dg

from drillster_pipeline.tables import DATA_TABLES, Column, Table

from .keys import resource_key
from .markdown import MAY_BREAK


def column_schema(table: Table) -> dg.TableSchema:
    """The columns with types, descriptions and constraints."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=str(column.type),
                description=_described(column),
                constraints=dg.TableColumnConstraints(nullable=column.nullable, other=_constraints(table, column)),
            )
            for column in table.all_columns
        ],
    )


def _described(column: Column) -> str:
    """With the field that it comes from: Dagster shows lineage of columns in its paid edition alone."""
    if not column.source:
        return column.description
    return f"{column.description} From {column.source.replace('.', f'.{MAY_BREAK}')}."


def _constraints(table: Table, column: Column) -> list[str]:
    found = []
    if column.name in table.key:
        found.append("key")
    if column.references:
        found.append(f"references {column.references}")
    if column.minimum is not None and column.maximum is not None:
        found.append(f"{column.minimum} to {column.maximum}")
    if column.personal:
        found.append("personal")
    return found


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Which field of which resource each column comes from."""
    deps: dict[str, list[dg.TableColumnDep]] = {}
    drawn_on = set(table.sources + table.secondary_sources)
    for column in table.columns:
        resource, field = _field(column)
        if field and resource in drawn_on:
            deps[column.name] = [dg.TableColumnDep(asset_key=resource_key(resource), column_name=field)]
    return dg.TableColumnLineage(deps_by_column=deps)


@cache
def field_schemas() -> dict[str, dg.TableSchema]:
    """Per resource, the fields of its answers that are loaded: their paths, and the columns that they become.

    ``{group_id}`` is no field of the answer but a part of the address that was asked.
    """
    drawn: dict[str, dict[str, list[tuple[Table, Column]]]] = {}
    for table in DATA_TABLES.values():
        for column in table.columns:
            resource, field = _field(column)
            if field:
                drawn.setdefault(resource, {}).setdefault(field, []).append((table, column))
    return {
        resource: dg.TableSchema(columns=[_field_column(field, uses) for field, uses in fields.items()])
        for resource, fields in drawn.items()
    }


def _field_column(field: str, uses: list[tuple[Table, Column]]) -> dg.TableColumn:
    _, first = uses[0]
    loaded_as = ", ".join(f"{table.name}.{column.name}" for table, column in uses)
    return dg.TableColumn(
        field,
        type=str(first.type),
        description=f"{first.description} Loaded as {loaded_as}.",
        constraints=dg.TableColumnConstraints(other=["personal"] if all(column.personal for _, column in uses) else []),
    )


def _field(column: Column) -> tuple[str, str]:
    """The resource and the field that a column comes from; two empty words for what we make."""
    resource, _, field = (column.source or "").partition(": ")
    return resource, field
