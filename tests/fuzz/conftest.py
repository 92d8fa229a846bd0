"""One installation and one sandbox for all examples of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drillster_pipeline.api.retry import Backoff
from tests.drillster import Sandbox, Size
from tests.support.installation import NOW

from .runs import Fuzzed

SMALL = Size(
    accounts=14,
    groups=1,
    members_per_group=11,
    drillables_per_group=11,
    objectives_per_group=2,
    tests_per_group=1,
    catalogs=1,
    playables_per_catalog=11,
)
"""Every list is just longer than the smallest page."""


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with Sandbox(size=SMALL, seed=81, now=NOW) as sandbox, pytest.MonkeyPatch.context() as patched:
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
