"""Asset checks: each says in a sentence what is wrong and what to do, or that all is well, with numbers to plot.

What must stop a publish is validated before it, in staging: a row that refers to what is not there, say, is rejected
there. These checks are about what was published. Each costs three events in every run, so there are few.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.formatting import listed
from drillster_pipeline.resources import entry_of
from drillster_pipeline.response_shapes import shown_unit
from drillster_pipeline.tables import FIRST_TABLES, Table

from .specs import resource_key, table_key

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.publish import LoadQuality, PublishOutcome

COMPLETE = "complete"
NO_REJECTS = "no_rejects"
NO_UNKNOWN_FIELDS = "no_unknown_fields"
AGREES = "agrees_with_drillster"

REPORTED_AT: Mapping[str, str] = {table: resource for resource, table in FIRST_TABLES.items()}
"""The first table of each resource: where unknown fields of the resource are reported."""
_SHOWN, _FIELDS_SHOWN, _REASONS_SHOWN = 5, 10, 3
_WHAT_TO_DO = (
    "`drillster-pipeline check` shows of each endpoint how it answers and what to do; the next run reads it again"
)


def capture_checks(resources: Sequence[str]) -> list[dg.AssetCheckSpec]:
    """The checks of captured resources."""
    description = "Everything that Drillster counts was read: nothing closed, unavailable or cut short."
    return [dg.AssetCheckSpec(COMPLETE, asset=resource_key(name), description=description) for name in resources]


def publish_checks(tables: Sequence[Table]) -> list[dg.AssetCheckSpec]:
    """The checks of published tables."""
    found = []
    for table in tables:
        described = {NO_REJECTS: "Every row fitted its table, and everything that it refers to is there."}
        if table.name in REPORTED_AT:
            described[NO_UNKNOWN_FIELDS] = "Drillster's responses had no field that this program does not know."
        if table.counts:
            described[AGREES] = "There are as many rows as Drillster counts, but for changes during the capture."
        found += [
            dg.AssetCheckSpec(name, asset=table_key(table.name), description=description)
            for name, description in described.items()
        ]
    return found


def complete(resource: str, manifest: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Whether a resource was read completely."""
    entry = entry_of(manifest, resource)
    gone_groups = set(manifest["groups"]["gone"]) - set(manifest["groups"]["closed"])
    units: dict[str, list[Mapping[str, str]]] = {"closed": [], "gone": [], "hidden": [], "failed": []}
    for lost in entry["lost"]:
        is_gone = lost["unit"].get("group_id") in gone_groups
        reason = {403: "closed", 404: "gone" if is_gone else "hidden"}.get(lost["status"], "failed")
        units[reason].append(lost["unit"])
    if "why" in entry:
        problems = [f"It could not be read: {entry['why']}. Its tables stay as they are. {_WHAT_TO_DO}"]
    else:
        problems = [
            f"{listed([*map(_unit, lost)], _SHOWN)} {'is' if len(lost) == 1 else 'are'} {words}"
            for reason, words in _LOST.items()
            if (lost := units[reason])
        ]
        problems += [
            f"{_unit(short['unit'])} gave {short['items']:,} items, and Drillster counts {short['expected']:,}: rows "
            "that are missing are not marked deleted"
            for short in entry["short"][:_SHOWN]
        ]
    return _result(
        resource_key(resource),
        COMPLETE,
        manifest["export_date"],
        ". ".join(problems) or f"Everything was read: {entry['items']:,} items in all",
        passed=not problems,
        rows=entry["items"],
        **({} if entry["named_total"] is None else {"expected": entry["named_total"]}),
        closed=len(units["closed"]),
        gone=len(units["gone"]) + len(units["hidden"]),
        failed=len(units["failed"]),
        incomplete_lists=len(entry["short"]),
    )


_LOST = {
    "closed": "closed to the service account; rows that are there stay as they are: give it the right to view them",
    "gone": "gone when requested (404)",
    "hidden": "not to be found (404); rows that are there stay as they are",
    "failed": "without a usable response after all attempts; nothing is marked deleted for it",
}


