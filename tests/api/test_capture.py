"""A walk over a real sandbox: everything once, depth first, always busy; and all that goes wrong on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from drillster_pipeline import resources as api
from drillster_pipeline.api.crawler import Crawler
from drillster_pipeline.errors import (
    AnswerError,
    PermissionDenied,
    Unauthorized,
)
from drillster_pipeline.resources import RESOURCES, Unit
from tests.drillster import Failure, Faults, PageFault, Shapes, closed

from .walking import KEEP, NIGHT, WINDOW, Walks, entry, expected_events, forget_tokens, held, unit, walk_threads


def without(everything: Any, gone: Callable[[str], bool]) -> Any:
    return {
        resource: {key: found for key, found in units.items() if not gone(key)}
        for resource, units in everything.items()
    }


# -- a quiet night


def test_a_snapshot_holds_what_the_organization_is_and_asks_for_each_thing_once(walks: Walks) -> None:
    forget_tokens(walks.sandbox)
    capture = walks.snapshot()
    assert held(capture) == walks.expected()
    asked = Counter((record.path, record.query) for record in walks.sandbox.requests)
    assert set(asked.values()) == {1}
    assert walks.sandbox.grants == 1
    units = {key for key, things in walks.expected()["results"].items()}
    assert walks.sandbox.count("GET", "/api/2.1.1/group/*/member-results/*") == len(units)


def test_the_manifest_counts_what_was_read(walks: Walks) -> None:
    capture, wanted = walks.snapshot(), walks.expected()
    for resource, units in wanted.items():
        found = entry(capture, resource)
        assert found["status"] == "captured", resource
        assert found["units"] == len(units), resource
        assert found["lost"] == found["short"] == [], resource
        if resource not in {"groups", "catalogs", "test_results"}:
            assert found["items"] == sum(map(len, units.values())), resource
    assert entry(capture, "accounts")["named_total"] == len(wanted["accounts"][unit()])
    assert capture.manifest["groups"] == {"listed": sorted(wanted["groups"][unit()]), "closed": [], "gone": []}


def test_another_organization_id_than_self_is_asked_for(walks: Walks) -> None:
    organization = walks.sandbox.credentials.organization_id
    assert held(walks.snapshot(organization_id=organization)) == walks.expected()
    assert walks.sandbox.count("GET", f"/api/2.1.1/organization/{organization}") == 1


@pytest.mark.parametrize("known", [True, False], ids=["objectives known", "objectives listed first"])
def test_events_of_a_window_are_what_happened_in_it(walks: Walks, known: bool) -> None:
    seen = walks.sandbox.organization.at(NIGHT)
    objectives = [(group.id, one.id) for group in seen.present_groups() for one in seen.objectives(group)]
    capture = walks.events(objectives if known else None)
    assert held(capture)["objective_events"] == expected_events(walks.sandbox, WINDOW)["objective_events"]
    assert set(capture.manifest["resources"]) == (
        {"objective_events"} if known else {"groups", "objectives", "objective_events"}
    )
    assert walks.sandbox.count("GET", "/api/2.1.1/groups") == (0 if known else 1)


def test_a_clock_that_is_set_back_leaves_the_span_of_the_capture_in_order(walks: Walks) -> None:
    ticks = iter(NIGHT - timedelta(seconds=number) for number in range(100_000))
    capture = walks.snapshot(now=lambda: next(ticks))
    assert capture.manifest["captured_from"] < capture.manifest["captured_until"]


# -- depth first, always busy, memory flat


def test_a_group_is_done_before_the_next_is_opened(walks: Walks, groups: list[str]) -> None:
    walks.concurrency = 1
    walks.snapshot()
    order = [record.path.split("/")[4] for record in walks.sandbox.requests if "/group/" in record.path]
    changes = sum(before != after for before, after in pairwise(order))
    assert changes == len(groups) - 1


def test_lists_of_a_group_are_read_before_the_results_of_its_members(walks: Walks, groups: list[str]) -> None:
    # One page after the other: begun at the end, a long list would be all that is left to do, in one thread.
    walks.concurrency = 1
    walks.snapshot()
    for group in groups:
        paths = [record.path for record in walks.sandbox.requests if f"/group/{group}" in record.path]
        asked_for_results = ["member-results" in path for path in paths]
        assert asked_for_results == sorted(asked_for_results)
        assert len(set(asked_for_results)) == 2


def test_the_largest_group_is_read_first(walks: Walks) -> None:
    walks.concurrency = 1
    capture = walks.snapshot()
    listed = [group for line in capture.pages("groups") if not line.unit for group in line.body["groups"]]
    sizes = {group["id"]: group["counts"]["members"] for group in listed}
    order = list(dict.fromkeys(r.path.split("/")[4] for r in walks.sandbox.requests if "/group/" in r.path))
    assert [sizes[group] for group in order] == sorted(sizes.values(), reverse=True)
    assert len(set(sizes.values())) > 1


# -- errors


def test_the_first_error_stops_all_threads_and_is_the_one_that_is_raised(walks: Walks) -> None:
    walks.sandbox.change(
        latency=0.01,
        failures=(Failure(at="group/*/member-results/*", statuses=(401,), error="token_expired", after=9),),
    )
    with pytest.raises(Unauthorized, match="member-results"):
        walks.walk(walks.begin())
    assert walk_threads() == []
    assert len(walks.sandbox.requests) < 60


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (PageFault(resource="accounts", what="stuck"), AnswerError),
        (PageFault(resource="accounts", what="endless"), AnswerError),
        (PageFault(resource="accounts", what="empty"), AnswerError),
        (PageFault(resource="group_members", what="stuck"), AnswerError),
        (PageFault(resource="results", what="endless"), AnswerError),
    ],
    ids=lambda value: f"{value.what} {value.resource}" if isinstance(value, PageFault) else "",
)
def test_a_list_that_cannot_be_followed_is_a_contract_error(walks: Walks, fault: Any, kind: Any) -> None:
    walks.sandbox.faults = Faults(clamped_sizes={"*": 10}, pages=(fault,))
    with pytest.raises(kind, match="Nothing of it is used"):
        walks.walk(walks.begin())


def test_a_cursor_whose_item_has_gone_makes_the_list_restart(walks: Walks) -> None:
    walks.sandbox.faults = Faults(
        clamped_sizes={"*": 10},
        failures=(
            Failure(
                at="*/accounts", query="*resultFrom*", statuses=(400,), error="invalid_result_from", nth=frozenset({1})
            ),
        ),
    )
    assert held(walks.snapshot()) == walks.expected()


@pytest.mark.parametrize(("off", "requests"), [(1, 1), (30, 3)])
def test_a_total_that_is_never_reached_is_a_hole(walks: Walks, off: int, requests: int) -> None:
    walks.sandbox.faults = Faults(pages=(PageFault(resource="accounts", what="total_off", n=off),))
    capture = walks.snapshot()
    there = len(walks.expected()["accounts"][unit()])
    short = entry(capture, "accounts")["short"]
    assert short == [{"unit": {}, "items": there, "expected": there + off}]
    assert walks.sandbox.count("GET", "/api/2.1.1/organizations/self/accounts") == requests
    assert held(capture) == walks.expected()


def test_members_that_the_group_counts_and_the_list_lacks_are_a_hole(walks: Walks, groups: list[str]) -> None:
    # The group has been emptied since its list was read, or so its list of members says, without a total.
    writer = walks.begin()
    counted = Unit(api.GROUP_MEMBERS, {"group_id": groups[0]}, 14)
    walks.sandbox.faults = Faults(
        empty_groups=frozenset(groups), shapes=Shapes(without_total=frozenset({"group_members"}))
    )
    with walks.client() as client:
        result = Crawler(client, writer, privacy=KEEP, now=lambda: NIGHT).run([counted], ("group_members",))
    writer.abandon()
    short = result.resources["group_members"]["short"]
    assert short == [{"unit": {"group_id": groups[0]}, "items": 0, "expected": 14}]


# -- what is closed, gone, or not there at all


def test_a_group_that_is_closed_to_us_is_recorded_and_the_walk_goes_on(walks: Walks, groups: list[str]) -> None:
    shut = groups[0]
    walks.sandbox.faults = Faults(failures=closed(shut))
    capture = walks.snapshot()
    assert capture.manifest["groups"] == {"listed": groups, "closed": [shut], "gone": []}
    assert {"unit": {"group_id": shut}, "status": 403} in entry(capture, "group_members")["lost"]
    # What could not even be asked for counts as lost as well.
    for resource in ("results", "objective_evaluations", "test_results"):
        assert entry(capture, resource)["lost"] == [{"unit": {"group_id": shut}, "status": 403}]
        assert entry(capture, resource)["status"] == "captured"
    wanted = walks.expected()
    assert held(capture) == without(wanted, lambda key: shut in key)


def test_a_group_that_vanishes_between_listing_and_reading_is_gone(walks: Walks, groups: list[str]) -> None:
    lost = groups[0]
    walks.sandbox.faults = Faults(failures=closed(lost, status=404, error="group_not_found"))
    capture = walks.snapshot()
    assert capture.manifest["groups"] == {"listed": groups, "closed": [], "gone": [lost]}
    assert held(capture) == without(walks.expected(), lambda key: lost in key)


@pytest.mark.parametrize("status", [403, 404])
def test_a_group_that_answers_in_part_is_neither_closed_nor_gone(walks: Walks, groups: list[str], status: int) -> None:
    part = groups[0]
    walks.sandbox.faults = Faults(failures=closed(part, what="staff", status=status))
    capture = walks.snapshot()
    assert capture.manifest["groups"] == {"listed": groups, "closed": [], "gone": []}
    assert entry(capture, "group_staff")["lost"] == [{"unit": {"group_id": part}, "status": status}]
    assert entry(capture, "results")["lost"] == []


def test_the_pages_of_a_list_that_closes_while_it_is_read_do_not_count(walks: Walks, groups: list[str]) -> None:
    shut = groups[0]
    walks.sandbox.faults = Faults(
        clamped_sizes={"*": 10}, failures=(Failure(at=f"group/{shut}/members", query="*resultFrom*", statuses=(403,)),)
    )
    capture = walks.snapshot()
    assert unit(group_id=shut) not in held(capture)["group_members"]
    assert {"unit": {"group_id": shut}, "status": 403} in entry(capture, "group_members")["lost"]
    assert capture.manifest["groups"]["closed"] == []


REFUSED_AT = {
    name: re.sub(r"\{\w+\}", "*", resource.path)
    for name, resource in RESOURCES.items()
    if name not in {"organization", "objective_events"}
}
REFUSALS = [
    *(
        (resource, status, error)
        for resource in REFUSED_AT
        for status, error in ((404, "gone"), (403, "not_permitted"))
    ),
    *((resource, 401, "no_permission") for resource in ("accounts", "group_members")),
    *((resource, 400, "not_authorized") for resource in ("catalog_content", "group_staff")),
]


@pytest.mark.parametrize(("resource", "status", "error"), REFUSALS)
def test_what_is_refused_everywhere_is_unavailable_and_the_rest_is_read(
    walks: Walks, resource: str, status: int, error: str
) -> None:
    at = REFUSED_AT[resource]
    walks.sandbox.faults = Faults(failures=(Failure(at=at, statuses=(status,), error=error),))
    capture, wanted = walks.snapshot(), walks.expected()
    found = {name: one["status"] for name, one in capture.manifest["resources"].items()}
    below = {
        "groups": set(wanted) - {"organization", "accounts", "catalogs", "catalog_content"},
        "group_members": {"group_members", "results"},
        "objectives": {"objectives", "objective_evaluations"},
        "catalogs": {"catalogs", "catalog_content"},
    }.get(resource, {resource})
    assert {name for name, status in found.items() if status == "unavailable"} == below
    assert {name: units for name, units in held(capture).items() if name in set(wanted) - below} == {
        name: units for name, units in wanted.items() if name not in below
    }
    assert entry(capture, resource)["why"]
    if resource != "groups":
        assert capture.manifest["groups"]["closed"] == capture.manifest["groups"]["gone"] == []


def test_an_account_that_may_read_nothing_is_told_what_it_needs(walks: Walks) -> None:
    walks.sandbox.faults = Faults(failures=(Failure(statuses=(403,), error="not_permitted"),))
    with pytest.raises(PermissionDenied, match="neither the organization nor its accounts nor any group"):
        walks.walk(walks.begin())


def test_events_are_unavailable_where_objectives_are(walks: Walks) -> None:
    walks.sandbox.faults = Faults(failures=(Failure(at="group/*/objectives", statuses=(404,)),))
    capture = walks.events()
    assert entry(capture, "objective_events")["status"] == "unavailable"
    assert "objectives" in entry(capture, "objective_events")["why"]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({}, {"closed": [], "gone": [], "listed": 2}),
        ({"failures": 403}, {"closed": [0], "gone": [], "listed": 1}),
        ({"hidden": True}, {"closed": [], "gone": [0], "listed": 1}),
    ],
    ids=["still to be read", "taken from the service account", "deleted"],
)
def test_a_group_that_is_no_longer_listed_is_asked_for_by_its_id(
    walks: Walks, groups: list[str], faults: dict[str, Any], expected: dict[str, Any]
) -> None:
    first = groups[0]
    walks.sandbox.faults = Faults(
        unlisted_groups=frozenset({first}),
        hidden_groups=frozenset({first}) if faults.get("hidden") else frozenset(),
        failures=closed(first) if faults.get("failures") else (),
    )
    capture = walks.snapshot(earlier_groups=groups)
    found = capture.manifest["groups"]
    assert found["closed"] == [groups[number] for number in expected["closed"]]
    assert found["gone"] == [groups[number] for number in expected["gone"]]
    assert len(found["listed"]) == expected["listed"]
    units = held(capture)
    wanted = walks.expected() if expected["listed"] == 2 else without(walks.expected(), lambda key: first in key)
    del units["groups"][unit()], wanted["groups"][unit()]
    assert units == wanted
