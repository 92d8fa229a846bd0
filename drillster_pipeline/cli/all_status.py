"""`status` of all organizations, as a table; or of any number of them, for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console

from drillster_pipeline.archive.captures import utc_text
from drillster_pipeline.dates import midnight
from drillster_pipeline.errors import gravest_exit_code
from drillster_pipeline.formatting import duration
from drillster_pipeline.pipeline.gaps import FETCHED_FOR
from drillster_pipeline.pipeline.status import OrganizationStatus

from .rendering import escape, table

Sample = tuple[dict[str, str], float]
"""Labels of a metric, and its value."""


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
            "read_at": utc_text(each.read_at),
            "newest_ended_date": each.newest_complete and str(each.newest_complete),
            "is_complete": each.is_complete,
            "loads": {
                kind: load
                and {
                    "export_date": str(load.export_date),
                    "finished_at": utc_text(load.finished_at),
                    "age_seconds": round(each.age_seconds(load), 3),
                    "is_complete": load.is_complete,
                    "rows_read": load.rows_read,
                    "rows_rejected": load.rows_rejected,
                }
                for kind, load in each.loads.items()
            },
            "missing_dates": None if each.gaps is None else {str(day): known for day, known in each.gaps.items()},
            "failures": {part: str(failure) for part, failure in each.failures.items()},
        }
        for each in found
    ]
    return json.dumps({"format": 1, "exit_code": exit_code_of(found), "organizations": organizations}, indent=1)


def as_prometheus(found: Sequence[OrganizationStatus]) -> str:
    """Prometheus' text format, version 0.0.4; what is not known has no sample.

    See https://prometheus.io/docs/instrumenting/exposition_formats/.
    """
    loads = [
        (each, {"organization": each.organization, "kind": kind}, load)
        for each in found
        for kind, load in each.loads.items()
        if load
    ]
    metrics: dict[str, tuple[str, Iterable[Sample]]] = {
        "up": (
            "Whether settings, warehouse and archive could be read.",
            (({"organization": each.organization}, not each.failures) for each in found),
        ),
        "newest_export_date_timestamp_seconds": (
            "When the newest export date in the warehouse begins in its time zone.",
            (
                (labels, midnight(load.export_date, each.timezone).timestamp())
                for each, labels, load in loads
                if each.timezone
            ),
        ),
        "load_age_seconds": (
            "Time since the load of that date was published.",
            ((labels, each.age_seconds(load)) for each, labels, load in loads),
        ),
        "load_complete": (
            "Whether that load is complete.",
            (
                ({"organization": each.organization, "kind": kind}, load is not None and load.is_complete)
                for each in found
                for kind, load in each.loads.items()
            ),
        ),
        "missing_dates": (
            f"Export dates of the last {FETCHED_FOR.days} days without all of their data.",
            (({"organization": each.organization}, len(each.gaps)) for each in found if each.gaps is not None),
        ),
    }
    return "".join(
        line for name, (text, samples) in metrics.items() for line in _lines(f"drillster_{name}", text, samples)
    )


def _lines(name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        # Names of organizations have no character that would have to be escaped.
        text = ",".join(f'{key}="{label}"' for key, label in labels.items())
        yield f"{name}{{{text}}} {float(value):.15g}\n"
