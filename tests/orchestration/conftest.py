from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drillster import Sandbox
from tests.support.webhooks import Webhook, running_webhook

from .alerted import look
from .houses import SMALL, House, house_in


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for all: a house sets its clock and its faults."""
    with Sandbox(size=SMALL, seed=7) as running:
        yield running


@pytest.fixture(scope="session")
def first_night(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive and the warehouse after a first whole night."""
    folder = tmp_path_factory.mktemp("first-night")
    with pytest.MonkeyPatch.context() as monkeypatch, house_in(folder, monkeypatch, sandbox) as house:
        assert house.night().success
    return folder


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Iterator[House]:
    """An installation in which nothing has run yet."""
    with house_in(tmp_path, monkeypatch, sandbox) as made:
        yield made


@pytest.fixture
def lived_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, first_night: Path) -> Iterator[House]:
    """An installation after its first night, that of ``DAY``."""
    shutil.copytree(first_night, tmp_path, dirs_exist_ok=True)
    with house_in(tmp_path, monkeypatch, sandbox) as made:
        yield made


@pytest.fixture
def hook(house: House) -> Iterator[Webhook]:
    """A webhook that the settings name, on an instance whose alerts have begun."""
    with running_webhook() as running:
        house.set(DRILLSTER_ALERT_WEBHOOK=running.url)
        look(house)
        yield running
