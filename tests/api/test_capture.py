"""A crawl over a real sandbox: everything once, group by group; and all that goes wrong on the way."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline import resources as api
from drillster_pipeline.api.client import Client
from drillster_pipeline.api.crawler import Crawler
from drillster_pipeline.api.retry import Backoff
from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.archive.captures import CaptureRef
from drillster_pipeline.errors import AnswerError, ApiUnavailable, PermissionDenied, RequestRefused, Unauthorized
from drillster_pipeline.resources import CAPTURED, RESOURCES, Unit
from tests.drillster import Failure, Faults, How, PageFault, Shapes, closed
from tests.drillster.shapes import alternatives
from tests.support.scripted import json_reply

from .conftest import Drillster
from .crawling import (
    DAY,
    KEEP,
    MOMENT,
    WINDOW,
    Crawls,
    calm,
    entry,
    expected_events,
    finished_paths,
    forget_tokens,
    items_in,
    new_tokens,
    unit,
)

SMALL_PAGES = {"*": 10}


def failing(clamped_sizes: Mapping[str, int] | None = None, **failure: Any) -> Faults:
    return Faults(clamped_sizes=clamped_sizes or {}, failures=(Failure(**failure),))


def without(everything: Any, gone: Callable[[str], bool]) -> Any:
    return {
        resource: {key: found for key, found in units.items() if not gone(key)}
        for resource, units in everything.items()
    }


def assert_complete(crawls: Crawls, capture: Any) -> None:
    wanted = crawls.expected()
    assert items_in(capture) == wanted
    for resource, units in wanted.items():
        found = entry(capture, resource)
        assert (found["status"], found["units"]) == ("captured", len(units)), resource
        assert found["lost"] == found["short"] == [], resource


# -- without faults


def test_a_snapshot_has_what_the_organization_has_and_requests_each_thing_once(
    crawls: Crawls, groups: list[str]
) -> None:
    forget_tokens(crawls.sandbox)
    capture, wanted = crawls.snapshot(), crawls.expected()
    assert_complete(crawls, capture)
    assert set(Counter((record.path, record.query) for record in crawls.sandbox.requests).values()) == {1}
    assert crawls.sandbox.grants == 1
    for resource in wanted.keys() - {"groups", "catalogs", "test_results"}:
        assert entry(capture, resource)["items"] == sum(map(len, wanted[resource].values())), resource
    assert entry(capture, "accounts")["named_total"] == len(wanted["accounts"][unit()])
    assert capture.manifest["groups"] == {"listed": groups, "closed": [], "gone": []}


def test_another_organization_id_than_self_is_requested(crawls: Crawls) -> None:
    organization = crawls.sandbox.credentials.organization_id
    assert items_in(crawls.snapshot(organization_id=organization)) == crawls.expected()
    assert crawls.sandbox.count("GET", f"/api/2.1.1/organization/{organization}") == 1


@pytest.mark.parametrize("known", [True, False], ids=["objectives known", "objectives listed first"])
def test_events_of_a_window_are_what_happened_in_it(crawls: Crawls, known: bool) -> None:
    seen = crawls.sandbox.organization.at(MOMENT)
    objectives = [(group.id, one.id) for group in seen.present_groups() for one in seen.objectives(group)]
    capture = crawls.events(objectives if known else None)
    assert items_in(capture)["objective_events"] == expected_events(crawls.sandbox, WINDOW)["objective_events"]
    listed = set() if known else {"groups", "objectives"}
    assert set(capture.manifest["resources"]) == {"objective_events"} | listed
    assert crawls.sandbox.count("GET", "/api/2.1.1/groups") == (0 if known else 1)


def test_a_clock_that_is_set_back_leaves_the_times_of_the_capture_in_order(crawls: Crawls) -> None:
    ticks = iter(MOMENT - timedelta(seconds=number) for number in range(100_000))
    capture = crawls.snapshot(now=lambda: next(ticks))
    assert capture.manifest["captured_from"] < capture.manifest["captured_until"]


def test_groups_are_read_one_after_the_other_the_largest_first_and_the_lists_of_each_before_its_results(
    crawls: Crawls, groups: list[str]
) -> None:
    crawls.concurrency = 1
    capture = crawls.snapshot()
    paths = [record.path.split("/") for record in crawls.sandbox.requests if "/group/" in record.path]
    assert sum(before[4] != after[4] for before, after in pairwise(paths)) == len(groups) - 1
    listed = [group for line in capture.pages("groups") if not line.unit for group in line.body["groups"]]
    sizes = {group["id"]: group["counts"]["members"] for group in listed}
    order = list(dict.fromkeys(path[4] for path in paths))
    assert [sizes[group] for group in order] == sorted(set(sizes.values()), reverse=True)
    for group in groups:
        # One page after the other: begun at the end, a long list would be all that is left to do, in one thread.
        are_results = ["member-results" in path for path in paths if path[4] == group]
        assert are_results == sorted(are_results)
        assert len(set(are_results)) == 2


# -- faults that cost nothing

FIRST = frozenset({1})
HARMLESS: dict[str, Faults] = {
    **{f"pages cut down to {size}": Faults(clamped_sizes={"*": size}) for size in (10, 37)},
    **{f"more than {size} refused": Faults(refused_sizes={"*": size}) for size in (60, 10, 1)},
    "more than 50 refused by HTML": Faults(refused_sizes={"*": 50}, shapes=Shapes(errors="html")),
    "an item named by a cursor is gone": failing(
        SMALL_PAGES, at="*/accounts", query="*resultFrom*", statuses=(400,), error="invalid_result_from", nth=FIRST
    ),
    **{
        f"{at} does not answer at first": failing(at=at, first=4, statuses=(500,))
        for at in ("organizations/*", "groups", "group/*/test-results/*")
    },
}


@pytest.mark.parametrize("name", HARMLESS)
def test_everything_is_captured_in_spite_of_faults(crawls: Crawls, name: str) -> None:
    crawls.sandbox.faults = HARMLESS[name]
    assert_complete(crawls, crawls.snapshot())


ALL = frozenset({"*"})
OF_CURSORS = {"without_total", "without_more_available", "without_pagination", "inclusive", "cursors"}
OF_PAGES = OF_CURSORS | {"null_cursor_on_empty", "accounts_order", "groups_total", "members_paging"}
OF_NO_ITEM = OF_PAGES | {"optional_fields", "group_has_tests", "invitee_results", "test_results_items", "errors"}
PAGING: dict[str, dict[str, Any]] = {name: form for name, form in alternatives() if form.keys() <= OF_PAGES} | {
    "no total and no moreAvailable": {"without_total": ALL, "without_more_available": ALL},
    "inclusive cursors that are an index": {"inclusive": ALL, "cursors": "index"},
    "inclusive cursors without moreAvailable": {"inclusive": ALL, "without_more_available": ALL},
    "inclusive cursors with neither": {"inclusive": ALL, "without_total": ALL, "without_more_available": ALL},
    "the least that is required": {"optional_fields": False, "without_total": ALL},
    "flat test results without total": {"test_results_items": "flat", "without_total": ALL},
}
AT_ONCE = ("without_pagination=*", "members_paging=all")
"""Cut down to a page, nothing would lead to the next."""
ITEM_FORMS = {key: value for _, form in alternatives() for key, value in form.items() if key not in OF_NO_ITEM} | {
    "evaluations_list": "objectiveEvaluations"  # an array has no place for a cursor
}


def in_form(crawls: Crawls, name: str, form: dict[str, Any]) -> None:
    crawls.sandbox.faults = Faults(shapes=Shapes(**form), clamped_sizes={} if name in AT_ONCE else SMALL_PAGES)


@pytest.mark.parametrize("name", [*PAGING, "other items"])
def test_every_form_is_captured_completely(crawls: Crawls, name: str) -> None:
    form = PAGING.get(name, ITEM_FORMS)
    in_form(crawls, name, form)
    capture = crawls.snapshot()
    assert_complete(crawls, capture)
    if "without_total" in form:
        assert {one["named_total"] for one in capture.manifest["resources"].values()} == {None}


@pytest.mark.parametrize("name", [name for name, form in PAGING.items() if form.keys() <= OF_CURSORS])
def test_every_form_of_events_is_captured_completely(crawls: Crawls, name: str) -> None:
    in_form(crawls, name, PAGING[name] | ITEM_FORMS)
    capture = crawls.events()
    wanted = expected_events(crawls.sandbox, WINDOW)["objective_events"]
    assert items_in(capture)["objective_events"] == wanted
    assert sum(map(len, wanted.values())) > 20
    assert [one["short"] for one in capture.manifest["resources"].values() if one["short"]] == []


def test_results_that_are_not_there_and_tests_that_only_objectives_name_are_no_loss(crawls: Crawls) -> None:
    in_form(crawls, "", {"invitee_results": "missing", "group_has_tests": False})
    capture, wanted = crawls.snapshot(), crawls.expected()
    found = items_in(capture)
    assert entry(capture, "results")["absent"] > 0
    assert entry(capture, "results")["lost"] == []
    assert found["results"].items() < wanted["results"].items()
    assert found["test_results"].items() <= wanted["test_results"].items()
    assert found["test_results"]


def test_a_page_size_that_is_refused_is_requested_once(crawls: Crawls) -> None:
    crawls.concurrency = 1
    crawls.sandbox.faults = Faults(refused_sizes={"*": 60})
    crawls.snapshot()
    sizes = [record.query for record in crawls.sandbox.requests if "/member-results/" in record.path]
    assert sum("resultSize=100" in query for query in sizes) == 1
    assert sum("resultSize=50" in query for query in sizes) >= len(crawls.expected()["results"])


# -- lists that do not add up


@pytest.mark.parametrize(
    "fault",
    [
        PageFault(resource="accounts", what="stuck"),
        PageFault(resource="accounts", what="empty"),
        PageFault(resource="results", what="endless"),
    ],
    ids=lambda fault: f"{fault.what} {fault.resource}",
)
def test_a_list_that_cannot_be_followed_is_a_contract_error(crawls: Crawls, fault: PageFault) -> None:
    crawls.sandbox.faults = Faults(clamped_sizes=SMALL_PAGES, pages=(fault,))
    with pytest.raises(AnswerError, match="Nothing of it is used"):
        crawls.crawl(crawls.begin())


@pytest.mark.parametrize(("off", "requests"), [(1, 1), (30, 3)])
def test_a_total_that_is_never_reached_is_recorded(crawls: Crawls, off: int, requests: int) -> None:
    crawls.sandbox.faults = Faults(pages=(PageFault(resource="accounts", what="total_off", n=off),))
    capture = crawls.snapshot()
    there = len(crawls.expected()["accounts"][unit()])
    assert entry(capture, "accounts")["short"] == [{"unit": {}, "items": there, "expected": there + off}]
    assert crawls.sandbox.count("GET", "/api/2.1.1/organizations/self/accounts") == requests
    assert items_in(capture) == crawls.expected()


def test_members_that_the_group_counts_and_the_list_lacks_are_recorded(crawls: Crawls, groups: list[str]) -> None:
    # The group has been emptied since its list was read, or so its list of members says, without a total.
    writer = crawls.begin()
    counted = Unit(api.GROUP_MEMBERS, {"group_id": groups[0]}, 14)
    crawls.sandbox.faults = Faults(
        empty_groups=frozenset(groups), shapes=Shapes(without_total=frozenset({"group_members"}))
    )
    with crawls.client() as client:
        result = Crawler(client, writer, privacy=KEEP, now=lambda: MOMENT).run([counted], ("group_members",))
    writer.abandon()
    short = result.resources["group_members"]["short"]
    assert short == [{"unit": {"group_id": groups[0]}, "items": 0, "expected": 14}]


# -- what is closed, gone, or not there at all


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


@pytest.mark.parametrize("becomes", ["listed", "closed", "gone"])
def test_a_group_that_is_no_longer_listed_is_requested_by_its_id(
    crawls: Crawls, groups: list[str], becomes: str
) -> None:
    first, rest = groups[0], groups[1:]
    crawls.sandbox.faults = Faults(
        unlisted_groups=frozenset({first}),
        hidden_groups=frozenset({first} if becomes == "gone" else ()),
        failures=closed(first) if becomes == "closed" else (),
    )
    capture = crawls.snapshot(earlier_groups=groups)
    wanted = {"listed": rest, "closed": [], "gone": []}
    assert capture.manifest["groups"] == wanted | {becomes: groups if becomes == "listed" else [first]}
    found, complete = items_in(capture), crawls.expected()
    del found["groups"][unit()], complete["groups"][unit()]
    assert found == (complete if becomes == "listed" else without(complete, lambda key: first in key))


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
    ("failure", "kind", "match"),
    [
        (Failure(at="group/*/member-results/*", statuses=(500,)), ApiUnavailable, "member-results"),
        (Failure(at="group/*/member-results/*", statuses=(400,), error="odd"), RequestRefused, "member-results"),
        (Failure(at="organizations/*", statuses=(500,)), ApiUnavailable, "accounts"),
        (Failure(at="group/*/member-results/*", statuses=(401,), error="x", after=9), Unauthorized, "member-results"),
    ],
    ids=["many units without an answer", "many that are not understood", "a list that all depends on", "a 401"],
)
def test_what_is_no_exception_ends_the_capture(crawls: Crawls, failure: Failure, kind: Any, match: str) -> None:
    crawls.sandbox.faults = Faults(latency=0.005, failures=(failure,))
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


def test_every_declared_resource_is_requested_and_compared_with_the_counts_of_its_group(
    drillster: Drillster, make_client: Callable[..., Client], tmp_path: Path
) -> None:
    """Each response is a list of one item that has an id, counts and tests."""
    item = {"id": "x", "type": "TEST", "playables": [{"id": "y"}], "counts": {"members": 9, "drillables": 9}}
    drillster.api = lambda _: json_reply([item])
    archive = Archive(str(tmp_path))
    for kind, names in CAPTURED.items():
        writer = archive.begin(DAY, kind, {"kind": kind}, MOMENT)
        crawler = Crawler(make_client(), writer, privacy=KEEP, window=WINDOW if kind == "events" else None)
        found = crawler.snapshot() if kind == "snapshot" else crawler.events()
        assert [name for name in names if not found.resources[name]["units"]] == []
        short = [name for name in names if found.resources[name]["short"]]
        assert short == (["group_members", "group_drillables"] if kind == "snapshot" else [])
        writer.abandon()
