"""A webserver and a daemon as processes, driven by the requests of the UI; on SQLite, and as deploy/ lays them out."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from drillster_pipeline.dates import newest_complete
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from tests.support.databases import postgresql_engine, postgresql_programs, postgresql_server
from tests.support.installation import AMSTERDAM, REPOSITORY, Installation, night_after
from tests.support.leaks import found_in, people_of, secrets_of
from tests.support.webhooks import Webhook

from .services import Services, daemon_of, free_port, make_pool, process_of, webserver_of

pytestmark = pytest.mark.deep
ASSETS = [f"drillster/{name}" for name in RESOURCES] + [f"warehouse/{name}" for name in DATA_TABLES]
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


def dated(run: dict[str, Any]) -> str:
    return str(run["tags"]["dagster/asset_partition_range_start"])


def pid_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process of a run, once its events are published and its snapshot is what it waits with."""
    logs = instance.all_logs(run_id)
    started = [entry.step_key for entry in logs if entry.dagster_event_type is dg.DagsterEventType.STEP_START]
    pid = next((found for entry in logs if (found := re.search(r"\(pid: (\d+)\)", entry.message))), None)
    return int(pid[1]) if pid and "publish_snapshot" in started else None


def is_writing(installation: Installation, run_id: str) -> bool:
    """Whether a run has the lock of writers: it has staged, or is about to."""
    lock = installation.folder / "new.sqlite.lock"
    return lock.exists() and run_id in lock.read_text()


@pytest.mark.timeout(400)
def test_a_backfill_continues_past_a_refused_date_and_a_killed_process(installation: Installation) -> None:
    newest = newest_complete(datetime.now(UTC), AMSTERDAM)
    missed, captured = newest - timedelta(days=2), newest - timedelta(days=1)  # no gap is left to the sensor
    installation.set(DRILLSTER_FIRST_EXPORT_DATE=str(missed))
    installation.at(night_after(captured))
    installation.load_both()
    expected, people = installation.context.warehouse.row_counts(), people_of(installation)
    installation.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{installation.folder / 'new.sqlite'}")
    installation.at(datetime.now(UTC))
    installation.sandbox.clear()

    with installation.on_disk() as instance:
        make_pool(instance)
    with Webhook() as hook, served(installation, hook) as services:
        backfill = services.backfill([str(missed), str(captured)], ASSETS)
        with daemon_of(installation, services), installation.on_disk() as instance:
            kill_while_publishing(installation, services, instance, str(captured))
            runs = services.until(lambda: all_ended(services, 3), seconds=120)

            # One message when all of it has ended: the refusal, and not the process that was killed and retried.
            (text,) = services.until(lambda: messages_of_runs(hook), seconds=150)
            assert f"The backfill {backfill} failed for 1 of 2 dates. {missed}: {missed} was never captured" in text
            assert str(captured) not in text.partition("What can still be done")[0]

            # The date that was never captured: a refusal that says why, and its events all the same.
            refused, killed, again = sorted(runs, key=lambda run: (dated(run), run["startTime"]))
            assert (dated(refused), refused["status"]) == (str(missed), "FAILURE")
            errors = [entry.dagster_event for entry in instance.all_logs(refused["runId"]) if entry.level >= 40]
            assert f"{missed} was never captured" in str(errors)

            # The killed process is found, its run has failed, and the daemon has retried it.
            assert (killed["status"], again["status"]) == ("FAILURE", "SUCCESS")
            assert "SIGKILL" in str([entry.message for entry in instance.all_logs(killed["runId"])])
            assert again["parentRunId"] == killed["runId"]
            assert {run["tags"]["dagster/backfill"] for run in runs} == {backfill}
            pools = {(pool.name, pool.limit) for pool in instance.event_log_storage.get_pool_limits()}
            assert pools == {("drillster", 1)}
    assert one_after_the_other(runs)
    assert len(messages_of_runs(hook)) == 1

    # Only whose data it is and the events of the missed date were requested; the rest came from the archive.
    requested = {
        re.sub(r"/[\w-]{20,}", "/*", record.path)
        for record in installation.sandbox.requests
        if "oauth" not in record.path
    }
    events = ("groups", "group/*/objectives", "objectives/*/events")
    assert requested == {f"/api/2.1.1/{path}" for path in ("organization", *events)}
    loads = installation.query("SELECT kind, export_date FROM loads ORDER BY 2, 1")
    assert loads == [("events", str(missed)), ("events", str(captured)), ("snapshot", str(captured))]
    counts = installation.context.warehouse.row_counts()
    assert {name: counts[name] for name in counts if name not in {"objective_events", "accounts"}} == {
        name: expected[name] for name in counts if name not in {"objective_events", "accounts"}
    }
    assert installation.query("SELECT count(*) FROM sqlite_master WHERE name LIKE '%stag%'") == [(0,)]

    written = b"".join(
        path.read_bytes() for top in (installation.home, services.logs) for path in top.rglob("*") if path.is_file()
    )
    assert b"was never captured" in written
    assert found_in(written, [*secrets_of(installation.sandbox), *people]) == []


@contextmanager
def served(installation: Installation, hook: Webhook) -> Iterator[Services]:
    """A webserver, and a webhook that all of its processes know."""
    installation.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
    with webserver_of(installation) as services:
        yield services


