"""The asset ``report/nightly``: the page that is written after a snapshot was published.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.settings import Settings

from .errors import error_boundary
from .keys import table_key
from .markdown import columns_picture, table
from .metadata import shown_value, spread_picture
from .partitions import export_date
from .resources import DrillsterResource

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.report import Written
    from drillster_pipeline.report.figures import Figures, Group

REPORT = dg.AssetKey(["report", "nightly"])
GROUPS_SHOWN = 10
_NOT_READ = "not read that night"
_WORDS = (
    "One HTML page per export date, to read, print or forward: compliance by group and objective, what fades, who "
    "practices (counts, no names), tests, what is overdue, and how complete the data is. It draws on the tables of the "
    "warehouse, and lies in `DRILLSTER_REPORTS_FOLDER`; `drillster-pipeline report` writes the same page."
)


def nightly_report(
    partitions: dg.PartitionsDefinition[str], settings: Settings, *, priority: int
) -> dg.AssetsDefinition:
    """The asset of the report."""

    @dg.multi_asset(
        name="write_report",
        specs=[
            dg.AssetSpec(
                REPORT,
                # It draws on more tables, but one that could not be read must not keep the rest from being reported.
                deps=[table_key("groups")],
                description=_WORDS,
                group_name="report",
                kinds={"html"},
                owners=settings.owners,
                partitions_def=partitions,
            )
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        op_tags={"dagster/priority": str(priority)},
    )
    def write_report(
        context: dg.AssetExecutionContext, drillster: dg.ResourceParam[DrillsterResource]
    ) -> dg.MaterializeResult[Any]:
        from drillster_pipeline.pipeline.report import write_report as write

        def work() -> "Written":
            return write(drillster.run.pipeline, export_date(context.run.tags))

        return _reported(error_boundary(context, drillster.run, work))

    return write_report


def _reported(written: "Written") -> dg.MaterializeResult[Any]:
    """What Dagster keeps of a page: figures and ids, since a group is often called after its coach."""
    figures = written.figures
    share = 100 * figures.met / figures.evaluated if figures.evaluated else None
    link = dg.MetadataValue.url if "://" in written.location else dg.MetadataValue.path
    rows = [
        (shown_value("group_id", group.group_id), _percent(group.share), group.learners, group.practicing)
        for group in _least_met(figures)
    ]
    return dg.MaterializeResult(
        metadata={
            "page": link(written.location),
            "in short": _in_short(written),
            "objectives met over time": _trend(written),
            "least met": table(("group", "met", "learners", "practiced"), rows),
            **({"spread of proficiency": spread_picture(figures.spread)} if any(figures.spread) else {}),
            "objectives met, %": dg.MetadataValue.float(round(share, 1)) if share is not None else "nobody evaluated",
            "people overdue": figures.overdue_people if figures.knows("objective_evaluations") else _NOT_READ,
            "learners": figures.learners if figures.knows("results") else _NOT_READ,
            "practiced in 7 days": figures.practicing if figures.knows("results") else _NOT_READ,
            "no practice for 30 days": figures.stopped if figures.knows("results") else _NOT_READ,
            "bytes": written.size,
        }
    )


def _least_met(figures: "Figures") -> "list[Group]":
    """The groups that meet least of their objectives."""
    groups = sorted(figures.groups, key=lambda group: (group.share is None, group.share, group.group_id))
    return groups[:GROUPS_SHOWN]


def _in_short(written: "Written") -> str:
    figures, data = written.figures, written.figures.data
    troubles = len(data.missing) + len(data.incomplete)
    whole = "the data is whole" if not troubles and not data.rejected else "not everything could be read: see the page"
    objectives = f"{figures.met:,} of {figures.evaluated:,} evaluations met, {figures.overdue_people:,} people overdue"
    practice = f"{figures.practicing:,} of {figures.learners:,} learners practiced in 7 days"
    return (
        f"{objectives if figures.knows('objective_evaluations') else 'objectives were not read'}, "
        f"{practice if figures.knows('results') else 'results were not read'}; {whole}."
    )


def _trend(written: "Written") -> dg.MarkdownMetadataValue:
    dates, shares = written.figures.dates, written.figures.compliance
    told = ", ".join(f"{day}: {_percent(share)}" for day, share in zip(dates, shares, strict=True))
    return columns_picture(
        shares,
        most=100,
        first=_end(dates[0], shares[0]),
        last=_end(dates[-1], shares[-1]),
        told=f"Objectives met, {told}",
    )


def _end(day: date, share: float | None) -> str:
    return f"{day.day} {day:%b}: {_percent(share)}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}\N{NO-BREAK SPACE}%"
