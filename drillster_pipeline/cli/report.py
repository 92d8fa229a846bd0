"""`report`: the page of one export date."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drillster_pipeline.errors import Refused

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.context import PipelineContext


def run_report(session: PipelineContext, day: date | None, *, names: bool, output: Path | None) -> None:
    """Write the report of a date, or of the newest one in the warehouse."""
    from drillster_pipeline.pipeline.report import write_report

    if day is None:
        # Of a date that is not complete, the report says what is missing.
        day = session.warehouse.ledger.last_date_before("snapshot", date.max)
        if day is None:
            raise Refused("There is nothing in the warehouse to report on yet: `drillster-pipeline run` fills it")
    written = write_report(session, day, names=names, output=output)
    click.echo(f"The report of {day} is {written.location} ({written.size / 1024:,.0f} KiB): open it in a browser.")
    if names:
        click.echo("It holds names: keep it as you keep the warehouse.")
