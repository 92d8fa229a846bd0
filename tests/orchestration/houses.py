"""A whole installation in a folder: a sandbox, settings, archive, warehouse and a Dagster home of its own."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import sqlalchemy as sa

from drillster_pipeline.dates import midnight
from drillster_pipeline.orchestration.in_process import RunResult, run_nightly
from drillster_pipeline.orchestration.resources import RunContext
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import SETTINGS, load_settings
from drillster_pipeline.warehouse import Warehouse
from tests.drillster import Faults, Sandbox, Size

REPOSITORY = Path(__file__).parents[2]
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
DAY = date(2026, 6, 9)
"""An export date; ``NOW`` is in the night after it."""
NOW = midnight(DAY + timedelta(days=1), AMSTERDAM) + timedelta(hours=2, minutes=30)
FIRST = date(2026, 6, 1)
SMALL = Size(accounts=20)


def night_after(day: date) -> datetime:
    """02:30 in Amsterdam, in the night after a day."""
    return midnight(day + timedelta(days=1), AMSTERDAM) + timedelta(hours=2, minutes=30)


@dataclass
class House:
    """One installation; its clock is ``now``, for the pipeline and the sandbox alike."""

    folder: Path
    sandbox: Sandbox
    monkeypatch: pytest.MonkeyPatch
    now: datetime = NOW
    environment: dict[str, str] = field(default_factory=dict)
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    """Keeps its records in memory; ``on_disk`` is the one of DAGSTER_HOME, and slower."""

    def set(self, **settings: str) -> None:
        """Change settings; the warehouse and the archive of the folder are the default."""
        self.environment |= settings
        for name, value in settings.items():
            self.monkeypatch.setenv(name, value)

    def at(self, moment: datetime) -> None:
        """Set the clock."""
        self.now = moment
        self.sandbox.now = moment

    def use_warehouse(self, name: str) -> None:
        """Another SQLite file from now on."""
        self.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{self.folder / name}")

    @property
    def home(self) -> Path:
        """DAGSTER_HOME."""
        return self.folder / "dagster"

    @contextmanager
    def on_disk(self) -> Iterator[dg.DagsterInstance]:
        """Use the Dagster instance of the home for a while, as the repository's dagster.yaml makes it."""
        in_memory = self.instance
        with dg.DagsterInstance.from_config(str(self.home)) as self.instance:
            yield self.instance
        self.instance = in_memory

    def night(self, day: date = DAY, **options: Any) -> RunResult:
        """The job in this process, as the console runs it."""
        return run_nightly(self.instance, day, run=self.run(), **options)

    def run(self, **options: Any) -> RunContext:
        """What a run in this process shares: it goes by the clock of the house, and never waits for another try."""
        return RunContext(**{"now": lambda: self.now, **options})

    @contextmanager
    def session(self) -> Iterator[PipelineContext]:
        """A session of its own."""
        with PipelineContext(settings=load_settings(), now=lambda: self.now) as session:
            yield session

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        """The warehouse of the settings."""
        with self.session() as session:
            yield session.warehouse

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query answers."""
        with self.warehouse() as warehouse, warehouse.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query), values)]

    def counts(self) -> dict[str, int]:
        """Rows per table from Drillster."""
        with self.warehouse() as warehouse:
            return warehouse.row_counts()

    def lose_archive_of(self, day: date, kind: str = "*") -> None:
        """As if a date had never been captured."""
        for folder in (self.folder / "archive" / str(day)).glob(f"*-{kind}-*"):
            shutil.rmtree(folder)


@contextmanager
def house_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, *, now: datetime = NOW, **settings: str
) -> Iterator[House]:
    """A house around a running sandbox, and its settings in the environment."""
    home = folder / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    sandbox.faults = Faults()
    sandbox.clear()
    house = House(folder, sandbox, monkeypatch)
    house.at(now)
    given: Mapping[str, str] = {
        **sandbox.environment(),
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder / 'warehouse.sqlite'}",
        "DRILLSTER_ARCHIVE_URL": str(folder / "archive"),
        "DRILLSTER_FIRST_EXPORT_DATE": str(FIRST),
        "DAGSTER_HOME": str(home),
        **settings,
    }
    house.set(**given)
    with house.instance:
        yield house


def environment_of(house: House) -> dict[str, str]:
    """The environment of a process of the house."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DRILLSTER_", "DAGSTER_"))}
    return {**kept, **house.environment}


def metadata_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, dict[str, Any]]:
    """Per asset that a run materialized, its metadata as plain values."""
    found = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        assert entry.dagster_event is not None
        materialization = entry.dagster_event.step_materialization_data.materialization
        found[materialization.asset_key.to_user_string()] = {
            name: value.value for name, value in materialization.metadata.items()
        }
    return found


def checks_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, tuple[bool, str]]:
    """Per check that a run evaluated (``warehouse/results:no_rejects``), whether it passed, and what it says."""
    found = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        assert entry.dagster_event is not None
        check = entry.dagster_event.asset_check_evaluation_data
        found[f"{check.asset_key.to_user_string()}:{check.check_name}"] = (check.passed, check.description or "")
    return found


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """A moment in UTC."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def people_of(house: House) -> list[str]:
    """Names, addresses and keys of everyone in the warehouse, but for words that stand elsewhere by chance."""
    queries = (
        "SELECT name, email_address FROM accounts",
        "SELECT name, email_address FROM group_members",
        "SELECT external_id, NULL FROM account_external_ids",
    )
    values = {value for query in queries for row in house.rows(query) for value in row}
    return sorted(value for value in values if value and len(value) > 6)


def secrets_of(house: House) -> list[str]:
    """The client's secret, and every line of the private key."""
    credentials = house.sandbox.credentials
    return [credentials.client_secret, *(line for line in credentials.private_key.splitlines() if len(line) > 40)]


def found_in(written: bytes, forbidden: list[str]) -> list[str]:
    """Which of the words stand in what was written; and anything that looks like a JWT."""
    words = [word for word in forbidden if word.encode() in written]
    return words + [token.decode() for token in re.findall(rb"eyJ[\w-]{8,}", written)]
