from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.orchestration.definitions import definitions_of
from drillster_pipeline.orchestration.executors import celery_app
from drillster_pipeline.orchestration.names import ALONE
from drillster_pipeline.orchestration.specs import column_lineage, field_schemas
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.settings import SETTINGS, Settings
from drillster_pipeline.tables import DATA_TABLES
from tests.support.installation import AMSTERDAM, REPOSITORY

BINARIES = Path(sys.executable).parent


@pytest.fixture
def defs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dg.Definitions:
    """The definitions without any setting."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.chdir(tmp_path)
    return definitions_of(ALONE)


def test_single_assets_are_made_where_the_steps_of_the_jobs_are(
    defs: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRILLSTER_EXECUTOR", "k8s")
    monkeypatch.setenv("DRILLSTER_CAPTURE_SHARDS", "2")
    monkeypatch.delitem(sys.modules, "drillster_pipeline.definitions", raising=False)
    project: dg.Definitions = runpy.run_module("drillster_pipeline.definitions")["defs"]
    jobs = project.resolve_implicit_global_asset_job_def(), project.resolve_job_def("nightly")
    assert [job.executor_def.name for job in jobs] == ["k8s", "k8s"]


@pytest.mark.parametrize("missing", ["BROKER", "BACKEND"])
def test_a_worker_of_celery_takes_no_service_of_its_machine_for_one_that_is_not_named(missing: str) -> None:
    given = {"celery_broker": "amqp://guest@localhost//", "celery_backend": "redis://localhost/0"}
    del given[f"celery_{missing.lower()}"]
    with pytest.raises(SettingsError, match=f"DRILLSTER_CELERY_{missing} is missing"):
        celery_app(Settings.model_validate(given))


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)


def bare_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("DRILLSTER_", "DAGSTER_"))}


_LOAD = """
import socket, sys
def refuse(*_):
    raise AssertionError("a connection")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import drillster_pipeline.definitions
drillster_pipeline.definitions.defs.get_repository_def()
heavy = ("pandas", "numpy", "requests", "cryptography", "fsspec", "uvicorn", "drillster_pipeline.warehouse",
         "drillster_pipeline.archive")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.slow
def test_loading_needs_no_settings_no_network_and_no_heavy_library(tmp_path: Path) -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", _LOAD], cwd=tmp_path, env=bare_environment(), capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_jobs_run_by_themselves_one_at_a_time_and_in_order(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    schedules = repository.schedule_defs
    assert {
        each.name: (each.cron_schedule, each.execution_timezone, each.default_status.value) for each in schedules
    } == {
        "nightly": ("30 2 * * *", "Europe/Amsterdam", "RUNNING"),
        "upkeep": ("0 5 * * 0", "Europe/Amsterdam", "RUNNING"),
    }
    sensors = {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs}
    assert sensors == dict.fromkeys(("alerts", "lost_runs", "missing_events"), "RUNNING")
    operations = sorted((assets.op for assets in defs.assets or []), key=lambda op: -int(op.tags["dagster/priority"]))
    assert {op.name: op.pool for op in operations} == {
        "capture_snapshot": "drillster",
        "publish_snapshot": "drillster",
        "capture_events": "drillster",
        "publish_events": "drillster",
        "write_report": None,
    }
    assert [op.name.partition("_")[2] for op in operations[:4]] == ["snapshot", "snapshot", "events", "events"]
    assert {str(assets.backfill_policy) for assets in defs.assets or []} == {str(dg.BackfillPolicy.multi_run(1))}


def test_every_asset_is_described_with_its_columns_and_their_lineage(defs: dg.Definitions) -> None:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert set(specs) == {f"drillster/{name}" for name in RESOURCES} | {f"warehouse/{name}" for name in DATA_TABLES} | {
        "report/nightly"
    }
    for name, spec in specs.items():
        assert spec.description, name
        assert spec.kinds, name
    for table in DATA_TABLES.values():
        schema = specs[f"warehouse/{table.name}"].metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == [column.name for column in table.all_columns]
        policy = specs[f"warehouse/{table.name}"].freshness_policy
        assert (policy.deadline_cron, policy.timezone) == ("30 8 * * *", "Europe/Amsterdam")
        assert {dep.asset_key.path[0] for dep in specs[f"warehouse/{table.name}"].deps} == {"drillster"}
    fields = {resource: {column.name for column in schema.columns} for resource, schema in field_schemas().items()}
    assert set(fields) == set(RESOURCES)
    lineages = [column_lineage(table).deps_by_column for table in DATA_TABLES.values()]
    deps = [dep for lineage in lineages for found in lineage.values() for dep in found]
    assert [dep for dep in deps if dep.column_name not in fields[dep.asset_key.path[-1]]] == []
    assert len(deps) > 100


