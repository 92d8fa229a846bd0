"""A walk in which a unit never answers, and one that is interrupted and gone on with."""

from __future__ import annotations

import _thread
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from drillster_pipeline.api.retry import Backoff
from drillster_pipeline.errors import (
    ApiUnavailable,
    PipelineError,
    RequestRefused,
    Unauthorized,
)
from drillster_pipeline.resources import unit_of
from tests.drillster import Failure, Faults, How, PageFault, closed

from .walking import Interrupter, Walks, entry, held, new_tokens, unit, walk_threads


def without(everything: Any, gone: Callable[[str], bool]) -> Any:
    return {
        resource: {key: found for key, found in units.items() if not gone(key)}
        for resource, units in everything.items()
    }


# -- one unit that never answers


def test_a_unit_that_never_answers_is_left_out_and_the_night_is_saved(walks: Walks, groups: list[str]) -> None:
    group, poisoned = groups[0], next(key for key in walks.expected()["results"] if groups[0] in key)
    account = poisoned.split('"')[3]
    walks.sandbox.faults = Faults(failures=(Failure(at=f"group/{group}/member-results/{account}", statuses=(500,)),))
    capture = walks.snapshot()
    assert entry(capture, "results")["lost"] == [{"unit": {"group_id": group, "account_id": account}, "status": 503}]
    assert held(capture) == without(walks.expected(), lambda key: key == poisoned)
    assert capture.manifest["groups"]["closed"] == []


def test_it_is_asked_for_again_when_all_else_is_read(walks: Walks, groups: list[str]) -> None:
    at = f"group/{groups[0]}/staff"
    walks.sandbox.faults = Faults(failures=(Failure(at=at, statuses=(500,)),))
    walks.snapshot()
    asked = [record.path.removeprefix("/api/2.1.1/") for record in walks.sandbox.requests]
    again = asked[-5:]  # as often as the budget allows, and then whether Drillster answers otherwise
    assert again == [at] * 4 + ["organization"]
    assert asked.count(at) == 8


@pytest.mark.parametrize("at", ["organizations/*", "groups", "group/{group}/staff", "group/{group}/test-results/*"])
def test_what_answers_then_is_not_lost(walks: Walks, groups: list[str], at: str) -> None:
    failing = Failure(at=at.format(group=groups[0]), first=4, statuses=(500,))
    walks.sandbox.faults = Faults(failures=(failing,))
    capture = walks.snapshot()
    assert held(capture) == walks.expected()
    assert all(found["lost"] == found["short"] == [] for found in capture.manifest["resources"].values())


def test_a_list_is_read_on_from_the_page_that_gave_no_answer(walks: Walks, groups: list[str]) -> None:
    members = f"group/{groups[0]}/members"
    walks.sandbox.faults = Faults(
        clamped_sizes={"*": 10}, failures=(Failure(at=members, query="*resultFrom*", first=4, statuses=(500,)),)
    )
    capture = walks.snapshot()
    assert held(capture) == walks.expected()
    read = Counter((one.path, one.query) for one in walks.sandbox.requests if one.status == 200)
    assert {(path, times) for (path, _), times in read.items() if times > 1} == {("/api/2.1.1/organization", 2)}
    assert entry(capture, "group_members")["items"] == sum(map(len, walks.expected()["group_members"].values()))
    assert entry(capture, "results")["units"] == len(walks.expected()["results"])


def test_an_outage_of_the_token_endpoint_is_not_the_fault_of_the_unit_that_met_it(
    walks: Walks, groups: list[str]
) -> None:
    at = f"group/{groups[0]}/staff"
    with new_tokens(walks.sandbox, backoff=Backoff(attempts=2, first=0)) as walks.tokens:
        walks.tokens.token()
        walks.sandbox.faults = Faults(
            failures=(
                Failure(at=at, first=4, statuses=(500,)),
                Failure(
                    at=at, how=How.REVOKE
                ),  # the second time, and then there is no other token until it is given up
                Failure(at="token", first=2, statuses=(502,)),
            )
        )
        writer = walks.begin()
        with pytest.raises(ApiUnavailable, match="issued no token"):
            walks.walk(writer)
        walks.sandbox.faults = Faults()
        assert held(walks.snapshot(walks.archive.resume(writer.ref))) == walks.expected()


def test_a_list_that_never_answers_takes_along_what_it_leads_to(walks: Walks, groups: list[str]) -> None:
    walks.sandbox.faults = Faults(failures=(Failure(at=f"group/{groups[0]}/members", how=How.CUT),))
    capture = walks.snapshot()
    for resource in ("group_members", "results"):
        assert entry(capture, resource)["lost"] == [{"unit": {"group_id": groups[0]}, "status": 503}]


def test_a_request_that_is_not_understood_for_one_unit_is_left_out_as_well(walks: Walks, groups: list[str]) -> None:
    walks.sandbox.faults = Faults(failures=(Failure(at=f"group/{groups[0]}/staff", statuses=(400,), error="odd"),))
    assert entry(walks.snapshot(), "group_staff")["lost"] == [{"unit": {"group_id": groups[0]}, "status": 400}]


@pytest.mark.parametrize(
    ("statuses", "kind"), [((500,), ApiUnavailable), ((400,), RequestRefused)], ids=["no answer", "not understood"]
)
def test_many_units_that_fail_are_no_exception(walks: Walks, statuses: tuple[int, ...], kind: Any) -> None:
    walks.sandbox.faults = Faults(failures=(Failure(at="group/*/member-results/*", statuses=statuses, error="odd"),))
    with pytest.raises(kind):
        walks.walk(walks.begin())


