"""`demo` and `sandbox`: a local Drillster with a made-up organization, and a week of it by the real job."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from datetime import date, timedelta
from itertools import repeat
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import dagster as dg
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from drillster_pipeline.dates import midnight, newest_complete, wall_clock
from drillster_pipeline.errors import SettingsError
from drillster_pipeline.formatting import count, duration
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.sandbox import Sandbox, write_environment
from drillster_pipeline.settings import SETTINGS, load_settings
from drillster_pipeline.warehouse import Warehouse

from .rendering import console, table
from .run import run_date

SEED = 7
KEY_FILE, ENV_FILE = "service-account.pem", "demo.env"
TIMEZONE = ZoneInfo("Europe/Amsterdam")
NIGHTLY_AT = timedelta(hours=2, minutes=30)
DEFINITIONS = "drillster_pipeline.definitions"
EXAMPLE = "SELECT * FROM overdue_objectives LIMIT 10"
_OURS = (
    KEY_FILE,
    ENV_FILE,
    "archive",
    "dagster",
    "reports",
    *(f"warehouse.sqlite{end}" for end in ("", "-wal", "-shm")),
)


def run_demo(*, nights: int, accounts: int, folder: Path) -> int:
    """Export ``nights`` dates that end yesterday; returns the exit code of the first that failed, or 0."""
    output = console()
    started = time.monotonic()
    folder = folder.absolute()
    _clear(folder)
    last = newest_complete(wall_clock(), TIMEZONE)
    days = [last - timedelta(days=back) for back in reversed(range(nights))]
    with Sandbox(accounts=accounts, seed=SEED, key_file=folder / KEY_FILE) as sandbox:
        settings = _settings(folder, sandbox, first=days[0])
        _write_env(folder / ENV_FILE, settings, accounts)
        os.environ.update(settings)
        dates = count(nights, "date") + (f", {days[0]} to {days[-1]}" if nights > 1 else f", {days[0]}")
        output.print(
            f"[bold]A local Drillster[/] with {accounts} accounts listens on {sandbox.base_url}.\n"
            f"Exporting {dates}, with the job that runs for real:\n"
        )
        with dg.DagsterInstance.get() as instance:
            for day in days:
                moment = sandbox.now = midnight(day + timedelta(days=1), TIMEZONE) + NIGHTLY_AT
                outcome = run_date(output, instance, day, now=repeat(moment).__next__)  # a clock that stands still
                if not outcome.success:
                    return outcome.exit_code
        requests, grants = sandbox.request_count, sandbox.grants
    took = duration(time.monotonic() - started)
    output.print(f"\n{count(requests, 'request')}, {count(grants, 'access token')}, {took} in all.\n")
    with PipelineContext(settings=load_settings()) as context:
        _show(output, context.warehouse, days[-1])
    _what_next(output, folder, days)
    return 0


def _clear(folder: Path) -> None:
    """Remove what an earlier demo left, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _OURS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    (folder / "dagster").mkdir()


def _settings(folder: Path, sandbox: Sandbox, *, first: date) -> dict[str, str]:
    """All settings of the demo. Those that it leaves alone are emptied, so that a user's own cannot get in."""
    from drillster_pipeline.orchestration.home import ensure_home

    os.environ["DAGSTER_HOME"] = str(folder / "dagster")
    return {
        **{setting.name: "" for setting in SETTINGS},
        **sandbox.environment(),
        "DRILLSTER_PRIVATE_KEY": "",
        "DRILLSTER_PRIVATE_KEY_FILE": str(folder / KEY_FILE),
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder / 'warehouse.sqlite'}",
        "DRILLSTER_ARCHIVE_URL": str(folder / "archive"),
        "DRILLSTER_REPORTS_FOLDER": str(folder / "reports"),
        "DRILLSTER_FIRST_EXPORT_DATE": str(first),
        "DAGSTER_HOME": str(ensure_home()),
    }


