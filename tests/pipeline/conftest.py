from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.walking import TINY
from tests.drillster import Faults, Sandbox

from .captured import NOW, Nights


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=TINY, seed=81, now=NOW) as running:
        yield running


@pytest.fixture
def nights(sandbox: Sandbox, tmp_path: Path) -> Iterator[Nights]:
    sandbox.faults, sandbox.now = Faults(), NOW
    found = Nights(sandbox, tmp_path)
    yield found
    found.close()
