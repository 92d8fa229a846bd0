from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drillster_pipeline.diagnostics import Examination, Report
from tests.drillster import Faults, Sandbox

from .examined import Examine

ORGANIZATION = {"accounts": 40, "seed": 3}


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    """One Drillster for all tests of the doctor."""
    with Sandbox(**ORGANIZATION) as server:
        yield server


@pytest.fixture
def sandbox(running: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """It, as it is without faults, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    running.faults = Faults()
    running.clear()
    return running


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Drillster that is down is not worth seconds of a test."""
    monkeypatch.setattr("drillster_pipeline.api.retry.RetryState.add_failure", lambda *_, **__: None)


@pytest.fixture
def examine(sandbox: Sandbox) -> Examine:
    """Examines the sandbox with its settings, changed as a test wants them."""

    def run(**settings: str) -> Report:
        return Examination(environ={**sandbox.environment(), **settings}).run()

    return run
