"""Asset checks: each says in a sentence what is wrong and what to do, or that all is well.

What must stop a publish is judged before it, in staging: a row that refers to what is not there, say, is rejected
there. These checks tell people about what was published. There is one only where there is something to tell: each
costs three events in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.response_shapes import shown_unit
from drillster_pipeline.tables import Table

from .keys import resource_key, table_key

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.publish import PublishOutcome
    from drillster_pipeline.pipeline.quality import LoadQuality

COMPLETE = "complete"
NO_REJECTS = "no_rejects"
NO_UNKNOWN_FIELDS = "no_unknown_fields"
AGREES = "agrees_with_drillster"

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
_UNITS_SHOWN, _FIELDS_SHOWN, _REASONS_SHOWN = 5, 10, 3
_WHAT_TO_DO = (
    "`drillster-pipeline check` says of each endpoint how it answers and what to do; the next night reads it again"
)


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
    yield NO_REJECTS, "Every row fitted its table, and whatever it refers to is there."
    if table.name in _RESOURCE_OF:
        yield NO_UNKNOWN_FIELDS, "Drillster's answers held no field that this program does not know."
    if table.counts:
        yield AGREES, "There are as many rows as Drillster itself counts, but for what changes during a walk."


def complete(resource: str, manifest: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Whether a resource was read whole."""
    entry = manifest["resources"][resource]
    closed = [lost["unit"] for lost in entry["lost"] if lost["status"] == 403]
    gone_groups = set(manifest["groups"]["gone"]) - set(manifest["groups"]["closed"])
    missing = [lost["unit"] for lost in entry["lost"] if lost["status"] == 404]
    gone = [unit for unit in missing if unit.get("group_id") in gone_groups]
    hidden = [unit for unit in missing if unit.get("group_id") not in gone_groups]
    silent = [lost["unit"] for lost in entry["lost"] if lost["status"] not in {403, 404}]
    troubles = []
    if entry["status"] == "unavailable":
        troubles.append(f"It could not be read: {entry['why']}. Its tables stay as they are. {_WHAT_TO_DO}")
    else:
        if closed:
            troubles.append(
                f"{_some(closed)} closed to the service account, and the rows that are there stay as they were: "
                "give it the right to view them"
            )
        if gone:
            troubles.append(f"{_some(gone)} gone when asked for (404)")
        if hidden:
            troubles.append(f"{_some(hidden)} not to be found (404), and the rows that are there stay as they were")
        if silent:
            troubles.append(
                f"{_some(silent)} without a usable answer, however often asked; nothing is taken for deleted"
            )
        troubles += [
            f"{_unit(short['unit'])} gave {short['items']:,} items, and Drillster counts {short['expected']:,}: "
            "what is missing is not taken for deleted"
            for short in entry["short"][:_UNITS_SHOWN]
        ]
    return dg.AssetCheckResult(
        passed=not troubles,
        check_name=COMPLETE,
        asset_key=resource_key(resource),
        severity=dg.AssetCheckSeverity.WARN,
        description=_dated(
            manifest["export_date"], troubles or [f"Everything was read: {entry['items']:,} items in all"]
        ),
        metadata={
            "items": entry["items"],
            "closed": len(closed),
            "gone": len(missing),
            "incomplete lists": len(entry["short"]),
        },
    )


def _some(units: list[dict[str, str]]) -> str:
    shown = "; ".join(_unit(unit) for unit in units[:_UNITS_SHOWN])
    more = f" and {len(units) - _UNITS_SHOWN:,} more" if len(units) > _UNITS_SHOWN else ""
    return f"{shown}{more} {'is' if len(units) == 1 else 'are'}"


def _unit(unit: Mapping[str, str]) -> str:
    """A unit in words; account ids are opaque keys, not personal values."""
    return shown_unit(unit) or "The list"


