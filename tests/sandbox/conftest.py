from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.drillster import Faults, Sandbox

from .caller import NOW, Caller, Start, paths_of


@pytest.fixture(scope="session")
def shared() -> Iterator[Caller]:
    """One sandbox of 60 accounts; tests take it as ``caller``."""
    with Sandbox(accounts=60, seed=7, now=NOW) as sandbox:
        caller = Caller(sandbox)
        yield caller
        caller.session.close()


@pytest.fixture
def caller(shared: Caller) -> Iterator[Caller]:
    """The shared sandbox, with a new token, without faults and with nothing recorded."""
    shared.fresh_token()
    shared.sandbox.clear()
    yield shared
    shared.sandbox.faults, shared.sandbox.now = Faults(), NOW


@pytest.fixture(scope="session")
def paths(shared: Caller) -> dict[str, str]:
    """The path of each resource of the shared sandbox."""
    return paths_of(shared.sandbox)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a sandbox of one's own."""
    with ExitStack() as stack:

        def started(**options: Any) -> Caller:
            caller = Caller(stack.enter_context(Sandbox(**{"accounts": 30, "now": NOW} | options)))
            stack.callback(caller.session.close)
            return caller

        yield started
