"""The asset ``report/nightly``: the page that is written after a snapshot was published.

Annotations are evaluated here (no ``from __future__ import annotations``): Dagster reads those of operations.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from .failures import guarded
from .partitions import export_date
from .resources import DrillsterResource
from .specs import OWNERS, table_key

if TYPE_CHECKING:
    from drillster_pipeline.export.report import Written

REPORT = dg.AssetKey(["report", "nightly"])
GROUPS_SHOWN = 30
_WORDS = (
    "One HTML page per export date, to read, print or forward: compliance by group and objective, what fades, who "
    "practices (counts, no names), tests, what is overdue, and how complete the data is. It draws on the tables of the "
    "warehouse, and lies in `DRILLSTER_REPORTS_FOLDER`; `drillster-pipeline report` writes the same page."
)


def nightly_report(partitions: dg.PartitionsDefinition[str], *, priority: int) -> dg.AssetsDefinition:
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
                owners=OWNERS,
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
        from drillster_pipeline.export.report import without_people
        from drillster_pipeline.export.report import write_report as write

        def work() -> "tuple[Written, list[str]]":
            session = drillster.run.session
            written = write(session, export_date(context.run.tags))
            return written, without_people(session, [group.name for group in written.figures.groups[:GROUPS_SHOWN]])

        return _reported(*guarded(context, drillster.run, work))

    return write_report


def _reported(written: "Written", names: list[str]) -> dg.MaterializeResult[Any]:
    """What Dagster keeps of a page; ``names`` of its groups, without those of people."""
    figures = written.figures
    share = 100 * figures.met / figures.evaluated if figures.evaluated else None
    rows = [
        f"| {_cell(name)} | {group.learners:,} | {group.practicing:,} | {_percent(group.share)} | "
        f"{_percent(group.proficiency)} |"
        for name, group in zip(names, figures.groups, strict=False)
    ]
    more = len(figures.groups) - GROUPS_SHOWN
    table = [
        "| group | learners | practiced in 7 days | objectives met | average proficiency |",
        "|---|---:|---:|---:|---:|",
        *rows,
        *([f"\nand {more} more groups, on the page"] if more > 0 else []),
    ]
    return dg.MaterializeResult(
        metadata={
            "page": dg.MetadataValue.path(written.path.absolute()),
            "bytes": written.size,
            "objectives met, %": dg.MetadataValue.float(round(share, 1)) if share is not None else "nobody evaluated",
            "people overdue": figures.overdue_people,
            "learners": figures.learners,
            "practiced in 7 days": figures.practicing,
            "no practice for 30 days": figures.stopped,
            "by group": dg.MetadataValue.md("\n".join(table)),
        }
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} %"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
