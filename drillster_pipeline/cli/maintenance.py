"""`prune`, `forget`, `disclose`, `report` and `schema`: what was removed or written, and the contract."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drillster_pipeline.errors import Refused
from drillster_pipeline.formatting import count, size

from .rendering import write_private

if TYPE_CHECKING:
    from drillster_pipeline.orchestration.names import Names
    from drillster_pipeline.pipeline.context import PipelineContext


def run_prune(context: PipelineContext, names: Names, *, keep_month_ends: bool, dry_run: bool) -> None:
    """Prune the archive and Dagster's runs, and print what was removed."""
    import dagster as dg

    from drillster_pipeline.orchestration.home import ensure_home
    from drillster_pipeline.orchestration.jobs import delete_old_runs
    from drillster_pipeline.pipeline.prune import prune

    outcome = prune(context, keep_month_ends=keep_month_ends, dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    for ref in outcome.captures:
        click.echo(f"{verb} {ref.folder}{'' if ref.sealed else ' (unfinished)'}")
    for day in outcome.kept_month_ends:
        click.echo(f"Kept {day}, the last of its month")
    for table, rows in outcome.snapshot_rows.items():
        click.echo(f"Removed {count(rows, 'row')} of {table} of dates before {outcome.snapshots_before}")
    if dry_run and outcome.snapshots_before is not None:
        click.echo(f"Would remove rows of snapshot tables of dates before {outcome.snapshots_before}")
    ensure_home()
    with dg.DagsterInstance.get() as instance:
        runs = delete_old_runs(instance, outcome.before, names, dry_run=dry_run)
    removed = f"{count(len(outcome.captures), 'capture')} and {count(runs, 'Dagster run')}"
    click.echo(f"{verb} {removed}; dates before {outcome.before} are old.")


def run_forget(context: PipelineContext, account_id: str) -> None:
    """Erase a person, and print what was removed."""
    from drillster_pipeline.pipeline.forget import forget

    outcome = forget(context, account_id)
    erased = ", ".join(f"{number} {table}" for table, number in outcome.rows.items()) or "-"
    click.echo(f"Erased {count(sum(outcome.rows.values()), 'row')} of the warehouse: {erased}.")
    click.echo(f"Changed {count(outcome.lines, 'archived response')} in {count(outcome.captures, 'capture')}.")
    if outcome.reports:
        click.echo(f"Removed reports that named the person, to be written anew: {', '.join(outcome.reports)}.")
    if outcome.unfinished:
        click.echo(f"Removed {count(outcome.unfinished, 'unfinished capture')}.")
    click.echo("Evidence and pages that were written elsewhere are not found: remove them yourself.")
    click.echo("If Drillster still has the account, the next run brings it back: remove it there first.")


def run_disclose(context: PipelineContext, account_id: str, output: Path) -> None:
    """Write what there is of a person, and print how much that is."""
    from drillster_pipeline.pipeline.disclose import as_zip, disclose

    found = disclose(context, account_id)
    write_private(output, as_zip(found, context.language))
    rows = sum(map(len, (*found["tables"].values(), *found["texts"].values())))
    responses, reports, unfinished = (len(found[each]) for each in ("responses", "reports", "unfinished_captures"))
    click.echo(f"{output} has {count(rows, 'row')} of the warehouse and {count(responses, 'archived response')};")
    click.echo(f"it names {count(reports, 'report')} and {count(unfinished, 'unfinished capture')}.")
    click.echo("It has all that is kept of the person: hand it over in a safe way, then delete it.")
    click.echo("Evidence and pages that were written elsewhere are not found: look for them yourself.")


def run_report(context: PipelineContext, day: date | None, *, names: bool, output: Path | None) -> None:
    """Write the page of a date, or of the newest one in the warehouse."""
    from drillster_pipeline.pipeline.report import write_report

    if day is not None:
        context.require_ended(day)
    else:
        # Of a date that is not complete, the page says what is missing.
        day = context.warehouse.ledger.last_date_before("snapshot", date.max)
    if day is None:
        raise Refused("There is nothing in the warehouse to report on yet: `drillster-pipeline run` fills it")
    written = write_report(context, day, names=names, output=output)
    click.echo(f"The report of {day} is {written.location} ({size(written.size)}): open it in a browser.")
    if names:
        click.echo("It has names: keep it as you keep the warehouse.")


def render(form: str, dialect: str, *, schema: str | None = None, database: str | None = None) -> str:
    """The contract as ``markdown``, ``ddl``, ``mermaid`` or ``dbt``.

    ``schema`` is what ``ddl`` and ``dbt`` put the tables in, ``database`` what ``dbt`` looks for them in.
    """
    from drillster_pipeline.tables import documents
    from drillster_pipeline.warehouse import CONTRACT, VIEWS, ddl

    views = tuple(VIEWS.values())
    if form == "ddl":
        return ddl(dialect, schema=schema)
    if form == "mermaid":
        return documents.entity_diagram(CONTRACT)
    if form == "dbt":
        return documents.dbt_sources(CONTRACT, views, schema=schema, database=database)
    return documents.data_dictionary(CONTRACT, views)
