from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.crawling import TINY
from tests.drillster import Faults, Sandbox
from tests.support.installation import NOW, Installation


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=TINY, seed=81, now=NOW) as running:
        yield running


@pytest.fixture
def installation(sandbox: Sandbox, tmp_path: Path) -> Iterator[Installation]:
    """With nothing in it; its sandbox, which all tests of the module share, has no faults."""
    sandbox.faults = Faults()
    sandbox.clear()
    with Installation(tmp_path, sandbox, DRILLSTER_CONCURRENCY="4") as made:
        yield made
