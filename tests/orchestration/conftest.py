from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drillster import Faults, Sandbox, Size
from tests.support.installation import DAY, Installation, night_after
from tests.support.webhooks import Webhook

from .runs import evaluate


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with Sandbox(size=Size(accounts=20), seed=7) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def first_load(running: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive and the warehouse with the snapshot and the events of ``DAY``."""
    running.faults = Faults()  # those of a test that ran before
    with Installation(tmp_path_factory.mktemp("first-load"), running) as installation:
        return installation.load_both()


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """One Drillster for all tests, without faults; an installation sets its clock."""
    running.faults, running.now = Faults(), night_after(DAY)
    running.clear()
    return running


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Iterator[Installation]:
    """One in which nothing has run yet."""
    with Installation(tmp_path, sandbox, monkeypatch=monkeypatch) as made:
        yield made


@pytest.fixture
def loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, first_load: Path
) -> Iterator[Installation]:
    """One with the data of ``DAY``."""
    shutil.copytree(first_load, tmp_path, dirs_exist_ok=True)
    with Installation(tmp_path, sandbox, monkeypatch=monkeypatch) as made:
        yield made


@pytest.fixture
def hook(installation: Installation) -> Iterator[Webhook]:
    """A webhook that the settings name, on an instance whose alerts have been evaluated before."""
    with Webhook() as running:
        installation.set(DRILLSTER_ALERT_WEBHOOK=running.url)
        evaluate(installation)
        yield running
