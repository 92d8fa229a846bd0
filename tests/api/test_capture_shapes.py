"""Every alternative form of section 14 is captured whole, with small pages so that lists really are followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.drillster import Faults, Sandbox, Shapes
from tests.drillster.shapes import alternatives

from .walking import NIGHT, TINY, WINDOW, Held, Walks, expected_events, forget_tokens, held

ALL = frozenset({"*"})
COMBINED: dict[str, dict[str, Any]] = {
    "no total and no moreAvailable": {"without_total": ALL, "without_more_available": ALL},
    "inclusive cursors that are an index": {"inclusive": ALL, "cursors": "index"},
    "inclusive cursors without moreAvailable": {"inclusive": ALL, "without_more_available": ALL},
    "inclusive cursors without total": {"inclusive": ALL, "without_total": ALL},
    "inclusive cursors with neither": {"inclusive": ALL, "without_total": ALL, "without_more_available": ALL},
    "the least that is required": {"optional_fields": False, "without_total": ALL},
    "flat test results without total": {"test_results_items": "flat", "without_total": ALL},
}


FORMS = dict(alternatives()) | COMBINED
SMALL_PAGES = {"*": 10}
UNPAGED = {("without_pagination", ALL), ("evaluations_list", "array"), ("members_paging", "all")}
"""What comes all at once: cut down to a page, nothing would lead to the next."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=TINY, seed=81, now=NIGHT) as running:
        yield running
        forget_tokens(running)


def shaped(wanted: Held, shapes: dict[str, Any], sandbox: Sandbox) -> Held:
    """What there is to find, given what the form can't tell."""
    seen = sandbox.organization.at(NIGHT)
    invitees = {
        (group.id, one.stay.id)
        for group in seen.present_groups()
        for one in seen.memberships(group)
        if not seen.is_member(one)
    }
    if shapes.get("invitee_id") is False or shapes.get("invitee_results") == "missing":
        wanted["results"] = {
            key: found
            for key, found in wanted["results"].items()
            if not any(group in key and account in key for group, account in invitees)
        }
    return wanted


OF_A_SNAPSHOT = [name for name in FORMS if not name.startswith(("events_", "grant_errors"))]


@pytest.mark.parametrize("name", OF_A_SNAPSHOT)
def test_every_form_is_captured_whole(walks: Walks, name: str) -> None:
    shapes = FORMS[name]
    walks.sandbox.faults = Faults(
        shapes=Shapes(**shapes), clamped_sizes={} if UNPAGED & shapes.items() else SMALL_PAGES
    )
    capture = walks.snapshot()
    entries = capture.manifest["resources"]
    found, wanted = held(capture), shaped(walks.expected(), shapes, walks.sandbox)
    if shapes.get("group_has_tests") is False:
        known = wanted["test_results"].keys() & found["test_results"].keys()
        wanted["test_results"] = {key: wanted["test_results"][key] for key in known}
        assert known, "tests are known from objectives as well"
    assert found == wanted
    assert {entry["status"] for entry in entries.values()} == {"captured"}
    assert [entry["short"] for entry in entries.values() if entry["short"]] == []
    assert [entry["lost"] for entry in entries.values() if entry["lost"]] == []
    if shapes.get("without_total"):
        assert [entry["named_total"] for entry in entries.values() if entry["named_total"] is not None] == []


EVENT_FORMS = [
    name
    for name in FORMS
    if name.startswith(("events_", "without_", "inclusive", "cursors", "no total")) and "pagination" not in name
]


@pytest.mark.parametrize("name", ["objectives_list=array", *EVENT_FORMS])
def test_every_form_of_events_is_captured_whole(walks: Walks, name: str) -> None:
    shapes = FORMS[name]
    walks.sandbox.faults = Faults(
        shapes=Shapes(**shapes), clamped_sizes={} if UNPAGED & shapes.items() else SMALL_PAGES
    )
    capture = walks.events()
    wanted = expected_events(walks.sandbox, WINDOW)["objective_events"]
    assert held(capture)["objective_events"] == wanted
    assert sum(map(len, wanted.values())) > 20
    assert [entry["short"] for entry in capture.manifest["resources"].values() if entry["short"]] == []


@pytest.mark.parametrize("size", [60, 50, 10])
def test_a_page_size_that_is_refused_is_asked_for_once_and_remembered(walks: Walks, size: int) -> None:
    walks.concurrency = 1
    walks.sandbox.faults = Faults(refused_sizes={"*": size})
    assert held(walks.snapshot()) == walks.expected()
    asked = [record.query for record in walks.sandbox.requests if "/member-results/" in record.path]
    refused = [query for query in asked if "resultSize=100" in query]
    assert len(refused) == 1
    largest = max(one for one in (100, 50, 10) if one <= size)
    assert sum(f"resultSize={largest}" in query for query in asked) >= len(walks.expected()["results"])


def test_where_every_size_is_refused_drillster_chooses(walks: Walks) -> None:
    walks.sandbox.faults = Faults(refused_sizes={"*": 1})
    assert held(walks.snapshot()) == walks.expected()


@pytest.mark.parametrize("form", ["html", "nothing"])
def test_a_refused_size_is_understood_without_an_error_id(walks: Walks, form: Any) -> None:
    walks.sandbox.faults = Faults(refused_sizes={"*": 50}, shapes=Shapes(errors=form))
    assert held(walks.snapshot()) == walks.expected()


@pytest.mark.parametrize("clamp", [10, 11, 25, 37, 99])
def test_pages_that_are_silently_cut_down_are_followed(walks: Walks, clamp: int) -> None:
    walks.sandbox.faults = Faults(clamped_sizes={"*": clamp})
    assert held(walks.snapshot()) == walks.expected()