def test_a_list_on_which_all_rests_is_never_left_out(walks: Walks) -> None:
    walks.sandbox.faults = Faults(failures=(Failure(at="organizations/*", statuses=(500,)),))
    with pytest.raises(ApiUnavailable):
        walks.walk(walks.begin())


def test_an_outage_ends_the_night_though_only_few_units_met_it(walks: Walks, groups: list[str]) -> None:
    # From the members of the last group on, Drillster does not answer at all.
    walks.concurrency = 1
    walks.sandbox.faults = Faults(failures=(Failure(after=30, statuses=(502,)),))
    with pytest.raises(ApiUnavailable):
        walks.walk(walks.begin())
    refused = Counter(record.path for record in walks.sandbox.requests if record.status == 502)
    assert len(refused) == 2  # the unit, and the question whether anything answers


def test_a_unit_that_was_left_out_is_asked_for_again_by_a_walk_that_goes_on(walks: Walks, groups: list[str]) -> None:
    walks.concurrency = 1
    poisoned = Failure(at=f"group/{groups[0]}/members", statuses=(500,))
    refused = Failure(at=f"group/{groups[-1]}/staff", statuses=(401,), error="x")
    walks.sandbox.faults = Faults(failures=(poisoned, refused))
    writer = walks.begin()
    with pytest.raises(Unauthorized):
        walks.walk(writer)
    walks.sandbox.faults = Faults()
    assert held(walks.snapshot(walks.archive.resume(writer.ref))) == walks.expected()


# -- interrupted, and gone on with


def interrupted(walks: Walks, after: int) -> Any:
    """A capture that Ctrl-C ended after so many requests."""
    writer = walks.begin()
    sandbox = walks.sandbox
    interrupter = Interrupter(lambda: len(sandbox.requests) >= after, _thread.interrupt_main)
    interrupter.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            walks.walk(writer)
    finally:
        interrupter.stop()
    assert walk_threads() == []
    return writer.ref


def finished_units(walks: Walks, ref: Any) -> set[tuple[str, str]]:
    writer = walks.archive.resume(ref)
    return {
        (resource, unit(**line.unit))
        for resource in walks.expected()
        for line in writer.recovered(resource, bodies=False)
        if line.footer is not None
    }


@pytest.mark.parametrize("after", [1, 2, 4, 9, 17, 29, 41, 57])
def test_an_interrupted_capture_is_gone_on_with_and_fetches_nothing_again(walks: Walks, after: int) -> None:
    walks.sandbox.faults = Faults(clamped_sizes={"*": 10}, latency=0.003)
    ref = interrupted(walks, after)
    done = finished_units(walks, ref)
    walks.sandbox.clear()
    capture = walks.snapshot(walks.archive.resume(ref))
    assert held(capture) == walks.expected()
    again = {path_of(resource, key) for resource, key in done} & {record.path for record in walks.sandbox.requests}
    assert again == set()
    for resource, units in walks.expected().items():
        assert entry(capture, resource)["units"] == len(units), resource
        assert entry(capture, resource)["short"] == entry(capture, resource)["lost"] == [], resource


def path_of(resource: str, key: str) -> str:
    found = unit_of(resource, json.loads(key))
    path = found.endpoint.path.format(**{"organization_id": "self", **found.params})
    return f"/api/2.1.1/{path}"


def test_a_group_that_is_not_listed_is_read_to_its_end_by_a_walk_that_goes_on(walks: Walks, groups: list[str]) -> None:
    # The walk has read the group itself by its id, and is interrupted before it reads what is in it.
    walks.concurrency = 1
    first = groups[0]
    walks.sandbox.faults = Faults(
        unlisted_groups=frozenset({first}),
        failures=(Failure(at=f"group/{first}/members", statuses=(401,), error="token_expired"),),
    )
    writer = walks.begin()
    with pytest.raises(Unauthorized):
        walks.walk(writer, earlier_groups=groups)
    assert ("groups", unit(group_id=first)) in finished_units(walks, writer.ref)
    walks.sandbox.faults = Faults(unlisted_groups=frozenset({first}))
    capture = walks.snapshot(walks.archive.resume(writer.ref), earlier_groups=groups)
    assert held(capture)["results"] == walks.expected()["results"]
    assert capture.manifest["groups"]["listed"] == groups


def test_what_was_lost_or_short_before_the_interruption_still_is(walks: Walks, groups: list[str]) -> None:
    walks.concurrency = 1
    faults = Faults(
        pages=(PageFault(resource="accounts", what="total_off", n=30),),
        failures=(
            *closed(groups[1], what="staff"),
            Failure(at=f"group/{groups[1]}/member-results/*", statuses=(401,), error="token_expired"),
        ),
    )
    walks.sandbox.faults = faults
    writer = walks.begin()
    with pytest.raises(Unauthorized):
        walks.walk(writer)
    walks.sandbox.faults = Faults()
    walks.sandbox.clear()
    capture = walks.snapshot(walks.archive.resume(writer.ref))
    assert entry(capture, "accounts")["short"] != []
    assert entry(capture, "group_staff")["lost"] == [{"unit": {"group_id": groups[1]}, "status": 403}]
    assert walks.sandbox.count("GET", "*/staff") == walks.sandbox.count("GET", "*/accounts") == 0


def test_every_error_of_the_walk_is_one_that_says_what_to_do(walks: Walks) -> None:
    for failure in (
        Failure(at="groups", statuses=(500,)),
        Failure(at="groups", statuses=(401,), error="x"),
        Failure(at="groups", how=How.REDIRECT),
        Failure(at="groups", how=How.RESET),
        Failure(at="groups", statuses=(418,)),
    ):
        walks.sandbox.faults = Faults(failures=(failure,))
        with pytest.raises(PipelineError, match=r"groups|Drillster"):
            walks.walk(walks.begin())
