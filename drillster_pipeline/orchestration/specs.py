"""The assets: ``drillster/<resource>`` for what is captured, ``warehouse/<table>`` for what is published.

All of it is derived from the declarations of resources and tables; nothing here knows a column.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import dagster as dg
import sqlalchemy as sa

from drillster_pipeline.resources import CAPTURED, RESOURCES
from drillster_pipeline.settings import Settings
from drillster_pipeline.tables import DATA_TABLES, Column, Kind, Table

from .partitions import daily

ASSET_FOLDERS = {"drillster", "warehouse", "report"}
"""What keys of assets begin with."""
REPORT = dg.AssetKey(["report", "nightly"])
LATE_AFTER = timedelta(hours=6)
"""How long after the hour of the schedule a run may end before Dagster shows its tables as overdue."""
MAY_BREAK = "\u200b"
"""A place where a word may be broken: the UI's column of descriptions is narrow."""
_KINDS = {
    Kind.ENTITY: "**Entity**: things as they are now; a row that is gone from Drillster stays, with `deleted_on` set.",
    Kind.SNAPSHOT: "**Snapshot**: things as they were on each `export_date`.",
    Kind.EVENT: "**Event**: things that happened; never deleted.",
}
_REPORT = (
    "One HTML page per export date, to read, print or forward: compliance by group and objective, what fades, who "
    "practices (counts, no names), tests, what is overdue, and how complete the data is. It is made from the tables of "
    "the warehouse, and written to `DRILLSTER_REPORTS_FOLDER`; `drillster-pipeline report` writes the same page."
)


def resource_key(resource: str) -> dg.AssetKey:
    """The asset of a captured resource."""
    return dg.AssetKey(["drillster", resource])


def table_key(table: str) -> dg.AssetKey:
    """The asset of a published table."""
    return dg.AssetKey(["warehouse", table])


def resource_spec(resource: str, settings: Settings) -> dg.AssetSpec:
    """The asset of a resource."""
    return dg.AssetSpec(
        resource_key(resource),
        description=RESOURCES[resource].description,
        group_name="drillster",
        kinds={"json"},
        owners=settings.owners,
        partitions_def=daily(settings),
        metadata={"dagster/column_schema": field_schemas()[resource]},
    )


def table_spec(table: Table, kind: str, settings: Settings) -> dg.AssetSpec:
    """The asset of a table, with its columns and where they come from.

    It depends on the resources of its own kind of capture only: events name people as well, but a failed capture of
    events must not delay the tables of the snapshot.
    """
    lineage = column_lineage(table)
    sources = [resource for resource in table.sources + table.secondary_sources if resource in CAPTURED[kind]]
    return dg.AssetSpec(
        table_key(table.name),
        deps=[resource_key(resource) for resource in sources],
        description=f"{table.description}\n\n{_KINDS[table.kind]} Key: {', '.join(f'`{k}`' for k in table.key)}.",
        group_name="warehouse",
        kinds={"sql", "pandas"},
        owners=settings.owners,
        partitions_def=daily(settings),
        tags={"drillster/table_kind": str(table.kind)},
        freshness_policy=freshness_policy(settings),
        metadata={
            "dagster/table_name": qualified_name(table.name, settings),
            "dagster/column_schema": column_schema(table),
            **({"dagster/column_lineage": lineage} if lineage.deps_by_column else {}),
        },
    )


def report_spec(settings: Settings) -> dg.AssetSpec:
    """The asset of the page that is written after a snapshot was published."""
    return dg.AssetSpec(
        REPORT,
        # It is made from more tables, but one that could not be read must not keep the rest from being reported.
        deps=[table_key("groups")],
        description=_REPORT,
        group_name="report",
        kinds={"html"},
        owners=settings.owners,
        partitions_def=daily(settings),
    )


def qualified_name(table: str, settings: Settings) -> str:
    """The table as its database names it: ``database.schema.table``, or what that has of these; never credentials."""
    try:
        url = sa.make_url(settings.warehouse_url.get_secret_value())
    except (sa.exc.ArgumentError, ValueError):  # the run reports what is wrong with it
        return table
    schema = settings.warehouse_schema
    match url.get_backend_name():
        case "sqlite":
            parts = ["main", table]
        case "postgresql":
            parts = [url.database or "", schema or "public", table]
        case "mysql" | "mariadb":  # there, a schema is a database
            parts = [schema or url.database or "", table]
        case _:
            parts = [schema or "", table]
    return ".".join(part for part in parts if part)


def freshness_policy(settings: Settings) -> dg.FreshnessPolicy:
    """Written since the schedule's hour. Dagster compares when, not of which date: for that is the view latest_load."""
    minutes = settings.nightly_at.hour * 60 + settings.nightly_at.minute + LATE_AFTER // timedelta(minutes=1)
    return _fresh_by(minutes % (24 * 60), settings.timezone.key)


@cache  # Dagster computes a thousand of its times when it is made
def _fresh_by(minute_of_day: int, timezone: str) -> dg.FreshnessPolicy:
    hour, minute = divmod(minute_of_day, 60)
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{minute} {hour} * * *", lower_bound_delta=LATE_AFTER, timezone=timezone
    )


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
    found = {
        "key": column.name in table.key,
        f"references {column.references}": column.references,
        f"{column.minimum} to {column.maximum}": column.minimum is not None and column.maximum is not None,
        "personal": column.personal,
    }
    return [words for words, applies in found.items() if applies]


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Which field of which resource each column comes from."""
    deps = {}
    for column in table.columns:
        resource, field = _field(column)
        if resource in table.sources + table.secondary_sources:
            deps[column.name] = [dg.TableColumnDep(asset_key=resource_key(resource), column_name=field)]
    return dg.TableColumnLineage(deps_by_column=deps)


@cache
def field_schemas() -> dict[str, dg.TableSchema]:
    """Per resource, the fields of its answers that are loaded: their paths, and the columns that they become.

    ``{group_id}`` is no field of the answer but a part of the address that was requested.
    """
    fields: dict[str, dict[str, list[tuple[Table, Column]]]] = {}
    for table in DATA_TABLES.values():
        for column in table.columns:
            resource, field = _field(column)
            if field:
                fields.setdefault(resource, {}).setdefault(field, []).append((table, column))
    return {
        resource: dg.TableSchema(columns=[_field_column(field, uses) for field, uses in found.items()])
        for resource, found in fields.items()
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
    """The resource and the field that a column comes from; two empty words for what the pipeline makes."""
    resource, _, field = (column.source or "").partition(": ")
    return resource, field
