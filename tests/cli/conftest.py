from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drillster_pipeline.cli.main import main
from drillster_pipeline.settings import SETTINGS
from tests.drillster import Sandbox


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


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


@pytest.fixture
def sandbox(command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A small Drillster that the settings point at."""
    del command
    with Sandbox(accounts=20, seed=3) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def query(tmp_path: Path) -> Callable[[str], list[tuple[object, ...]]]:
    """Asks the warehouse of the default settings."""

    def ask(sql: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(tmp_path / "data/warehouse.sqlite")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return ask
