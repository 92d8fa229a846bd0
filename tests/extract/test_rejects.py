"""What does not fit is rejected with a reason, and costs neither its neighbours nor what it belongs to."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from drillster_pipeline.response_shapes import Json
from drillster_pipeline.tables import DATA_TABLES

from .answers import DOCUMENTED, example, read
from .pages import Extracted

ODD = {"odd": 1}
READ_ELSEWHERE = {"accounts.is_managed", "catalogs.playable_count", "account_external_ids.account_id"} | {
    "objective_playables.objective_id",
    "test_result_scores.test_result_id",
    "test_result_drills.test_result_id",
}
"""Columns that follow from another one, or from another resource, which is rejected itself."""


def broken_at(resource: str, source: str) -> Extracted:
    """A documented answer with something odd at a place in its second item."""
    body: Any = copy.deepcopy(DOCUMENTED[resource][1] if resource in DOCUMENTED else example.organization)
    *names, last = source.split(".")
    place = body
    for level, name in enumerate(names):
        found = place.get(name.removesuffix("[]"))
        if name.endswith("[]"):
            found = found[1 if level == 0 else 0]
        if not isinstance(found, dict):
            found = place[name] = {}
        place = found
    place[last] = ODD
    return read(resource, body)


def test_an_odd_value_at_the_source_of_a_column_is_rejected_by_its_name_and_other_items_load() -> None:
    offenders, columns = [], [(table, column) for table in DATA_TABLES.values() for column in table.columns]
    for table, column in columns:
        name = f"{table.name}.{column.name}"
        if column.source and "{" not in column.source and name not in READ_ELSEWHERE:
            resource, source = column.source.split(": ")
            found = broken_at(resource, source)
            expected = 2 if resource in DOCUMENTED else 0
            is_named = any(column.name in reason for reason in found.reasons())
            if not is_named or len(found.rows(DOCUMENTED.get(resource, ("organizations",))[0])) < expected:
                offenders.append(name)
    assert offenders == []


ITEMS: dict[str, list[tuple[Json, str]]] = {
    "accounts": [
        ("Noor", "accounts[]: expected an object"),
        ({"account": "Noor"}, "account_id, name, email_address and 9 more: expected an object"),
        ({"account": {"id": ""}}, "account_id: missing"),
        ({"account": {"id": "a", "lastLogin": 1_746_168_060}}, "last_login_at: expected a timestamp"),
    ],
    "groups": [({**example.group, "counts": 41}, "member_count, drillable_count, test_count: expected an object")],
    "group_members": [
        ({"member": {"name": "Kim"}}, "member_key: missing: the entry has neither an id nor an e-mail address"),
        ({"member": {"id": [1], "emailAddress": "kim@example.org"}}, "member_key, account_id: expected an id"),
        (None, "members[]: expected an object, found nothing"),
    ],
    "objectives": [
        ({"id": "o", "minimumProficiency": "high"}, "minimum_proficiency, falling_minimum_proficiency: expected an "),
    ],
    "objective_evaluations": [
        ({**example.evaluation, "objective": "o"}, "review_at, minimum_proficiency: expected an object")
    ],
    "results": [
        ({"practice": example.practice}, "playable_id: missing"),
        ({"drillable": {"id": "d"}, "practice": "none"}, "proficiency, highest_proficiency, eventual_proficiency and "),
    ],
    "test_results": [
        ({**example.attempt, "user": example.noor, "score": "good"}, "score_percentage, passed: expected"),
        ({"user": example.noor, "unknown": 1}, "test_result_id: missing"),
        ({"attempts": []}, "test_result_id: missing"),
        ({}, "test_result_id: missing"),
    ],
    "objective_events": [
        ({"timestamp": example.when, "user": example.noor}, "event_id, event_type: missing"),
        ({"eventType": "X", "user": example.noor}, "event_id, occurred_at: missing"),
        ({"eventType": "X", "timestamp": example.when}, "event_id, account_id: missing"),
        (
            {"eventType": "X", "timestamp": "now", "user": example.noor},
            "event_id: missing; occurred_at: expected a timestamp",
        ),
        (
            {"eventType": "X", "timestamp": example.when, "user": example.noor, "evaluation": 3},
            "proficiency: expected an object",
        ),
    ],
}


@pytest.mark.parametrize("resource", ITEMS)
def test_an_item_that_does_not_fit_is_rejected_with_a_reason(resource: str) -> None:
    table, body = DOCUMENTED[resource]
    for item, reason in ITEMS[resource]:
        found = read(resource, [item, next(iter(body.values()))[0]])
        (reject,) = found.rejects(table)
        assert reject.reason.startswith(reason), item
        assert len(found.rows(table)) == 1, item


@pytest.mark.parametrize(
    ("resource", "body", "table", "reason"),
    [
        ("organization", [], "organizations", "organization[]: expected an object"),
        ("accounts", [{"id": "a", "thirdPartyIds": "E1"}], "account_external_ids", "thirdPartyIds: expected a list"),
        ("accounts", [{"id": "a", "thirdPartyIds": [{"id": "E1"}]}], "account_external_ids", "third_party: missing"),
        ("objectives", [{"id": "o", "playables": ["d"]}], "objective_playables", "playables[]: expected an object"),
        ("objectives", [{"id": "o", "drills": [{}]}], "objective_playables", "playable_id: missing"),
        ("test_results", [{**example.attempt, "drills": "d"}], "test_result_drills", "drills: expected a list"),
        ("group_drillables", [{"id": "d", "name": 5}], "playables", "name: expected text"),
    ],
)
def test_a_part_that_does_not_fit_costs_only_itself(resource: str, body: Json, table: str, reason: str) -> None:
    found = read(resource, body)
    (reject,) = found.rejects()
    assert (reject.table, reject.reason.startswith(reason)) == (table, True), reject
    assert resource == "organization" or found.rows(DOCUMENTED[resource][0])


def test_a_rejected_attempt_keeps_its_scores() -> None:
    found = read("test_results", [{**example.attempt, "progress": 2}])
    assert (len(found.rows("test_results")), len(found.rows("test_result_scores"))) == (0, 2)


def test_a_score_that_is_neither_an_object_nor_a_number_is_quoted_in_no_column() -> None:
    (reject,) = read("test_results", [{**example.attempt, "score": "a word"}]).rejects()
    assert reject.reason == "score_percentage, passed: expected an object, found text"
    assert "a word" not in str(reject)
