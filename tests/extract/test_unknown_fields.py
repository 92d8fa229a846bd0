from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline.extract.unknown_fields import MOST_PATHS, UnknownFields

from .answers import DOCUMENTED, FORMS, LISTS, example, respond
from .pages import extract, page

NOOR = {"type": "USER", "id": "noor", "name": "Noor", "avatar": {"url": "https://example.org/n.png"}}
UNIT = {"group_id": "g"}


def unknown(resource: str, *bodies: Any, **unit: str) -> dict[str, str]:
    found = UnknownFields()
    for number, body in enumerate(bodies, start=1):
        found.add_page(*page(resource, body, number=number, **unit))
    return found.found.get(resource, {})


def with_new(value: Any, path: str = "") -> tuple[Any, set[str]]:
    """An answer with a new field in every object, and the paths of these fields."""
    if isinstance(value, list):
        value, paths = with_new(value[0], f"{path}[]") if value else (None, set())
        return [value], paths
    if not isinstance(value, dict):
        return value, set()
    changed: dict[str, Any] = {"new": 1}
    paths = {f"{path}.new".removeprefix(".")}
    for name, inside in value.items():
        changed[name], more = with_new(inside, f"{path}.{name}".removeprefix("."))
        paths |= more
    return changed, paths


@pytest.mark.parametrize("resource", ["organization", *DOCUMENTED])
def test_a_field_that_the_documentation_does_not_name_is_listed_by_its_path(resource: str) -> None:
    body, paths = with_new(DOCUMENTED[resource][1] if resource in DOCUMENTED else example.organization)
    assert len(paths) > 1
    assert set(unknown(resource, body)) == paths


@pytest.mark.parametrize("resource", FORMS)
def test_a_documented_answer_has_nothing_unknown(resource: str) -> None:
    documented = [item for item in FORMS[resource]["items"] if item is not example.undocumented]
    for body in (documented, {LISTS[resource][0]: documented, "pagination": {"total": 1}}):
        found = UnknownFields()
        found.add_page(*respond(resource, body))
        assert found.found == {}


def test_a_path_is_listed_with_the_first_answer_that_had_it() -> None:
    known, news = {"members": [{"member": NOOR}]}, {"members": [{"member": {**NOOR, "shoeSize": 39}}]}
    assert unknown("group_members", known, news, news, **UNIT) == {"members[].member.shoeSize": "group_id g, page 2"}
    assert unknown("accounts", [{"account": {"shoeSize": 39}}]) == {"accounts[].account.shoeSize": "page 1"}


def test_a_list_under_another_name_is_known_and_its_fields_are_read() -> None:
    body = {"happened": [{"eventType": "OBJECTIVE_BECAME_OK", "mood": "good"}]}
    assert set(unknown("objective_events", body)) == {"happened[].mood"}


def test_an_object_used_as_a_map_is_one_path_whatever_it_has() -> None:
    scores = {f"noor{number}@example.org": number for number in range(500)}
    assert set(unknown("results", {"group": {"id": "g", **scores}})) == {"group.*"}


def test_the_number_of_paths_is_bounded() -> None:
    names = [first + second for first in "abcdefghijklmnopqrst" for second in "abcdefghijklmnopqrst"]
    bodies = [{"group": {"id": "g", f"field_{name}": 1}} for name in names]
    assert len(unknown("results", *bodies)) == MOST_PATHS


def test_the_memory_for_shapes_is_bounded() -> None:
    found = UnknownFields()
    for number in range(3_000):
        found.add_page(*page("results", {"group": {"id": "g", f"key-{number}": 1}}))
    group = found._answers["results"].children["group"]
    assert group is not None
    assert len(group.plans) <= 1_000
    assert set(found.found["results"]) == {"group.*"}


@pytest.mark.parametrize("body", [None, 5, "x", [1, [2]], {"accounts": 3}, {"accounts": [{"account": [NOOR]}]}])
def test_no_answer_breaks_the_search(body: Any) -> None:
    assert unknown("accounts", body) == {}


def test_an_unknown_field_is_never_fatal() -> None:
    found = extract(page("accounts", {"accounts": [{"account": {**NOOR, "nickname": "N"}}], "etag": "x"}))
    assert found.column("accounts", "account_id") == ["noor"]
    assert found.rejects() == []
    assert found.unknown_fields == {"accounts": {"accounts[].account.nickname": "page 1", "etag": "page 1"}}
