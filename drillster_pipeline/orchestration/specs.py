"""The assets: ``drillster/<resource>`` for what is captured, ``warehouse/<table>`` for what is published.

All of it is derived from the declarations of tables; nothing here knows a column.
"""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import sqlalchemy as sa

from drillster_pipeline.resources import CAPTURED, RESOURCES
from drillster_pipeline.settings import Settings
from drillster_pipeline.tables import DATA_TABLES, Kind, Table

from .columns import column_lineage, column_schema, field_schemas
from .keys import resource_key, table_key

LATE_AFTER = timedelta(hours=6)
"""How long after the hour of the schedule a night may end before Dagster shows its tables as overdue."""

_KIND_WORDS = {
    Kind.ENTITY: "**Entity**: things as they are now; what is gone stays, with `deleted_on` set.",
    Kind.SNAPSHOT: "**Snapshot**: things as they were on each `export_date`.",
    Kind.EVENT: "**Event**: things that happened; never deleted.",
}


def resource_spec(resource: str, partitions: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetSpec:
    """The asset of a resource."""
    return dg.AssetSpec(
        resource_key(resource),
        description=RESOURCES[resource].description,
        group_name="drillster",
        kinds={"json"},
        owners=settings.owners,
        partitions_def=partitions,
        metadata={"dagster/column_schema": field_schemas()[resource]},
    )


def table_spec(table: Table, kind: str, partitions: dg.PartitionsDefinition[str], settings: Settings) -> dg.AssetSpec:
    """The asset of a table, with its columns and where they come from.

    It depends on the resources of its own kind of capture only: events name people as well, but a night whose events
    can't be read must not hold up the tables of its snapshot.
    """
    lineage = column_lineage(table)
    drawn_on = [resource for resource in table.sources + table.secondary_sources if resource in CAPTURED[kind]]
    return dg.AssetSpec(
        table_key(table.name),
        deps=[resource_key(resource) for resource in drawn_on],
        description=f"{table.description}\n\n{_KIND_WORDS[table.kind]} Key: {', '.join(f'`{k}`' for k in table.key)}.",
        group_name="warehouse",
        kinds={"sql", "pandas"},
        owners=settings.owners,
        partitions_def=partitions,
        tags={"drillster/table_kind": str(table.kind)},
        freshness_policy=fresh_by_morning(settings),
        metadata={
            "dagster/table_name": qualified_name(table.name, settings),
            "dagster/column_schema": column_schema(table),
            **({"dagster/column_lineage": lineage} if lineage.deps_by_column else {}),
        },
    )


def qualified_name(table: str, settings: Settings) -> str:
    """The table as its database names it: ``database.schema.table``, or what that has of these; never credentials."""
    try:
        url = sa.make_url(settings.warehouse_url.get_secret_value())
    except (sa.exc.ArgumentError, ValueError):  # the run says what is wrong with it
        return table
    schema = settings.warehouse_schema
    parts: tuple[str, ...]
    match url.get_backend_name():
        case "sqlite":
            parts = "main", table
        case "postgresql":
            parts = url.database or "", schema or "public", table
        case "mysql" | "mariadb":  # there, a schema is a database
            parts = schema or url.database or "", table
        case _:
            parts = schema or "", table
    return ".".join(part for part in parts if part)


def fresh_by_morning(settings: Settings) -> dg.FreshnessPolicy:
    """Written since the schedule's hour. Dagster looks at when, not at which date: the view latest_load tells that."""
    minutes = settings.nightly_at.hour * 60 + settings.nightly_at.minute + LATE_AFTER // timedelta(minutes=1)
    hour, minute = divmod(minutes % (24 * 60), 60)
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{minute} {hour} * * *", lower_bound_delta=LATE_AFTER, timezone=settings.timezone.key
    )


def data_tables(names: tuple[str, ...]) -> list[Table]:
    """The declarations of these tables."""
    return [DATA_TABLES[name] for name in names]
