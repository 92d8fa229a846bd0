"""Asset checks: each says in a sentence what is wrong and what to do, or that all is well.

What must stop a publish is judged before it, in staging. These checks tell people about what was published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.tables import DATA_TABLES, Table

from .specs import resource_key, table_key

if TYPE_CHECKING:
    from drillster_pipeline.export import PublishOutcome
    from drillster_pipeline.export.facts import Facts

COMPLETE = "complete"
NO_REJECTS = "no_rejects"
NO_UNKNOWN_FIELDS = "no_unknown_fields"
NO_ORPHANS = "no_orphans"
AGREES = "agrees_with_drillster"
FRESH = "fresh"

AGREEING = ("accounts", "groups", "group_members", "group_playables", "catalog_playables", "results")
"""Tables for whose rows Drillster has a count of its own."""
FRESH_TABLES = ("results", "objective_events")

MAIN_TABLE: Mapping[str, str] = {
    "organization": "organizations",
    "accounts": "accounts",
    "catalogs": "catalogs",
    "catalog_content": "catalog_playables",
    "groups": "groups",
    "group_members": "group_members",
    "group_staff": "group_staff",
    "group_drillables": "group_playables",
    "objectives": "objectives",
    "objective_evaluations": "objective_evaluations",
    "results": "results",
    "test_results": "test_results",
    "objective_events": "objective_events",
}
"""The table that a resource's fields end up in first: where unknown ones are reported."""
_RESOURCE_OF = {table: resource for resource, table in MAIN_TABLE.items()}


def capture_checks(resources: tuple[str, ...]) -> list[dg.AssetCheckSpec]:
    """The checks of captured resources."""
    return [
        dg.AssetCheckSpec(
            COMPLETE,
            asset=resource_key(resource),
            description="Everything that Drillster counts was read: nothing closed to us, unavailable or cut short.",
        )
        for resource in resources
    ]


def publish_checks(tables: list[Table]) -> list[dg.AssetCheckSpec]:
    """The checks of published tables."""
    return [
        dg.AssetCheckSpec(name, asset=table_key(table.name), description=description)
        for table in tables
        for name, description in _named(table)
    ]


def _named(table: Table) -> Iterator[tuple[str, str]]:
    yield NO_REJECTS, "Every row fitted its table."
    if table.name in _RESOURCE_OF:
        yield NO_UNKNOWN_FIELDS, "Drillster's answers held no field that this program does not know."
    if any(_parent(column.references) for column in table.columns):
        yield NO_ORPHANS, "Whatever a row refers to is there."
    if table.name in AGREEING:
        yield AGREES, "There are as many rows as Drillster itself counts."
    if table.name in FRESH_TABLES:
        yield FRESH, "The newest export date that has ended is in the warehouse."


def _parent(reference: str | None) -> str | None:
    table = (reference or "").split(".")[0]
    return table if table in DATA_TABLES else None


def complete(resource: str, manifest: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Whether a resource was read whole."""
    entry = manifest["resources"][resource]
    troubles = []
    if entry["status"] == "unavailable":
        troubles.append(f"It could not be read: {entry['why']}. Its tables stay as they are")
    closed = [lost["unit"] for lost in entry["lost"] if lost["status"] == 403]
    missing = [lost["unit"] for lost in entry["lost"] if lost["status"] == 404]
    if closed and entry["status"] != "unavailable":
        troubles.append(
            f"{_some(closed)} closed to the service account (403), and their rows stay as they were: "
            "give it the right to view them"
        )
    if missing and entry["status"] != "unavailable":
        troubles.append(f"{_some(missing)} gone when asked for (404)")
    troubles += [
        f"{_unit(short['unit'])} gave {short['items']} items, and Drillster counts {short['expected']}: "
        "nothing is marked deleted on account of this read"
        for short in entry["short"][:3]
    ]
    return dg.AssetCheckResult(
        passed=not troubles,
        check_name=COMPLETE,
        asset_key=resource_key(resource),
        severity=dg.AssetCheckSeverity.WARN,
        description=". ".join(troubles) if troubles else "Everything was read.",
        metadata={
            "units": entry["units"],
            "items": entry["items"],
            "closed": len(closed),
            "gone": len(missing),
            "incomplete lists": len(entry["short"]),
        },
    )


def _some(units: list[dict[str, str]]) -> str:
    shown = ", ".join(_unit(unit) for unit in units[:5])
    more = f" and {len(units) - 5} more" if len(units) > 5 else ""
    return f"{shown}{more} {'is' if len(units) == 1 else 'are'}"


def _unit(unit: Mapping[str, str]) -> str:
    """A unit in words; account ids are opaque keys, not personal values."""
    return ", ".join(f"{name.removesuffix('_id')} {value}" for name, value in unit.items()) or "The list"


def published(table: Table, outcome: PublishOutcome, facts: Facts) -> Iterator[dg.AssetCheckResult]:
    """The checks of one published table; ``facts`` are what the warehouse was asked after the publish."""
    names = dict(_named(table))
    report = outcome.report.tables.get(table.name)
    rejected = report.rows_rejected if report else 0
    yield _check(
        table,
        NO_REJECTS,
        passed=rejected == 0,
        good="Every row fitted its table.",
        bad=f"{rejected} of {report.rows_read if report else 0} rows did not fit and were left out: "
        f"rejected_rows has the reasons, under load_id {outcome.report.load_id} and table_name {table.name}",
    )
    if NO_UNKNOWN_FIELDS in names:
        unknown = outcome.unknown_fields.get(_RESOURCE_OF[table.name], {})
        yield _check(
            table,
            NO_UNKNOWN_FIELDS,
            passed=not unknown,
            good="All fields are known.",
            bad=f"Drillster gives {len(unknown)} field(s) that this program does not load: "
            f"{', '.join(sorted(unknown)[:10])}. They are kept in the archive; a newer version may load them",
            metadata={"unknown fields": dict(sorted(unknown.items()))} if unknown else {},
        )
    if NO_ORPHANS in names:
        orphans = facts.orphans.get(table.name, {})
        yield _check(
            table,
            NO_ORPHANS,
            passed=not orphans,
            good="Whatever a row refers to is there.",
            bad="Rows refer to what is not there: "
            + ", ".join(f"{count} by {column}" for column, count in orphans.items())
            + ". Replay the newest date (backfill it): that brings back what they refer to",
        )
    if AGREES in names:
        differences = facts.differences.get(table.name)
        yield _check(
            table,
            AGREES,
            passed=not differences,
            good="There are as many rows as Drillster itself counts.",
            bad=f"{differences}. A few are life during a long walk; many mean that something was missed: "
            "look at the check 'complete' of the resource",
        )
    if FRESH in names:
        yield _check(
            table,
            FRESH,
            passed=facts.newest_loaded is not None and facts.newest_loaded >= facts.newest_complete,
            good=f"The newest export date that has ended, {facts.newest_complete}, is in the warehouse.",
            bad=f"The warehouse describes {facts.newest_loaded or 'no date yet'}, and {facts.newest_complete} has "
            f"ended: run the job 'nightly' for {facts.newest_complete}",
        )


def _check(
    table: Table, name: str, *, passed: bool, good: str, bad: str, metadata: Mapping[str, Any] | None = None
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=bool(passed),
        check_name=name,
        asset_key=table_key(table.name),
        severity=dg.AssetCheckSeverity.WARN,
        description=good if passed else bad,
        metadata=dict(metadata or {}),
    )
