from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.drillster import Faults, Sandbox

from .caller import NIGHT, Caller, Paths, Start


@pytest.fixture(scope="module")
def shared() -> Iterator[Caller]:
    """One sandbox of 60 accounts for the tests of a module; whoever sets faults or a moment uses ``caller``."""
    with Sandbox(accounts=60, seed=7, now=NIGHT) as sandbox:
        caller = Caller(sandbox)
        yield caller
        caller.close()


@pytest.fixture
def caller(shared: Caller) -> Iterator[Caller]:
    """The shared sandbox without faults, with nothing recorded; put right again afterwards."""
    sandbox = shared.sandbox
    sandbox.faults, sandbox.now = Faults(), NIGHT
    shared.token = None
    shared.fresh_token()
    sandbox.clear()
    yield shared
    sandbox.faults, sandbox.now = Faults(), NIGHT


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a sandbox of one's own."""
    with ExitStack() as stack:

        def started(**options: Any) -> Caller:
            sandbox = stack.enter_context(Sandbox(**{"accounts": 30, "now": NIGHT} | options))
            caller = Caller(sandbox)
            stack.callback(caller.close)
            return caller

        yield started


@pytest.fixture
def paths(caller: Caller) -> Paths:
    return Paths(caller)
