"""The assets: ``drillster/<resource>`` for what is captured, ``warehouse/<table>`` for what is published.

Each has one partition per export date. All of it is derived from the declarations of resources and tables. Keys and
groups are those of a single organization; :mod:`.names` makes of them those of one of many.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path

import dagster as dg
import sqlalchemy as sa

from drillster_pipeline.dates import STALE_AFTER
from drillster_pipeline.errors import Refused
from drillster_pipeline.resources import CAPTURED, RESOURCES
from drillster_pipeline.settings import Settings
from drillster_pipeline.tables import DATA_TABLES, Column, Kind, Table

PARTITION = "dagster/partition"
COLUMN_LINEAGE = "dagster/column_lineage"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags of runs: a job's run has the first, a run of a backfill of assets has the others."""
NIGHTLY, EVENTS, UPKEEP = JOBS = ("nightly", "events", "upkeep")
REPORT = dg.AssetKey(["report", "nightly"])
DBT = "dbt"
_INSIDE = Path(__file__).parents[1] / DBT
DBT_PACKAGE = _INSIDE if _INSIDE.exists() else Path(__file__).parents[2] / DBT
"""The dbt package: in the wheel, or at the top of a checkout."""
SHARDS = {kind: dg.AssetKey(["shards", kind]) for kind in CAPTURED}
MAY_BREAK = "\u200b"
"""A place where a word may be broken: the UI's column of descriptions is narrow."""
_KINDS = {
    Kind.ENTITY: "**Entity**: things as they are now; a row that is gone from Drillster stays, with `deleted_on` set.",
    Kind.SNAPSHOT: "**Snapshot**: things as they were on each `export_date`.",
    Kind.EVENT: "**Event**: things that happened; never deleted.",
}
_SHARDS = (
    "The capture, by `DRILLSTER_CAPTURE_SHARDS` processes: one step plans it, each shard reads its groups, and "
    "the last step seals what they have read. Without this asset, one process captures the resources."
)
_REPORT = (
    "One HTML page per export date, to read, print or forward: compliance by group and objective, what fades, who "
    "practices (counts, no names), tests, what is overdue, and how complete the data is. It is made from the tables of "
    "the warehouse, and written to `DRILLSTER_REPORTS_FOLDER`; `drillster-pipeline report` writes the same page."
)


def daily(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per export date, from the first one on; the newest is the day that ended last."""
    return _daily(str(settings.first_export_date), settings.timezone.key)


@cache  # all assets share one: Dagster compares those of each with each
def _daily(first: str, timezone: str) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(start_date=first, timezone=timezone, fmt="%Y-%m-%d")


def export_dates(tags: Mapping[str, str]) -> tuple[date, date] | None:
    """The first and the last export date of a run, by its tags; None where it has none."""
    first = tags.get(PARTITION) or tags.get(RANGE_START)
    last = tags.get(PARTITION) or tags.get(RANGE_END)
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None


def export_date(tags: Mapping[str, str]) -> date:
    """The one export date of a run. Raises Refused for a run that has none, or that was made to span several."""
    dates = export_dates(tags)
    if dates is None:
        raise Refused(
            "This run has no export date. Choose a partition; and checks are made when their asset is materialized, "
            "so select the asset and not its checks alone"
        )
    first, last = dates
    if first != last:
        raise Refused(
            f"This run spans {first} to {last}, but a capture and a load are of one date: launch a run for each, as a "
            "backfill does"
        )
    return first


def resource_key(resource: str) -> dg.AssetKey:
    """The asset of a captured resource."""
    return dg.AssetKey(["drillster", resource])


def table_key(table: str) -> dg.AssetKey:
    """The asset of a published table."""
    return dg.AssetKey(["warehouse", table])


def model_key(model: str) -> dg.AssetKey:
    """The asset of a model of dbt."""
    return dg.AssetKey([DBT, model])


ASSET_KEYS = (
    *map(resource_key, RESOURCES),
    *map(table_key, DATA_TABLES),
    *SHARDS.values(),
    REPORT,
    *(model_key(file.stem) for file in sorted(DBT_PACKAGE.glob("models/**/*.sql"))),
)
"""The keys of all assets, also of those that the settings leave out: runs of a time with others are there."""


def shards_spec(kind: str, settings: Settings) -> dg.AssetSpec:
    """The asset of a capture in shards: the resources of the kind come from it."""
    return dg.AssetSpec(
        SHARDS[kind],
        description=_SHARDS,
        group_name="drillster",
        kinds={"json"},
        owners=settings.owners,
        partitions_def=daily(settings),
    )


def resource_spec(kind: str, resource: str, settings: Settings) -> dg.AssetSpec:
    """The asset of a resource."""
    return dg.AssetSpec(
        resource_key(resource),
        deps=[SHARDS[kind]] if settings.capture_shards > 1 else [],
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
            "dagster/column_schema": column_schema(table.name),
            **({COLUMN_LINEAGE: lineage} if lineage.deps_by_column else {}),
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
            # Nothing is connected to for this: another search path makes another schema.
            parts = [url.database or "", schema or "public", table]
        case "mysql" | "mariadb":  # there, a schema is a database
            parts = [schema or url.database or "", table]
        case _:
            parts = [schema or "", table]
    return ".".join(part for part in parts if part)


def freshness_policy(settings: Settings) -> dg.FreshnessPolicy:
    """Written since the schedule's hour. Dagster compares when, not of which date: for that is the view latest_load."""
    deadline = datetime.combine(date.min, settings.nightly_at) + STALE_AFTER
    return _freshness_policy(f"{deadline.minute} {deadline.hour} * * *", settings.timezone.key)


@cache  # Dagster computes a thousand of its times when it is made
def _freshness_policy(cron: str, timezone: str) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.cron(deadline_cron=cron, lower_bound_delta=STALE_AFTER, timezone=timezone)


@cache  # all organizations share one
def column_schema(name: str) -> dg.TableSchema:
    """The columns of a table with types, descriptions and constraints."""
    table = DATA_TABLES[name]
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=str(column.type),
                description=_described(column),
                constraints=dg.TableColumnConstraints(nullable=column.nullable, other=_constraints(table, column)),
            )
            for column in table.all_columns
        ]
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
    """Per resource, the fields of its responses that are loaded: their paths, and the columns that they become.

    ``{group_id}`` is no field of the response but a part of the address that was requested.
    """
    uses: dict[tuple[str, str], list[tuple[Table, Column]]] = {}
    for table in DATA_TABLES.values():
        for column in table.columns:
            uses.setdefault(_field(column), []).append((table, column))
    schemas: dict[str, list[dg.TableColumn]] = {}
    for (resource, field), found in uses.items():
        _, first = found[0]
        loaded_as = ", ".join(f"{table.name}.{column.name}" for table, column in found)
        personal = ["personal"] if all(column.personal for _, column in found) else []
        described = dg.TableColumn(
            field,
            type=str(first.type),
            description=f"{first.description} Loaded as {loaded_as}.",
            constraints=dg.TableColumnConstraints(other=personal),
        )
        if field:
            schemas.setdefault(resource, []).append(described)
    return {resource: dg.TableSchema(columns) for resource, columns in schemas.items()}


def _field(column: Column) -> tuple[str, str]:
    """The resource and the field that a column comes from; two empty words for what the pipeline makes."""
    resource, _, field = (column.source or "").partition(": ")
    return resource, field
