from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drillster_pipeline.diagnostics import Diagnostics, DiagnosticsReport, Item
from tests.drillster import Faults, Sandbox

Check = Callable[..., DiagnosticsReport]


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with Sandbox(accounts=40, seed=3) as server:
        yield server


@pytest.fixture
def sandbox(running: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """One Drillster for all tests, without faults, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    running.faults = Faults()
    running.clear()
    return running


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed attempt is the last."""
    monkeypatch.setattr("drillster_pipeline.api.retry.RetryState.add_failure", lambda *_, **__: None)


@pytest.fixture
def check(sandbox: Sandbox) -> Check:
    """Checks the sandbox with its settings, changed as a test wants them."""

    def run(**settings: str) -> DiagnosticsReport:
        return Diagnostics(environ={**sandbox.environment(), **settings}).run()

    return run


def by_step(report: DiagnosticsReport) -> dict[str, Item]:
    """Items by step; of several of the same name the worst."""
    order = ("skipped", "ok", "warning", "failed")
    return {each.step: each for each in sorted(report.items, key=lambda each: order.index(each.status))}
