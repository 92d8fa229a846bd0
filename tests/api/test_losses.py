"""What a capture loses: closed groups, refused resources, units that never answer, and what an interruption leaves."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from drillster_pipeline.api.retry import Backoff
from drillster_pipeline.archive.captures import CaptureRef
from drillster_pipeline.errors import AnswerError, ApiUnavailable, PermissionDenied, RequestRefused, Unauthorized
from drillster_pipeline.resources import RESOURCES
from tests.drillster import Failure, Faults, How, PageFault, closed

from .crawling import (
    SMALL_PAGES,
    Crawls,
    assert_complete,
    calm,
    entry,
    failing,
    finished_paths,
    items_in,
    new_tokens,
    unit,
    without,
)

RESULTS = "group/*/member-results/*"


@pytest.mark.parametrize(
    ("what", "status", "becomes"),
    [("*", 403, "closed"), ("*", 404, "gone"), ("staff", 403, None), ("staff", 404, None)],
)
def test_a_group_is_closed_or_gone_only_if_nothing_of_it_can_be_read(
    crawls: Crawls, groups: list[str], what: str, status: int, becomes: str | None
) -> None:
    shut = groups[0]
    crawls.sandbox.faults = Faults(failures=closed(shut, what=what, status=status))
    capture = crawls.snapshot()
    lost = {"unit": {"group_id": shut}, "status": status}
    wanted = {"listed": groups, "closed": [], "gone": []}
    assert capture.manifest["groups"] == (wanted | {becomes: [shut]} if becomes else wanted)
    assert entry(capture, "group_staff")["lost"] == [lost]
    for resource in ("results", "objective_evaluations", "test_results"):
        # What could not even be requested counts as lost as well.
        assert entry(capture, resource)["lost"] == ([lost] if becomes else [])
        assert entry(capture, resource)["status"] == "captured"
    if becomes:
        assert items_in(capture) == without(crawls.expected(), lambda key: shut in key)


def test_the_pages_of_a_list_that_closes_while_it_is_read_do_not_count(crawls: Crawls, groups: list[str]) -> None:
    shut = groups[0]
    crawls.sandbox.faults = failing(SMALL_PAGES, at=f"group/{shut}/members", query="*resultFrom*", statuses=(403,))
    capture = crawls.snapshot()
    assert unit(group_id=shut) not in items_in(capture)["group_members"]
    assert {"unit": {"group_id": shut}, "status": 403} in entry(capture, "group_members")["lost"]
    assert capture.manifest["groups"]["closed"] == []


BELOW = {
    "groups": set(RESOURCES) - {"organization", "accounts", "catalogs", "catalog_content", "objective_events"},
    "group_members": {"group_members", "results"},
    "objectives": {"objectives", "objective_evaluations"},
    "catalogs": {"catalogs", "catalog_content"},
}
REFUSALS = [
    *((resource, 404, "gone") for resource in ("accounts", "groups", "objectives", "results", "catalog_content")),
    *((resource, 403, "not_permitted") for resource in ("catalogs", "group_members", "test_results")),
    ("accounts", 401, "no_permission"),
    ("group_staff", 400, "not_authorized"),
]


@pytest.mark.parametrize(("resource", "status", "error"), REFUSALS)
def test_what_is_refused_everywhere_is_unavailable_and_the_rest_is_read(
    crawls: Crawls, resource: str, status: int, error: str
) -> None:
    at = re.sub(r"\{\w+\}", "*", RESOURCES[resource].path)
    crawls.sandbox.faults = failing(at=at, statuses=(status,), error=error)
    capture, wanted = crawls.snapshot(), crawls.expected()
    below = BELOW.get(resource, {resource})
    entries = capture.manifest["resources"]
    assert {name for name, one in entries.items() if one["status"] == "unavailable"} == below
    assert {name: units for name, units in items_in(capture).items() if name in wanted.keys() - below} == {
        name: units for name, units in wanted.items() if name not in below
    }
    assert entries[resource]["why"]


def test_an_account_that_may_read_nothing_is_a_missing_permission(crawls: Crawls) -> None:
    crawls.sandbox.faults = failing(statuses=(403,), error="not_permitted")
    with pytest.raises(PermissionDenied, match="neither the organization nor its accounts nor any group"):
        crawls.crawl(crawls.begin())


def test_events_are_unavailable_where_objectives_are(crawls: Crawls) -> None:
    crawls.sandbox.faults = failing(at="group/*/objectives", statuses=(404,))
    capture = crawls.events()
    assert entry(capture, "objective_events")["status"] == "unavailable"
    assert "objectives" in entry(capture, "objective_events")["why"]


# -- units that never answer


def test_a_unit_that_never_answers_is_left_out_after_it_was_requested_again(crawls: Crawls, groups: list[str]) -> None:
    group, key = groups[0], next(key for key in crawls.expected()["results"] if groups[0] in key)
    account = json.loads(key)["account_id"]
    at = f"group/{group}/member-results/{account}"
    crawls.sandbox.faults = failing(at=at, statuses=(500,))
    capture = crawls.snapshot()
    assert entry(capture, "results")["lost"] == [{"unit": {"group_id": group, "account_id": account}, "status": 503}]
    assert items_in(capture) == without(crawls.expected(), lambda other: other == key)
    assert capture.manifest["groups"]["closed"] == []
    paths = [record.path.removeprefix("/api/2.1.1/") for record in crawls.sandbox.requests]
    # As often as the budget allows, and then whether Drillster answers otherwise.
    assert paths[-5:] == [at] * 4 + ["organization"]
    assert paths.count(at) == 8


def test_a_list_is_read_on_from_the_page_that_gave_no_answer(crawls: Crawls, groups: list[str]) -> None:
    members = f"group/{groups[0]}/members"
    crawls.sandbox.faults = failing(SMALL_PAGES, at=members, query="*resultFrom*", first=4, statuses=(500,))
    assert_complete(crawls, crawls.snapshot())
    read = Counter((one.path, one.query) for one in crawls.sandbox.requests if one.status == 200)
    assert {(path, times) for (path, _), times in read.items() if times > 1} == {("/api/2.1.1/organization", 2)}


def test_an_outage_of_the_token_endpoint_is_not_a_fault_of_the_unit_that_was_read(
    crawls: Crawls, groups: list[str]
) -> None:
    at = f"group/{groups[0]}/staff"
    with new_tokens(crawls.sandbox, backoff=Backoff(attempts=2, first=0)) as crawls.tokens:
        crawls.tokens.token()
        crawls.sandbox.faults = Faults(
            failures=(
                Failure(at=at, first=4, statuses=(500,)),
                # The second time, and then there is no other token until it is given up.
                Failure(at=at, how=How.REVOKE),
                Failure(at="token", first=2, statuses=(502,)),
            )
        )
        writer = crawls.begin()
        with pytest.raises(ApiUnavailable, match="issued no token"):
            crawls.crawl(writer)
        crawls.sandbox.faults = Faults()
        assert_complete(crawls, crawls.snapshot(crawls.archive.resume(writer.ref)))


@pytest.mark.parametrize(
    ("failure", "lost"),
    [
        ({"at": "group/{}/members", "how": How.CUT}, {"group_members": 503, "results": 503}),
        ({"at": "group/{}/staff", "statuses": (400,), "error": "odd"}, {"group_staff": 400}),
    ],
    ids=["no answer", "not understood"],
)
def test_a_list_that_cannot_be_read_is_lost_with_what_it_leads_to(
    crawls: Crawls, groups: list[str], failure: dict[str, Any], lost: dict[str, int]
) -> None:
    crawls.sandbox.faults = failing(**failure | {"at": failure["at"].format(groups[0])})
    entries = crawls.snapshot().manifest["resources"]
    assert {name: one["lost"] for name, one in entries.items() if one["lost"]} == {
        name: [{"unit": {"group_id": groups[0]}, "status": status}] for name, status in lost.items()
    }


@pytest.mark.parametrize(
    ("faults", "kind", "match"),
    [
        (failing(at=RESULTS, statuses=(500,)), ApiUnavailable, "member-results"),
        (failing(at=RESULTS, statuses=(400,), error="odd"), RequestRefused, "member-results"),
        (failing(at="organizations/*", statuses=(500,)), ApiUnavailable, "accounts"),
        (failing(at=RESULTS, statuses=(401,), error="x", after=9), Unauthorized, "member-results"),
        (
            Faults(clamped_sizes=SMALL_PAGES, pages=(PageFault(resource="accounts", what="stuck"),)),
            AnswerError,
            "Nothing of it is used",
        ),
    ],
    ids=["many without an answer", "many that are not understood", "a list that all depends on", "a 401", "a loop"],
)
def test_what_is_no_exception_ends_the_capture(crawls: Crawls, faults: Faults, kind: Any, match: str) -> None:
    crawls.sandbox.faults = replace(faults, latency=0.005)
    with pytest.raises(kind, match=match):
        crawls.crawl(crawls.begin())
    assert len(crawls.sandbox.requests) < 110


def test_an_outage_ends_the_capture_though_only_few_units_were_read_in_it(crawls: Crawls) -> None:
    # From the members of the last group on, Drillster does not answer at all.
    crawls.concurrency = 1
    crawls.sandbox.faults = failing(after=30, statuses=(502,))
    with pytest.raises(ApiUnavailable):
        crawls.crawl(crawls.begin())
    refused = Counter(record.path for record in crawls.sandbox.requests if record.status == 502)
    assert len(refused) == 2  # the unit, and whether anything answers


# -- interrupted and resumed


def interrupted(crawls: Crawls, faults: Faults, **options: Any) -> CaptureRef:
    """A capture that a 401 ends; then the sandbox is as usual."""
    crawls.sandbox.faults = faults
    writer = crawls.begin()
    with pytest.raises(Unauthorized):
        crawls.crawl(writer, **options)
    calm(crawls.sandbox)
    return writer.ref


@pytest.mark.parametrize(("after", "concurrency"), [(4, 1), (9, 4), (29, 4), (57, 4)])
def test_an_interrupted_capture_is_resumed_and_requests_nothing_again(
    crawls: Crawls, after: int, concurrency: int
) -> None:
    # The first responses to several threads may be pages of lists that go on: none of them is finished.
    crawls.concurrency = concurrency
    ref = interrupted(crawls, failing(SMALL_PAGES, after=after, statuses=(401,), error="x"))
    done = finished_paths(crawls.archive, ref)
    assert len(done) > after / 4
    crawls.sandbox.faults = Faults(clamped_sizes=SMALL_PAGES)
    assert_complete(crawls, crawls.snapshot(crawls.archive.resume(ref)))
    assert not done & {record.path for record in crawls.sandbox.requests}


def test_a_resumed_capture_requests_again_what_was_left_out_and_keeps_what_was_lost_or_short(
    crawls: Crawls, groups: list[str]
) -> None:
    crawls.concurrency = 1
    failures = (
        Failure(at=f"group/{groups[0]}/drillables", statuses=(500,)),
        *closed(groups[1], what="staff"),
        Failure(at=f"group/{groups[1]}/member-results/*", statuses=(401,), error="token_expired"),
    )
    too_many = PageFault(resource="accounts", what="total_off", n=30)
    ref = interrupted(crawls, Faults(pages=(too_many,), failures=failures))
    capture = crawls.snapshot(crawls.archive.resume(ref))
    assert items_in(capture)["group_drillables"] == crawls.expected()["group_drillables"]
    assert entry(capture, "accounts")["short"] != []
    assert entry(capture, "group_staff")["lost"] == [{"unit": {"group_id": groups[1]}, "status": 403}]
    assert crawls.sandbox.count("GET", f"*/{groups[1]}/staff") == crawls.sandbox.count("GET", "*/accounts") == 0


def test_a_group_that_is_not_listed_is_read_to_its_end_by_a_resumed_capture(crawls: Crawls, groups: list[str]) -> None:
    # The capture has read the group itself by its id, and is interrupted before it reads what is in it.
    crawls.concurrency = 1
    first, unlisted = groups[0], frozenset({groups[0]})
    failure = Failure(at=f"group/{first}/members", statuses=(401,), error="token_expired")
    ref = interrupted(crawls, Faults(unlisted_groups=unlisted, failures=(failure,)), earlier_groups=groups)
    assert f"/api/2.1.1/group/{first}" in finished_paths(crawls.archive, ref)
    crawls.sandbox.faults = Faults(unlisted_groups=unlisted)
    capture = crawls.snapshot(crawls.archive.resume(ref), earlier_groups=groups)
    assert items_in(capture)["results"] == crawls.expected()["results"]
    assert capture.manifest["groups"]["listed"] == groups