def published(table: Table, outcome: PublishOutcome, facts: LoadQuality) -> list[dg.AssetCheckResult]:
    """The checks of one published table; ``facts`` are what the warehouse was asked after the publish."""
    found = [_no_rejects(table, outcome, facts)]
    if table.name in _RESOURCE_OF:
        found.append(_no_unknown_fields(table, outcome))
    if table.counts:
        found.append(_agrees(table, outcome, facts))
    return found


def _no_rejects(table: Table, outcome: PublishOutcome, facts: LoadQuality) -> dg.AssetCheckResult:
    if table.name in outcome.unavailable:
        what = "Only what other answers name was added" if table.name in outcome.plans else "The table stays as it is"
        told = f"{what}: {outcome.unavailable[table.name]}. {_WHAT_TO_DO}"
        return _check(table, outcome, NO_REJECTS, told, passed=False)
    report = outcome.report.tables[table.name]
    rounded = outcome.rounded[table.name]
    metadata = {"rejected": report.rows_rejected, "rounded": sum(rounded.values())}
    fractions = f". Rounded, as they had a fraction: {_counted(rounded.items())}" if rounded else ""
    if not report.rows_rejected:
        told = f"All {report.rows_read:,} rows fitted{fractions}"
        return _check(table, outcome, NO_REJECTS, told, metadata=metadata)
    reasons = facts.reasons.get(table.name, [])
    shown = _counted(reasons[:_REASONS_SHOWN])
    told = (
        f"{report.rows_rejected:,} of {report.rows_read:,} rows did not fit and were left out: {shown}"
        f"{'; …' if len(reasons) > _REASONS_SHOWN else ''}. The table rejected_rows has them all, under load_id "
        f"{outcome.report.load_id} and table_name {table.name}{fractions}"
    )
    return _check(table, outcome, NO_REJECTS, told, passed=False, metadata=metadata)


def _counted(found: Iterable[tuple[str, int]]) -> str:
    return "; ".join(f"{what} ({count:,})" for what, count in found)


def _no_unknown_fields(table: Table, outcome: PublishOutcome) -> dg.AssetCheckResult:
    unknown = outcome.unknown_fields.get(_RESOURCE_OF[table.name], {})
    if not unknown:
        return _check(table, outcome, NO_UNKNOWN_FIELDS, "All fields are known", metadata={"unknown": 0})
    shown = ", ".join(sorted(unknown)[:_FIELDS_SHOWN])
    told = (
        f"Drillster gives {len(unknown)} field(s) that this program does not load: {shown}"
        f"{', …' if len(unknown) > _FIELDS_SHOWN else ''}. They are kept in the archive; a newer version may load "
        "them, and a backfill then fills them in. Nothing is lost until then: report them, so that they are"
    )
    metadata = {"unknown": len(unknown), "first seen in": dict(sorted(unknown.items()))}
    return _check(table, outcome, NO_UNKNOWN_FIELDS, told, passed=False, metadata=metadata)


def _agrees(table: Table, outcome: PublishOutcome, facts: LoadQuality) -> dg.AssetCheckResult:
    if table.name in outcome.unavailable:
        return _check(table, outcome, AGREES, f"Not compared: {outcome.unavailable[table.name]}")
    if table.name in facts.not_compared:
        return _check(table, outcome, AGREES, f"Not compared: {facts.not_compared[table.name]}")
    if table.name not in facts.differences:
        return _check(table, outcome, AGREES, "There are as many rows as Drillster itself counts")
    told = (
        f"{facts.differences[table.name]}. That is more than comes and goes during a walk: look at the check "
        f"'{COMPLETE}' of the resources that this table is drawn from"
    )
    return _check(table, outcome, AGREES, told, passed=False)


def _check(
    table: Table,
    outcome: PublishOutcome,
    name: str,
    told: str,
    *,
    passed: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        check_name=name,
        asset_key=table_key(table.name),
        severity=dg.AssetCheckSeverity.WARN,
        description=_dated(str(outcome.export_date), [told]),
        metadata=dict(metadata or {}),
    )


def _dated(export_date: str, sentences: list[str]) -> str:
    """Dagster shows the check of the run that came last, which may be that of a past date."""
    return f"{export_date}: {'. '.join(sentences)}."
