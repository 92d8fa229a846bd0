"""``drillster-pipeline``: thin, on the same code paths as Dagster.

Exit codes: 0 done, 1 unexpected, 2 settings, 3 permission, 4 Drillster unavailable (try later), 5 refused by the guard
or by a past date, 6 Drillster broke its contract.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drillster_pipeline import __version__
from drillster_pipeline.errors import PipelineError, SettingsError, needs_extra

from .organizations import organization_option, organizations_here, selected_name, selected_names, selected_organization
from .token import WIDGETS, print_token

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.context import PipelineContext


def main() -> None:
    """Run a command; a PipelineError ends it with its message and exit code, without a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        code = commands(standalone_mode=False)  # what a command exits with, click returns
    except click.Abort:
        click.echo("Interrupted. What was captured is kept; run again to resume.", err=True)
        sys.exit(130)
    except click.ClickException as mistake:
        mistake.show()
        sys.exit(2)
    except PipelineError as error:
        click.echo(str(error), err=True)
        if type(error) is SettingsError and not any(each.startswith("--organization") for each in sys.argv):
            with suppress(SettingsError):
                if known := organizations_here():
                    click.echo(f"Or choose an organization: --organization {', '.join(known)}", err=True)
        sys.exit(error.exit_code)
    sys.exit(code or 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@organization_option
def commands() -> None:
    """Export the data of Drillster into a SQL warehouse every night, completely or not at all."""


def _open_context(*, needs_api: bool) -> PipelineContext:
    from drillster_pipeline.pipeline.context import PipelineContext

    organization = selected_organization()
    return PipelineContext(settings=organization.load(needs_api=needs_api), tables=organization.tables)


_TAKES_ID = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
"""One id in 64 begins with a dash, and may have an h after it."""
_folder_option = partial(click.option, "--folder", type=click.Path(file_okay=False, path_type=Path), show_default=True)
_accounts_option = click.option("--accounts", default=60, show_default=True, type=click.IntRange(20, 100_000))
_date_option = partial(
    click.option,
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=lambda _, __, moment: moment and moment.date(),
)


@commands.command()
@organization_option
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="For people or programs.")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a ZIP file to attach to a question; it holds no secret and no personal value.",
)
@click.option("--alert", "send_alert", is_flag=True, help="Try every alert URL and the heartbeat URL.")
def check(form: str, bundle: Path | None, send_alert: bool) -> None:
    """Try settings, clock, token, endpoints, warehouse and archive: what works, what does not, what to do.

    It requests one page of each endpoint, changes nothing, and leaves nothing behind.
    """
    from .check import run_check

    raise click.exceptions.Exit(run_check(form, selected_organization(), bundle=bundle, send_alert=send_alert))


@commands.command()
@organization_option
@_date_option(help="Export date; the newest complete one if left out.")
@click.option("--allow-mass-delete", is_flag=True, help="Publish even if very many rows would be marked as deleted.")
@click.option("--capture-again", is_flag=True, help="Capture anew even if an earlier capture waits to be published.")
def run(day: date | None, allow_mass_delete: bool, capture_again: bool) -> None:
    """Run the nightly job for one export date, in this process.

    Without --date, it then fetches the events of earlier dates that were passed over, as far as 31 days back.
    """
    from .run import run_command

    code = run_command(selected_names(), day, allow_mass_delete=allow_mass_delete, capture_again=capture_again)
    raise click.exceptions.Exit(code)


@commands.command()
@organization_option
@click.option(
    "--nights",
    default=14,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many dates to list, the newest first.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "prometheus"]),
    default="table",
    help="For people, programs, or the textfile collector of node_exporter.",
)
def status(nights: int, form: str) -> None:
    """Show which dates are in the warehouse and in the archive, how old it is, and which dates lack data and why.

    Without --organization, in a project that declares several, a line for each of them.
    """
    from .rendering import console

    every = {} if selected_name() else organizations_here()
    if every or form != "table":
        from drillster_pipeline.pipeline.status import read_all

        from .all_status import as_json, as_prometheus, exit_code_of, show_organizations

        found = read_all([names.organization for names in every.values()] or [selected_organization()])
        if form == "table":
            show_organizations(console(), found)
        else:
            click.echo({"json": as_json, "prometheus": as_prometheus}[form](found))
        raise click.exceptions.Exit(exit_code_of(found))
    from .status import show_status

    with _open_context(needs_api=False) as context:
        error = show_status(console(), context, nights=nights)
    raise click.exceptions.Exit(error.exit_code if error else 0)


