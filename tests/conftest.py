"""By which chance the property tests draw their examples, and how many.

The suite draws the same ones every time: it must not turn red by luck, and what is red must stay so until it is mended.
The search for what nobody has thought of is ``make fuzz``: other examples each time, and many times as many.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

import drillster_pipeline
from tests.drillster import Faults, Sandbox

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.object_store import ObjectStore

_TIMES = int(os.environ.get("FUZZ", "0"))
"""How many times the usual number of examples; 0 in the suite, which draws the usual number of the usual ones."""


def examples(number: int) -> int:
    """How many examples a test draws that needs others than Hypothesis' usual hundred."""
    return number * (_TIMES or 1)


# These tests find out what is true, not how fast it is: a busy machine must not fail them.
_UNHURRIED = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    max_examples=examples(100),
)
settings.register_profile("suite", _UNHURRIED, derandomize=True, database=None)
settings.register_profile("fuzz", _UNHURRIED, derandomize=False, print_blob=True)
settings.load_profile("fuzz" if _TIMES else "suite")

# Among the examples Hypothesis mixes constants of the code that is imported by then, which depends on the tests that a
# process ran before. The search has all of them; the suite none, since they differ after every edit, too.
if _TIMES:
    for module in pkgutil.walk_packages(drillster_pipeline.__path__, "drillster_pipeline."):
        importlib.import_module(module.name)
else:
    providers.is_local_module_file = lambda _: False


@pytest.fixture(autouse=True)
def every_fault_fires(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test tells a sandbox of its own process to do wrong must have gone wrong by its end.

    A fault that does nothing makes a test pass that tests nothing. Where it may do nothing (it is drawn by chance, or
    the point is that it is never met), the test has the mark ``idle_faults``.
    """
    idle: list[object] = []
    sandboxes: dict[int, Sandbox] = {}
    before = Sandbox.faults
    assert isinstance(before, property)
    assert before.fset is not None
    set_faults = before.fset

    def settle(sandbox: Sandbox) -> None:
        if id(sandbox) in sandboxes:
            idle.extend(sandbox.idle_faults())

    def replaced(sandbox: Sandbox, faults: Faults) -> None:
        settle(sandbox)
        set_faults(sandbox, faults)
        sandboxes[id(sandbox)] = sandbox

    monkeypatch.setattr(Sandbox, "faults", before.setter(replaced))
    yield
    for sandbox in sandboxes.values():
        settle(sandbox)
    if request.node.get_closest_marker("idle_faults") is None:
        assert not idle, "these faults did nothing"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archive and the warehouse of one export date, snapshot and events."""
    from tests.support.installation import NOW, Installation

    folder = tmp_path_factory.mktemp("prepared")
    with Sandbox(accounts=40, seed=11, now=NOW) as sandbox, Installation(folder, sandbox) as installation:
        return installation.load_both()


@pytest.fixture
def loaded(prepared: Path, tmp_path: Path) -> Iterator[Installation]:
    """A copy of it, to be changed; no requests can be made."""
    from tests.support.installation import Installation

    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    with Installation(tmp_path) as installation:
        yield installation


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server for the session, as its superuser; the URL is libpq's own form of it."""
    from tests.support.databases import postgresql_server

    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """A MariaDB server for the session, as a user who may do all; skips where there is none."""
    from tests.support.databases import NO_MARIADB, mariadb_server

    with mariadb_server() as url:
        if url is None:
            pytest.skip(NO_MARIADB)
        yield url


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """An S3 server."""
    from tests.support.object_store import object_store

    with object_store() as running:
        yield running
