"""Where the answers of a sandbox are, and one of them in another form."""

from __future__ import annotations

from typing import Any

from tests.drillster import Faults, Shapes

from .caller import NIGHT, Caller

EVERYTHING = frozenset({"*"})


class Paths:
    """Where the resources of the shared sandbox's largest group are."""

    def __init__(self, caller: Caller) -> None:
        seen = caller.sandbox.organization.at(NIGHT)
        group = max(seen.present_groups(), key=lambda one: len(seen.memberships(one)))
        objectives = {one.type: one for one in seen.objectives(group)}
        busiest = max(objectives.values(), key=lambda one: seen.events(one, 0, seen.moment).total)
        learner = seen.model.member(seen.learners(group)[0])
        tests = seen.tests(group)
        self.accounts = "organizations/self/accounts"
        self.group = f"group/{group.id}"
        self.members = f"{self.group}/members"
        self.staff = f"{self.group}/staff"
        self.drillables = f"{self.group}/drillables"
        self.objectives = f"{self.group}/objectives"
        self.evaluations = f"{self.group}/objective/{objectives['PERMANENT'].id}/evaluations"
        self.events = f"objectives/{busiest.id}/events?fromDate=2024-01-01"
        self.results = f"{self.group}/member-results/{learner.id}"
        self.test_results = f"{self.group}/test-results/{tests[0].id}"
        self.catalogs = "organization/self/catalogs"
        self.content = f"catalog/{seen.model.content.catalog_ids()[0]}/content"


def shaped(caller: Caller, path: str, **shapes: Any) -> Any:
    caller.sandbox.faults = Faults(shapes=Shapes(**shapes))
    return caller.get(path, resultSize=100)
