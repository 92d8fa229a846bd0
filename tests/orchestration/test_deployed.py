"""As deploy/ lays it out, without containers: webserver, daemon and code server apart, all records in PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from drillster_pipeline.dates import newest_complete
from tests.support.databases import postgresql_engine, postgresql_programs, postgresql_server

from .houses import AMSTERDAM, REPOSITORY, House, night_after
from .services import daemon_of, free_port, process_of, webserver_of
from .test_services import ASSETS, all_ended, dated


@contextmanager
def code_server_of(house: House) -> Iterator[None]:
    """The process that loads the code, with the command of the container; the other processes only ask it."""
    port = free_port()
    house.set(DAGSTER_CODE_HOST="127.0.0.1", DAGSTER_CODE_PORT=str(port))
    logs = house.folder / "logs"
    logs.mkdir()
    command = ["dagster", "api", "grpc", "--module-name", "drillster_pipeline.definitions"]
    with process_of(house, logs, [*command, "--host", "127.0.0.1", "--port", str(port)]):
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
def test_a_night_and_a_backfill_run_through_three_services_on_postgresql(house: House, server: sa.URL) -> None:
    newest = newest_complete(datetime.now(UTC), AMSTERDAM)
    captured = newest - timedelta(days=1)
    house.set(DRILLSTER_FIRST_EXPORT_DATE=str(captured))
    house.at(night_after(captured))
    assert house.night(captured).success
    expected = house.counts()
    house.at(datetime.now(UTC))
    house.sandbox.clear()

    shutil.copyfile(REPOSITORY / "deploy" / "dagster.yaml", house.home / "dagster.yaml")
    house.set(
        DAGSTER_POSTGRES_URL=database(server, "dagster", "postgresql+psycopg2"),
        DRILLSTER_WAREHOUSE_URL=database(server, "warehouse"),
        DRILLSTER_WAREHOUSE_SCHEMA="drillster",
    )
    workspace = REPOSITORY / "deploy" / "workspace.yaml"
    with code_server_of(house), webserver_of(house, workspace) as services:
        backfill = services.backfill([str(captured)], ASSETS)
        with daemon_of(house, services):
            night = services.launch("nightly", str(newest))
            runs = services.until(lambda: all_ended(services, 2), seconds=180)
    assert {run["status"] for run in runs} == {"SUCCESS"}
    (replayed,) = [run for run in runs if run["tags"].get("dagster/backfill") == backfill]
    assert dated(replayed) == str(captured)
    assert night in {run["runId"] for run in runs}

    loads = house.rows("SELECT kind, export_date FROM drillster.loads ORDER BY 2, 1")
    assert loads == [(kind, day) for day in (captured, newest) for kind in ("events", "snapshot")]
    counted = "SELECT count(*) FROM drillster.results WHERE export_date = :day"
    assert house.rows(counted, day=captured) == [(expected["results"],)]
    assert house.counts()["groups"] == expected["groups"]

    # Nothing of Dagster's records is on the disk, so a container may be replaced by another.
    assert not [path for path in house.home.rglob("*.db") if path.is_file()]
    with postgresql_engine(database(server, "dagster")).connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 2


def test_the_instance_on_a_server_differs_from_the_one_at_home_in_its_storage_alone() -> None:
    home = (REPOSITORY / "dagster.yaml").read_text()
    server = (REPOSITORY / "deploy" / "dagster.yaml").read_text()
    assert home[home.index("telemetry:") :] == server[server.index("telemetry:") :]
    assert "storage:" not in home