def messages_of_runs(hook: Webhook) -> list[str]:
    """What the webhook got, except about a warehouse that may be stale, by the hour at which this runs."""
    return [message["text"] for message in hook.got if "is stale" not in message["text"]]


def kill_while_publishing(
    installation: Installation, services: Services, instance: dg.DagsterInstance, day: str
) -> None:
    """Block the publish of a date from outside, and SIGKILL the process that waits there."""
    installation.context.warehouse.prepare()
    services.until(lambda: [run for run in services.runs() if dated(run) < day and run["status"] in ENDED])
    with closing(sqlite3.connect(installation.folder / "new.sqlite", isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        (run,) = services.until(lambda: [run for run in services.runs() if dated(run) == day and run["startTime"]])
        process = services.until(lambda: pid_of(instance, run["runId"]))
        services.until(lambda: is_writing(installation, run["runId"]))
        os.kill(process, signal.SIGKILL)
        intruder.execute("ROLLBACK")


def all_ended(services: Services, number: int) -> list[dict[str, Any]] | None:
    runs = services.runs()
    return runs if len(runs) == number and all(run["status"] in ENDED for run in runs) else None


def one_after_the_other(runs: list[dict[str, Any]]) -> bool:
    """Whether no run began before the one before it had ended: the pool has one slot.

    Give or take a moment: Dagster may give a slot to the next run just before it has noted the end of the last.
    """
    spans = sorted((run["startTime"], run["endTime"]) for run in runs)
    return all(earlier[1] <= later[0] + 0.5 for earlier, later in pairwise(spans))


@contextmanager
def code_server_of(installation: Installation) -> Iterator[None]:
    """The process that loads the code, with the command of the container."""
    port = free_port()
    installation.set(DAGSTER_CODE_HOST="127.0.0.1", DAGSTER_CODE_PORT=str(port))
    logs = installation.folder / "logs"
    logs.mkdir()
    command = ["dagster", "api", "grpc", "--module-name", "drillster_pipeline.definitions"]
    with process_of(installation, logs, [*command, "--host", "127.0.0.1", "--port", str(port)]):
        yield


@pytest.fixture
def server() -> Iterator[sa.URL]:
    """A server with the two databases of deploy/, made by its script."""
    with postgresql_server() as text:
        url = sa.make_url(text)
        environment = {
            "PATH": f"{postgresql_programs()}:{os.environ['PATH']}",
            "PGHOST": str(url.query["host"]),
            "DAGSTER_DB_PASSWORD": 'it\'s "a" $secret',
            "WAREHOUSE_DB_PASSWORD": "another",
        }
        subprocess.run(["sh", REPOSITORY / "deploy" / "postgres-init.sh"], check=True, env=environment)
        yield url


def database(server: sa.URL, name: str, driver: str = "postgresql") -> str:
    return server.set(database=name, username=name, drivername=driver).render_as_string(hide_password=False)


@pytest.mark.timeout(300)
def test_a_backfill_goes_through_three_services_on_postgresql(installation: Installation, server: sa.URL) -> None:
    newest = newest_complete(datetime.now(UTC), AMSTERDAM)
    captured = newest - timedelta(days=1)
    installation.set(DRILLSTER_FIRST_EXPORT_DATE=str(captured))
    installation.at(night_after(captured))
    installation.load_both()
    expected = installation.context.warehouse.row_counts()
    installation.at(datetime.now(UTC))

    shutil.copyfile(REPOSITORY / "deploy" / "dagster.yaml", installation.home / "dagster.yaml")
    installation.set(
        DAGSTER_POSTGRES_URL=database(server, "dagster", "postgresql+psycopg2"),
        DRILLSTER_WAREHOUSE_URL=database(server, "warehouse"),
        DRILLSTER_WAREHOUSE_SCHEMA="drillster",
    )
    workspace = REPOSITORY / "deploy" / "workspace.yaml"
    with code_server_of(installation), webserver_of(installation, workspace) as services:
        services.backfill([str(captured), str(newest)], ASSETS)
        with daemon_of(installation, services):
            runs = services.until(lambda: all_ended(services, 2), seconds=180)
    assert {(dated(run), run["status"]) for run in runs} == {(str(day), "SUCCESS") for day in (captured, newest)}
    loads = installation.query("SELECT kind, export_date FROM drillster.loads ORDER BY 2, 1")
    assert loads == [(kind, day) for day in (captured, newest) for kind in ("events", "snapshot")]
    counted = "SELECT count(*) FROM drillster.results WHERE export_date = :day"
    assert installation.query(counted, day=captured) == [(expected["results"],)]
    assert installation.context.warehouse.row_counts()["groups"] == expected["groups"]

    # Nothing of Dagster's records is on the disk, so a container may be replaced by another.
    assert not [path for path in installation.home.rglob("*.db") if path.is_file()]
    with postgresql_engine(database(server, "dagster")).connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 2


def test_the_instance_on_a_server_differs_from_the_one_at_home_in_its_storage_alone() -> None:
    home = (REPOSITORY / "dagster.yaml").read_text()
    server = (REPOSITORY / "deploy" / "dagster.yaml").read_text()
    assert home[home.index("telemetry:") :] == server[server.index("telemetry:") :]
    assert "storage:" not in home