@commands.command()
@organization_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "ddl", "mermaid", "dbt"]),
    default="markdown",
    show_default=True,
    help="Data dictionary, SQL, entity diagram, or dbt sources.",
)
@click.option("--dialect", default="postgresql", show_default=True, help="Dialect of --format ddl.")
@click.option("--schema", "in_schema", help="Schema that ddl and dbt name; dbt without one: that of the target.")
@click.option("--database", help="Database that dbt names; without one: that of the target.")
@click.option(
    "--all-organizations",
    is_flag=True,
    help="Instead: views over all organizations of this project that share a PostgreSQL database, in --schema or "
    "all_organizations, and the GRANTs of a role that reads them.",
)
@click.option("--apply", is_flag=True, help="With --all-organizations: make these views.")
def schema(
    form: str, dialect: str, in_schema: str | None, database: str | None, all_organizations: bool, apply: bool
) -> None:
    """Print the contract of the warehouse."""
    if all_organizations:
        from drillster_pipeline.warehouse.all_organizations import DEFAULT_SCHEMA

        from .all_organizations import views_over_all

        views_over_all(in_schema or DEFAULT_SCHEMA, apply=apply)
        return
    if apply:
        raise click.UsageError("--apply makes the views of --all-organizations: name both")
    from .maintenance import render

    click.echo(render(form, dialect, schema=in_schema, database=database), nl=False)


@commands.command()
@organization_option
@click.argument("roles", nargs=-1, metavar="[ROLE]...")
@click.option("--prefix", help="What the names of roles and their schemas begin with; the warehouse's schema and _.")
@click.option("--apply", is_flag=True, help="Set the rights, by the role of DRILLSTER_WAREHOUSE_URL.")
def grants(roles: tuple[str, ...], prefix: str | None, apply: bool) -> None:
    """Print the SQL that gives roles of PostgreSQL their rights: all roles, or those that are named.

    They are dashboard, analyst, reader_without_names, auditor, team_lead and loader. Run it again after an upgrade.
    """
    from .grants import run_grants

    with _open_context(needs_api=False) as context:
        run_grants(context, roles, prefix, apply=apply)


@commands.command()
@organization_option
@click.option("--account", "account_id", help="ID of the end user's account; the service account if left out.")
@click.option("--header", is_flag=True, help="Print the Authorization header, as curl -H @- reads it.")
@click.option("--widget", type=click.Choice(WIDGETS), help="Print the HTML element that starts this widget.")
@click.option("--show", is_flag=True, help="Print it even on a terminal.")
def token(account_id: str | None, header: bool, widget: str | None, show: bool) -> None:
    """Get an access token and print it for a program; when it expires is on standard error.

    It is for the service account, or with --account for an end user whom the organization manages.
    """
    with _open_context(needs_api=True) as context:
        print_token(context.settings, account_id, header=header, widget=widget, show=show)


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8780, show_default=True)
@_accounts_option
@click.option("--seed", default=7, show_default=True)
@_folder_option(default=Path("data/sandbox"), help="Where its key and the settings of a client are written.")
def sandbox(host: str, port: int, accounts: int, seed: int, folder: Path) -> None:
    """Run a local Drillster to try things out with."""
    with needs_extra("sandbox", "The local Drillster"):
        from .demo import run_sandbox

    run_sandbox(host=host, port=port, accounts=accounts, seed=seed, folder=folder)


@commands.command()
@click.option("--nights", default=7, show_default=True, type=click.IntRange(1, 60))
@_accounts_option
@_folder_option(
    default=Path("data/demo"), help="Where the demo keeps everything; what an earlier demo left there is removed."
)
def demo(nights: int, accounts: int, folder: Path) -> None:
    """Export some dates of a made-up organization, and show what an analyst gets."""
    with needs_extra("sandbox", "The demo"):
        from .demo import run_demo

    raise click.exceptions.Exit(run_demo(nights=nights, accounts=accounts, folder=folder))


