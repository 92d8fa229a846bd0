from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drillster_pipeline.cli.main import main
from drillster_pipeline.settings import SETTINGS
from tests.drillster import Faults, Sandbox
from tests.support.installation import Installation


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]
Query = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs a command in this process, in an empty folder, with no settings but those that a test sets."""
    before = dict(os.environ)
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["drillster-pipeline", *arguments])
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return Ended(int(str(code)), out, err)

    yield run
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with Sandbox(accounts=20, seed=3) as server:
        yield server


@pytest.fixture
def sandbox(command: Command, running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A small Drillster, without faults, in the settings of commands."""
    del command
    running.faults, running.now = Faults(), None
    running.clear()
    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    return running


@pytest.fixture(scope="session")
def first_load(running: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive and the warehouse with the newest export date."""
    running.faults = Faults()  # those of a test that ran before
    with Installation(tmp_path_factory.mktemp("first-load"), running, now=datetime.now(UTC)) as installation:
        return installation.load_both()


@pytest.fixture
def loaded(sandbox: Sandbox, first_load: Path, tmp_path: Path) -> Sandbox:
    """A Drillster whose newest export date is in the archive and the warehouse of the default settings."""
    shutil.copytree(first_load, tmp_path / "data")
    sandbox.now = None
    return sandbox


@pytest.fixture
def query(tmp_path: Path) -> Query:
    """Reads the warehouse of the default settings, or changes it."""

    def execute(sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(tmp_path / "data/warehouse.sqlite")) as connection, connection:
            return connection.execute(sql).fetchall()

    return execute