def test_owners_are_those_of_the_setting_and_none_by_default(defs: dg.Definitions) -> None:
    assert [spec.owners for spec in defs.resolve_all_asset_specs() if spec.owners] == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRILLSTER_OWNERS", "noor@oak.example, team:learning data")
        made = definitions_of(ALONE)
        assert {tuple(spec.owners) for spec in made.resolve_all_asset_specs()} == {
            ("noor@oak.example", "team:learning data")
        }
        for wrong in ("noor", "team:", "a@b", "a@b.example;c@d.example", "noor@oak.information"):
            patch.setenv("DRILLSTER_OWNERS", wrong)
            assert not any(spec.owners for spec in definitions_of(ALONE).resolve_all_asset_specs())


@pytest.mark.parametrize(
    ("url", "schema", "name"),
    [
        ("sqlite:///data/warehouse.sqlite", "", "main.accounts"),
        ("postgresql://etl:s3cret@db.example/warehouse", "", "warehouse.public.accounts"),
        ("postgresql+psycopg://etl:s3cret@db.example:5432/warehouse?sslmode=require", "lms", "warehouse.lms.accounts"),
        ("mysql+pymysql://etl:s3cret@db.example/warehouse", "", "warehouse.accounts"),
        ("mariadb+pymysql://etl:s3cret@db.example/warehouse", "lms", "lms.accounts"),
        ("duckdb:///data/warehouse.duckdb", "lms", "lms.accounts"),
        ("postgresql://etl:s3cret@db.example:port/warehouse", "", "accounts"),
        ("etl:s3cret@db.example", "lms", "main.accounts"),  # no URL: as if it were not set
    ],
)
def test_a_table_is_named_as_its_database_names_it(
    url: str, schema: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRILLSTER_WAREHOUSE_URL", url)
    monkeypatch.setenv("DRILLSTER_WAREHOUSE_SCHEMA", schema)
    specs = {
        spec.key.path[-1]: spec
        for spec in definitions_of(ALONE).resolve_all_asset_specs()
        if spec.key.path[0] != "drillster"
    }
    assert specs["accounts"].metadata["dagster/table_name"] == name


def test_a_table_depends_on_resources_of_its_own_kind_only(defs: dg.Definitions) -> None:
    """Events that can't be read must not delay the tables of the snapshot."""
    graph = defs.resolve_asset_graph()
    events = dg.AssetKey(["drillster", "objective_events"])
    assert {key.path[-1] for key in graph.get(events).child_keys} == {"objective_events"}


@pytest.mark.filterwarnings("ignore:Function `JobDefinition.run_request_for_partition`")  # Dagster's own call
@pytest.mark.parametrize(
    ("tick", "partition"),
    [
        # 02:30 in winter and in summer.
        (utc(2026, 2, 10, 1, 30), "2026-02-09"),
        (utc(2026, 7, 10, 0, 30), "2026-07-09"),
        # Clocks go forward: 02:30 does not exist on 29 March, and the day before has ended all the same.
        (utc(2026, 3, 29, 1, 0), "2026-03-28"),
        (utc(2026, 3, 30, 0, 30), "2026-03-29"),
        # Clocks go back: 02:30 comes twice on 25 October.
        (utc(2026, 10, 25, 0, 30), "2026-10-24"),
        (utc(2026, 10, 26, 1, 30), "2026-10-25"),
        # A schedule that is late still requests its own date.
        (utc(2026, 2, 10, 14, 0), "2026-02-09"),
        (utc(2026, 2, 10, 22, 59), "2026-02-09"),
        (utc(2026, 2, 10, 23, 1), "2026-02-10"),
    ],
)
def test_a_tick_requests_the_day_that_has_just_ended(defs: dg.Definitions, tick: Any, partition: str) -> None:
    repository = defs.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance, scheduled_execution_time=tick, repository_def=repository)
        data = repository.get_schedule_def("nightly").evaluate_tick(context)
    assert [request.partition_key for request in data.run_requests or []] == [partition]


def test_there_is_one_tick_for_every_day_of_a_year_of_changing_clocks(defs: dg.Definitions) -> None:
    schedule = defs.get_repository_def().get_schedule_def("nightly")
    assert isinstance(schedule.cron_schedule, str)
    start = utc(2026, 3, 1)
    times = schedule_execution_time_iterator(start.timestamp(), schedule.cron_schedule, schedule.execution_timezone)
    days = [next(times).astimezone(AMSTERDAM).date() for _ in range(300)]
    assert days == [start.date() + timedelta(days=index) for index in range(300)]


@pytest.mark.deep
def test_dg_accepts_the_repository_as_it_stands() -> None:
    environment = {**bare_environment(), "VIRTUAL_ENV": str(BINARIES.parent)}
    command = [str(BINARIES / "dg"), "check", "defs"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "location name" not in done.stderr.lower(), done.stderr  # pyproject.toml and workspace.yaml name it alike


def test_the_package_imports_nothing_private_of_dagster_and_formats_dates_portably() -> None:
    """``%-d`` is glibc's: Windows refuses it."""
    package = REPOSITORY / "drillster_pipeline"
    for path in [*package.rglob("*.py"), *package.rglob("*.j2")]:
        assert re.findall(r"(?:from|import) dagster[\w.]*\._|(?<!\{)%-[a-zA-Z]", path.read_text()) == [], path
