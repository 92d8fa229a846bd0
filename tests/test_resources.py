"""Where the items of an answer are, and the message where there are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.errors import ContractError
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.response_shapes import field_name, named_total
from tests.fuzz.mutations import values

LISTS = [name for name, resource in RESOURCES.items() if resource.is_list]
ITEMS = [{"id": "a"}, {"id": "b"}]
PAGINATION = {"total": 2, "lastOnPage": "b", "moreAvailable": False}


def test_without_a_documented_name_the_only_list_of_objects_is_the_list() -> None:
    body = {"pagination": PAGINATION, "counts": {"x": 1}, "tags": ["a"], "whatever": ITEMS, "total": 2}
    for resource in LISTS:
        assert RESOURCES[resource].items(body) is ITEMS
        with pytest.raises(ContractError, match="several: first, second"):
            RESOURCES[resource].items({"second": ITEMS, "first": ITEMS})


def test_an_empty_list_beside_a_filled_one_is_not_in_doubt() -> None:
    assert RESOURCES["objective_events"].items({"happened": ITEMS, "warnings": []}) is ITEMS


def test_the_tests_of_a_group_are_not_taken_for_its_drillables() -> None:
    assert RESOURCES["group_drillables"].items({"id": "g", "tests": ITEMS, "members": ITEMS}) == []


@pytest.mark.parametrize(
    "body",
    [
        {"members": [], "total": 0},
        {"total": 0},
        {"pagination": {"total": 0, "moreAvailable": False}},
        {"pagination": {"moreAvailable": False}},
        {"pagination": {"moreAvailable": False, "lastOnPage": None}},
        {"anything": []},
    ],
)
def test_an_answer_that_says_so_is_empty(body: dict[str, Any]) -> None:
    assert RESOURCES["group_members"].items(body) == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, "an empty object"),
        ({"id": "x", "description": "no access"}, "description, id"),
        ({"pagination": PAGINATION}, "pagination"),
        ({"pagination": {"moreAvailable": False, "lastOnPage": "b"}}, "pagination"),
        ({"total": 3}, "total"),
        ({"noor@example.org": 1, "d41d8cd98f00b204e9800998ecf8427e": 2}, r"\*$"),
        ({letter * 3: 1 for letter in "abcdefghijkl"}, "jjj and 2 more"),
    ],
)
def test_an_answer_without_a_list_is_a_contract_error_that_names_the_fields(body: Any, fields: str) -> None:
    with pytest.raises(ContractError, match=f"^groups: expected a list under 'groups', found .*{fields}"):
        RESOURCES["groups"].items(body)


def test_an_answer_that_is_neither_object_nor_list_is_a_contract_error() -> None:
    for body in ("<html>", 7, None, True):
        with pytest.raises(ContractError, match="expected an object or a list, found"):
            RESOURCES["groups"].items(body)
    with pytest.raises(ContractError, match="'groups' should be a list, is dict"):
        RESOURCES["groups"].items({"groups": {"id": "g"}})


def test_a_documented_name_that_is_null_counts_as_left_out() -> None:
    assert RESOURCES["accounts"].items({"accounts": None, "organizationAccounts": ITEMS}) is ITEMS


@pytest.mark.parametrize(
    ("body", "total"),
    [
        ({"pagination": {"total": 7}}, 7),
        ({"total": 8}, 8),
        ({"count": 9}, 9),
        ({"pagination": {"total": 7}, "total": 8, "count": 9}, 7),
        ({"pagination": {"moreAvailable": False}, "total": 8}, 8),
        ({"pagination": {"total": "12"}}, 12),
        ({"total": True}, None),
        ({"total": -1}, None),
        ({"total": 2.5}, None),
        ({"total": "many"}, None),
        ({"pagination": None}, None),
        ([], None),
    ],
)
def test_a_total_is_read_from_wherever_drillster_names_it(body: Any, total: int | None) -> None:
    assert named_total(body) == total


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_a_name_that_is_shown_is_a_plain_word(name: str) -> None:
    assert field_name(name) == "*" or (name.isascii() and not any(mark in name for mark in "@.- "))


@given(st.sampled_from(sorted(LISTS)), values)
def test_any_answer_gives_a_list_of_its_own_or_a_contract_error(resource: str, body: Any) -> None:
    inside = list(body.values()) if isinstance(body, dict) else [body]
    try:
        found = RESOURCES[resource].items(body)
    except ContractError:
        found = []
    assert found == [] or any(found is value for value in inside)


IDENTIFIED: dict[str, list[list[str]]] = {
    "accounts": [['{"account": {"id": "?"}}', '{"id": "?"}']],
    "results": [['{"drillable": {"id": "?"}}', '{"id": "?", "proficiency": 1}']],
    "group_members": [
        ['{"member": {"id": "?", "name": "a"}}', '{"member": {"id": "?"}, "joined": "2024-01-01T00:00:00Z"}'],
        ['{"member": {"emailAddress": "?"}}'],
        ['{"member": {"emailAddress": "?@x.example"}}', '{"member": {"emailAddress": "?@X.example"}, "status": "x"}'],
        ['{"member": {"inviteeKey": "?"}}', '{"user": {"inviteeKey": "?"}}'],
    ],
    "objective_events": [['{"eventId": "?", "type": "a"}', '{"eventId": "?", "type": "b"}'], ['{"type": "?"}']],
    "test_results": [
        ['{"user": {"id": "?"}, "testResults": []}', '{"user": {"id": "?"}, "testResults": [{"id": "2"}]}'],
        ['{"user": {"id": "1"}, "id": "?", "started": "2024-01-01T00:00:00Z"}', '{"id": "?", "score": {}}'],
    ],
}
"""Items with the same key, for each kind of key."""


@pytest.mark.parametrize("resource", IDENTIFIED)
def test_items_are_the_same_by_their_key_and_by_nothing_else(resource: str) -> None:
    found = [
        {RESOURCES[resource].identity(json.loads(item.replace("?", key))) for item in items}
        for items in IDENTIFIED[resource]
        for key in "ab"
    ]
    assert [len(one) for one in found] == [1] * len(found)
    assert len(set.union(*found)) == len(found)


def test_items_without_a_key_are_the_same_by_their_content() -> None:
    items = [None, "text", 7, [], {}, {"id": 5}, {"id": ""}, {"drillable": {"name": "id"}}]
    for resource in LISTS:
        assert len({RESOURCES[resource].identity(item) for item in items}) == len(items)
