"""`status` of all organizations, as a table; or of any number of them, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from drillster_pipeline.dates import midnight
from drillster_pipeline.errors import gravest_exit_code
from drillster_pipeline.formatting import duration
from drillster_pipeline.pipeline.gaps import FETCHED_FOR
from drillster_pipeline.pipeline.status import OrganizationStatus

from .rendering import escape, table

_METRICS = {
    "up": "Whether settings, warehouse and archive could be read.",
    "newest_export_date_timestamp_seconds": "When the newest export date in the warehouse begins in its time zone.",
    "load_age_seconds": "Time since the load of that date was published.",
    "load_complete": "Whether that load is complete.",
    "missing_dates": f"Export dates of the last {FETCHED_FOR.days} days without all of their data.",
}
"""Gauges, and what they say."""


def exit_code_of(found: Sequence[OrganizationStatus]) -> int:
    """0, or that of the gravest failure."""
    return gravest_exit_code(failure for each in found for failure in each.failures.values())


def show_organizations(console: Console, found: Sequence[OrganizationStatus]) -> None:
    """A row for each, and what could not be read."""
    missing = f"dates missing in {FETCHED_FOR.days} days>"
    shown = table("Organizations", "organization", "newest date", "age", "complete", missing, "can't be read")
    for each in found:
        load = next((load for load in each.loads.values() if load), None)
        is_new = load is not None and load.export_date == each.newest_complete
        shown.add_row(
            each.organization,
            f"[{'green' if is_new else 'yellow'}]{load.export_date}[/]" if load else "[yellow]-[/]",
            duration(each.age_seconds(load)) if load else "-",
            "yes" if each.is_complete else "[yellow]no[/]" if each.loads else "-",
            "-" if each.gaps is None else f"[yellow]{len(each.gaps)}[/]" if each.gaps else "0",
            f"[red]{', '.join(each.failures)}[/]",
        )
    console.print(shown)
    for each in found:
        for failure in each.failures.values():
            console.print(f"[red]✗[/] {each.organization}: {escape(str(failure))}")


def as_json(found: Sequence[OrganizationStatus]) -> str:
    """One object; within a ``format`` fields may be added, and none is renamed or removed."""
    organizations = [
        {
            "name": each.organization or None,
            "read_at": each.read_at,
            "newest_ended_date": each.newest_complete,
            "is_complete": each.is_complete,
            "loads": {
                kind: load and {**asdict(load), "age_seconds": round(each.age_seconds(load), 3)}
                for kind, load in each.loads.items()
            },
            "missing_dates": None if each.gaps is None else {str(day): known for day, known in each.gaps.items()},
            "failures": {part: str(failure) for part, failure in each.failures.items()},
        }
        for each in found
    ]
    answer = {"format": 1, "exit_code": exit_code_of(found), "organizations": organizations}
    return json.dumps(answer, indent=1, default=lambda moment: moment.isoformat())


def as_prometheus(found: Sequence[OrganizationStatus]) -> str:
    """Prometheus' text format, version 0.0.4; what is not known has no sample.

    See https://prometheus.io/docs/instrumenting/exposition_formats/. Names of organizations have no character that
    would have to be escaped.
    """
    samples: dict[str, list[str]] = {name: [] for name in _METRICS}

    def add(name: str, labels: str, value: float) -> None:
        samples[name].append(f"drillster_{name}{{{labels}}} {float(value):.15g}")

    for each in found:
        organization = f'organization="{each.organization}"'
        add("up", organization, not each.failures)
        if each.gaps is not None:
            add("missing_dates", organization, len(each.gaps))
        for kind, load in each.loads.items():
            labels = f'{organization},kind="{kind}"'
            add("load_complete", labels, load is not None and load.is_complete)
            if load and each.timezone:
                add("load_age_seconds", labels, each.age_seconds(load))
                begins = midnight(load.export_date, each.timezone)
                add("newest_export_date_timestamp_seconds", labels, begins.timestamp())
    headed = (
        [f"# HELP drillster_{name} {text}", f"# TYPE drillster_{name} gauge", *samples[name]]
        for name, text in _METRICS.items()
    )
    return "\n".join(line for lines in headed for line in lines)
