from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.drillster import Faults, Sandbox

from .caller import NOW, Caller, Start


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
    """Where the resources are: those of the largest group, and of the objective with most events."""
    seen = shared.sandbox.organization.at(NOW)
    group = max(seen.present_groups(), key=lambda one: len(seen.memberships(one)))
    objectives = seen.objectives(group)
    permanent = next(one for one in objectives if one.type == "PERMANENT")
    busiest = max(objectives, key=lambda one: len(seen.events(one, 0, seen.moment).things))
    return {
        "organization": "organization",
        "accounts": "organizations/self/accounts",
        "catalogs": "organization/self/catalogs",
        "catalog": f"catalog/{seen.catalogs()[0].id}",
        "catalog_content": f"catalog/{seen.catalogs()[0].id}/content",
        "groups": "groups",
        "group": f"group/{group.id}",
        "group_members": f"group/{group.id}/members",
        "group_staff": f"group/{group.id}/staff",
        "group_drillables": f"group/{group.id}/drillables",
        "objectives": f"group/{group.id}/objectives",
        "objective_evaluations": f"group/{group.id}/objective/{permanent.id}/evaluations",
        "objective_events": f"objectives/{busiest.id}/events?fromDate=2024-01-01",
        "results": f"group/{group.id}/member-results/{seen.learners(group)[0].stay.id}",
        "test_results": f"group/{group.id}/test-results/{group.tests[0].id}",
    }


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a sandbox of one's own."""
    with ExitStack() as stack:

        def started(**options: Any) -> Caller:
            caller = Caller(stack.enter_context(Sandbox(**{"accounts": 30, "now": NOW} | options)))
            stack.callback(caller.session.close)
            return caller

        yield started