@commands.command()
@organization_option
@click.option(
    "--superset",
    "file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the ZIP file for Superset's /api/v1/assets/import/.",
)
@click.option(
    "--url",
    help="The PostgreSQL that Superset reads, postgresql://LOGIN@HOST/DATABASE; without it that of "
    "DRILLSTER_WAREHOUSE_URL and the login superset. The import asks for the password.",
)
def dashboards(file: Path, url: str | None) -> None:
    """Write dashboards for Apache Superset 6.1: compliance, practice, overdue and coming reviews, data health.

    An import of a newer file updates them. Another version of Superset may refuse the file, or show a chart otherwise.
    """
    from .dashboards import write_dashboards

    write_dashboards(selected_organization(), file, url)


@commands.command()
@organization_option
@click.option("--keep-month-ends", is_flag=True, help="As DRILLSTER_KEEP_MONTH_ENDS=yes, this time.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def prune(keep_month_ends: bool, dry_run: bool) -> None:
    """Remove captures older than DRILLSTER_ARCHIVE_DAYS, Dagster runs of that age, and old snapshots if wanted."""
    from .maintenance import run_prune

    with _open_context(needs_api=False) as context:
        run_prune(context, selected_names(), keep_month_ends=keep_month_ends, dry_run=dry_run)


@commands.command(context_settings=_TAKES_ID)
@organization_option
@click.argument("account_id", type=click.UNPROCESSED)
@click.option("--yes", is_flag=True, help="Do not ask whether you are sure.")
def forget(account_id: str, yes: bool) -> None:
    """Erase a person from warehouse and archive, for good, and record that it was done."""
    from .maintenance import run_forget

    sure = f"Erase account {account_id} from warehouse and archive? This cannot be undone"
    if not (yes or click.confirm(sure)):
        click.echo("Nothing was erased.", err=True)
        raise click.exceptions.Exit(130)
    with _open_context(needs_api=False) as context:
        run_forget(context, account_id)


@commands.command(context_settings=_TAKES_ID)
@organization_option
@click.argument("account_id", type=click.UNPROCESSED)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("disclosure.zip"),
    show_default=True,
    help="Where to write the ZIP file.",
)
def disclose(account_id: str, output: Path) -> None:
    """Write all that is kept of a person, for the person (GDPR, article 15): a page to read, and JSON."""
    from .maintenance import run_disclose

    with _open_context(needs_api=False) as context:
        run_disclose(context, account_id, output)


@commands.command()
@organization_option
@_date_option(help="Export date; the newest one in the warehouse if left out.")
@click.option("--names", is_flag=True, help="Name the people who are overdue.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the page.")
def report(day: date | None, names: bool, output: Path | None) -> None:
    """Write the report of an export date: one HTML page, to read, print or forward."""
    from .maintenance import run_report

    with _open_context(needs_api=False) as context:
        run_report(context, day, names=names, output=output)


@commands.command()
@organization_option
@click.option("--objective", help="Id of the objective.")
@_date_option(help="Export date.")
@click.option("--group", help="Id of a group, for its members alone.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the CSV file.")
@click.option(
    "--verify",
    "verified",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Verify a file that was written earlier, by archive and warehouse.",
)
def evidence(
    objective: str | None, day: date | None, group: str | None, output: Path | None, verified: Path | None
) -> None:
    """Write who met an objective on a date, by which norm, with proof of where that is known from."""
    from drillster_pipeline.pipeline.evidence import Claim

    from .evidence import verify_evidence, write_evidence
    from .rendering import console

    with _open_context(needs_api=False) as context:
        if verified is not None:
            if objective or day or group or output:
                raise click.UsageError("--verify takes all it needs from the provenance file: give no other option")
            raise click.exceptions.Exit(verify_evidence(console(), context, verified))
        if not objective or day is None:
            raise click.UsageError("Name --objective and --date, or a file to --verify")
        context.require_ended(day)
        write_evidence(console(), context, Claim(objective, day, group), output)