def _write_env(path: Path, settings: dict[str, str], accounts: int) -> None:
    """What `make ui` starts with: the demo's settings, and how to start its Drillster again."""
    port = settings["DRILLSTER_BASE_URL"].rsplit(":", 1)[1]
    lines = [f"{name}='{value}'" for name, value in settings.items()]
    lines += [f"DEMO_PORT='{port}'", f"DEMO_ACCOUNTS='{accounts}'", f"DEMO_SEED='{SEED}'"]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")


def _show(console: Console, warehouse: Warehouse, day: date) -> None:
    rows = table("Rows in the warehouse", "table", "rows>")
    for name, number in warehouse.row_counts().items():
        rows.add_row(name, count(number))
    console.print(rows, "")
    with warehouse.reading() as (connection, _):
        console.print(_compliance(connection, day), "")


def _compliance(connection: sa.Connection, day: date) -> Table:
    """Who meets what on the last date: the view group_compliance, summed per group."""
    query = sa.text(
        "SELECT group_name, COUNT(*) AS objectives, SUM(evaluated) AS evaluated, SUM(met) AS met "
        "FROM group_compliance WHERE export_date = :day GROUP BY group_id, group_name ORDER BY group_name"
    )
    shown = table(f"Compliance on {day}", "group", "objectives>", "evaluated>", "met>", "share met")
    for name, objectives, evaluated, met in connection.execute(query, {"day": str(day)}):
        share = met / evaluated if evaluated else 0.0
        shown.add_row(
            name, str(objectives), str(evaluated), str(met), f"{share:4.0%} [green]{'█' * round(share * 10)}[/]"
        )
    return shown


def _from_here(path: Path) -> Path:
    """The path as one would type it in this folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _what_next(console: Console, folder: Path, days: list[date]) -> None:
    shown = _from_here(folder)
    program = _from_here(Path(sys.argv[0]).absolute())
    with_settings = f"set -a; . {shown / ENV_FILE}; "
    # Outside of a checkout there is no Makefile.
    is_checkout = (Path(__file__).parents[2] / "Makefile").exists()
    ui = "make ui" if is_checkout else f"({with_settings}{program.with_name('dagster')} dev -m {DEFINITIONS})"
    console.print(
        f"[bold]The warehouse[/] is the SQLite file {shown / 'warehouse.sqlite'}; "
        f"the raw responses are in {shown / 'archive'}.\n"
        f"[bold]The report[/] of the last date: {shown / 'reports' / f'{days[-1]}.html'}\n"
        f"[bold]Try next[/]\n"
        f"  {ui}   the same runs in the Dagster UI{'' if is_checkout else ' (with the extra ui)'}; "
        f"backfill {days[0]}: it replays the archive\n"
        f"  ({with_settings}{program} status)   how old and how complete it is\n"
        f"  sqlite3 {shown / 'warehouse.sqlite'} '{EXAMPLE}'\n"
        f"  {program} schema   what every table and column means",
        soft_wrap=True,
    )


def run_sandbox(*, host: str, port: int, accounts: int, seed: int, folder: Path) -> None:
    """Serve until it is interrupted. Raises SettingsError where the port is taken or the folder is not writable."""
    logging.getLogger("drillster_pipeline.sandbox").setLevel(logging.INFO)

    def write_settings(sandbox: Sandbox) -> None:
        env_file = folder / "client.env"
        first = {"DRILLSTER_FIRST_EXPORT_DATE": str(newest_complete(wall_clock(), TIMEZONE))}
        write_environment(env_file, sandbox.environment() | first)
        click.echo(f"Settings of a client are in {env_file}. Copy them to .env, then: drillster-pipeline check")
        click.echo(f"Try the element of a widget (drillster-pipeline token --widget …) at {sandbox.base_url}/widgets/")

    try:
        folder.mkdir(parents=True, exist_ok=True)
        sandbox = Sandbox(host=host, port=port, accounts=accounts, seed=seed, key_file=folder / KEY_FILE)
        sandbox.run(write_settings)
    except OSError as problem:
        raise SettingsError(
            f"The sandbox can't start on {host}:{port} ({problem.strerror}): choose another --port or --folder"
        ) from None
