"""How many requests a run makes and how long it takes, by the formula and the measurements of docs/scaling.md."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING

from drillster_pipeline import resources as api
from drillster_pipeline.api.crawler import count_in
from drillster_pipeline.api.paging import PAGE_SIZES
from drillster_pipeline.formatting import count, duration, size

from .report import DiagnosticsReport, Estimate, Part

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

    from .endpoints import Probe

BASE_SECONDS, CPU_SECONDS_PER_REQUEST = 4.3, 0.0018
RECEIVED_BYTES, ARCHIVE_BYTES, WAREHOUSE_BYTES = 800, 105, 450
"""For each row of a snapshot table."""


def add_estimate(report: DiagnosticsReport, probe: Probe, settings: Settings) -> None:
    """Add the estimate to the report."""
    with report.step(
        Part.ESTIMATE, "run", "counts and times of these pages, in the formula of docs/scaling.md"
    ) as step:
        found = report.estimate = _estimate(probe, settings)
        if found is None:
            report.skip(Part.ESTIMATE, "run", "there is no list of groups")
            return
        step.ok(
            f"about {count(found.requests)} requests, for {count(found.groups)} groups with "
            f"{count(found.memberships)} memberships and {count(found.objectives)} objectives"
        )
        step.ok(
            f"about {duration(60 * found.minutes)}, at {duration(found.latency_ms / 1000)} an answer and "
            f"DRILLSTER_CONCURRENCY={settings.concurrency}"
        )
        step.ok(
            f"about {size(found.received_bytes)} received and {size(found.archive_bytes)} of archive; after the first "
            f"run the warehouse grows by {size(found.warehouse_bytes)} a run"
        )


def _estimate(probe: Probe, settings: Settings) -> Estimate | None:
    """Groups beyond the first page of the list count as the mean of those on it."""
    latencies = [seconds for result in probe.results.values() for seconds in result.seconds]
    if not probe.of(api.GROUPS).pages or not latencies:
        return None
    groups, accounts, catalogs = (probe.of(each).number for each in (api.GROUPS, api.ACCOUNTS, api.CATALOGS))
    objectives = groups * _mean([page.number for page in probe.of(api.OBJECTIVES).pages])
    counts = [item["counts"] for item in probe.of(api.GROUPS).items if isinstance(item.get("counts"), Mapping)]
    members = [count_in(each, "members") or 0 for each in counts]
    if not counts:  # Drillster left them out
        members = [page.number for page in probe.of(api.GROUP_MEMBERS).pages]
    memberships = groups * _mean(members)
    drillables = _mean([count_in(each, "drillables") or 0 for each in counts])
    tests = groups * _mean([count_in(each, "tests") or 0 for each in counts])
    # Where names are hidden, accounts are read before anything else as well.
    account_pages = math.ceil(accounts / PAGE_SIZES[0]) * (1 if settings.personal_data == "keep" else 2)
    lists = 2 + account_pages + 2 * catalogs + math.ceil(groups / PAGE_SIZES[0])
    requests = lists + 5 * groups + 2 * objectives + tests + memberships
    latency = statistics.median(latencies)
    pace = max(latency / settings.concurrency, CPU_SECONDS_PER_REQUEST, 1 / (settings.requests_per_second or math.inf))
    rows = memberships * (drillables + objectives / max(1, groups))
    return Estimate(
        requests=round(requests),
        groups=groups,
        memberships=round(memberships),
        objectives=round(objectives),
        latency_ms=round(1000 * latency, 1),
        minutes=round((BASE_SECONDS + requests * pace) / 60, 2),
        received_bytes=round(rows * RECEIVED_BYTES),
        archive_bytes=round(rows * ARCHIVE_BYTES),
        warehouse_bytes=round(rows * WAREHOUSE_BYTES),
    )


def _mean(values: list[int]) -> float:
    return statistics.fmean(values) if values else 0.0
