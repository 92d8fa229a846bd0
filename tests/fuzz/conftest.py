"""One installation and one sandbox for all examples of a process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from drillster_pipeline.api.retry import Backoff
from tests.api.crawling import TINY
from tests.drillster import Sandbox
from tests.support.installation import NOW

from .runs import Fuzzed


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with (
        Sandbox(size=replace(TINY, objectives_per_group=2), seed=81, now=NOW) as sandbox,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr("drillster_pipeline.api.client.Backoff", lambda: Backoff(attempts=4, first=0.0))
        fuzzed = Fuzzed(sandbox, tmp_path_factory.mktemp("fuzz"))
        yield fuzzed
        fuzzed.close()


@pytest.fixture
def fuzzed(installation: Fuzzed) -> Fuzzed:
    """It, with an empty archive and warehouse."""
    installation.restore("empty")
    return installation


@pytest.fixture
def loaded(installation: Fuzzed) -> Fuzzed:
    """It, after a run without any change."""
    installation.restore("loaded")
    return installation
