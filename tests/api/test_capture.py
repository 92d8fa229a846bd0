"""A crawl over a real sandbox: everything once, group by group; and all that goes wrong on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.api.client import Client
from drillster_pipeline.api.crawler import Crawler
from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.resources import CAPTURED
from tests.drillster import Faults, PageFault, Shapes
from tests.drillster.shapes import alternatives
from tests.support.scripted import json_reply

from .conftest import Drillster
from .crawling import (
    DAY,
    KEEP,
    MOMENT,
    SMALL_PAGES,
    WINDOW,
    Crawls,
    assert_complete,
    entry,
    expected_events,
    failing,
    forget_tokens,
    items_in,
    unit,
)

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


@pytest.mark.parametrize(("off", "requests"), [(1, 1), (30, 3)])
def test_a_total_that_is_never_reached_is_recorded(crawls: Crawls, off: int, requests: int) -> None:
    crawls.sandbox.faults = Faults(pages=(PageFault(resource="accounts", what="total_off", n=off),))
    capture = crawls.snapshot()
    there = len(crawls.expected()["accounts"][unit()])
    assert entry(capture, "accounts")["short"] == [{"unit": {}, "items": there, "expected": there + off}]
    assert crawls.sandbox.count("GET", "/api/2.1.1/organizations/self/accounts") == requests
    assert items_in(capture) == crawls.expected()


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