def _unit(unit: Mapping[str, str]) -> str:
    """A unit in words; account ids are opaque keys, not personal values."""
    return shown_unit(unit) or "The list"


def published(table: Table, outcome: PublishOutcome, quality: LoadQuality) -> list[dg.AssetCheckResult]:
    """The checks of one published table."""
    found = [_no_rejects(table, outcome, quality)]
    if table.name in REPORTED_AT:
        found.append(_no_unknown_fields(table, outcome))
    if table.counts:
        found.append(_agrees(table, outcome, quality))
    return found


def _no_rejects(table: Table, outcome: PublishOutcome, quality: LoadQuality) -> dg.AssetCheckResult:
    key, day = table_key(table.name), str(outcome.export_date)
    if why := outcome.unavailable.get(table.name):
        adds = table.name in outcome.load_types
        what = "Only what other responses name was added" if adds else "The table stays as it is"
        return _result(key, NO_REJECTS, day, f"{what}: {why}. {_WHAT_TO_DO}", passed=False)
    report, rounded = outcome.report.tables[table.name], outcome.rounded[table.name]
    words = f"All {report.rows_read:,} rows fitted"
    if report.rows_rejected:
        reasons = _counted(quality.reject_reasons.get(table.name, []))
        words = (
            f"{report.rows_rejected:,} of {report.rows_read:,} rows did not fit and were left out: "
            f"{listed(reasons, _REASONS_SHOWN)}. The table "
            f"rejected_rows has them all, under load_id {outcome.report.load_id} and table_name {table.name}"
        )
    if rounded:
        words += f". Rounded, as they had a fraction: {listed(_counted(rounded.items()))}"
    numbers = {"rows": report.rows_read, "rejected": report.rows_rejected, "rounded": sum(rounded.values())}
    return _result(key, NO_REJECTS, day, words, passed=not report.rows_rejected, **numbers)


def _counted(found: Iterable[tuple[str, int]]) -> list[str]:
    return [f"{what} ({number:,})" for what, number in found]


def _no_unknown_fields(table: Table, outcome: PublishOutcome) -> dg.AssetCheckResult:
    unknown = dict(sorted(outcome.unknown_fields.get(REPORTED_AT[table.name], {}).items()))
    words = "All fields are known"
    if unknown:
        words = (
            f"Drillster gives {len(unknown)} field(s) that this program does not load: "
            f"{listed(list(unknown), _FIELDS_SHOWN)}. They are kept "
            "in the archive: report them, so that a newer version loads them, and a backfill then fills them in"
        )
    details: dict[str, Any] = {"unknown": len(unknown), **({"first_found_in": unknown} if unknown else {})}
    day = str(outcome.export_date)
    return _result(table_key(table.name), NO_UNKNOWN_FIELDS, day, words, passed=not unknown, **details)


def _agrees(table: Table, outcome: PublishOutcome, quality: LoadQuality) -> dg.AssetCheckResult:
    key, day = table_key(table.name), str(outcome.export_date)
    if why := outcome.unavailable.get(table.name):
        return _result(key, AGREES, day, f"Not compared: {why}")
    compared = quality.comparisons[table.name]
    words = compared.words
    if not compared.agrees:
        words += (
            f". That is more than changes during a capture: see the check '{COMPLETE}' of the resources of this table"
        )
    numbers = {"rows": compared.rows, "expected": compared.expected}
    known = {name: number for name, number in numbers.items() if number is not None}
    return _result(key, AGREES, day, words, passed=compared.agrees, **known)


def _result(
    key: dg.AssetKey, name: str, export_date: str, words: str, *, passed: bool = True, **metadata: Any
) -> dg.AssetCheckResult:
    """With the date: Dagster shows the check of the run that came last, which may be that of a past date."""
    return dg.AssetCheckResult(
        passed=passed,
        check_name=name,
        asset_key=key,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{export_date}: {words}.",
        metadata=metadata,
    )
