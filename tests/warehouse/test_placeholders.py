"""A rejected row does not take with it the rows that refer to it: a placeholder with its key stands in."""

from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline.warehouse import Warehouse

from .support import (
    account,
    column,
    day,
    evaluation,
    group,
    load,
    member,
    objective,
    playable,
    reject,
    result,
    rows,
)


def load_results(warehouse: Warehouse, on: int, *, is_rejected: bool) -> None:
    """An account with many results, which fits or not."""
    reason = "repertoire_size: expected an integer, found text"
    content = {
        "accounts": [account("b"), *([] if is_rejected else [account("a", "Ann")])],
        "playables": [playable(f"p{number}") for number in range(30)],
        "groups": [group("g")],
        "group_members": [member("g", "a"), member("g", "b")],
        "results": [result(day(on), "g", who, f"p{number}") for who in ("a", "b") for number in range(30)],
    }
    load(
        warehouse,
        day(on),
        content,
        rejects={"accounts": [reject("accounts", "a", reason=reason)]} if is_rejected else None,
    )


def account_a(warehouse: Warehouse) -> dict[str, Any]:
    return next(row for row in rows(warehouse, "accounts") if row["account_id"] == "a")


def test_the_rest_is_loaded_and_a_row_that_fits_overwrites_the_placeholder(any_warehouse: Warehouse) -> None:
    load_results(any_warehouse, 1, is_rejected=True)
    assert len(rows(any_warehouse, "results")) == 60
    placeholder = account_a(any_warehouse)
    empty = ("name", "is_managed", "first_seen_on", "last_seen_on")
    assert {placeholder[name] for name in empty} == {None}
    assert [row["table_name"] for row in rows(any_warehouse, "rejected_rows")] == ["accounts"]

    load_results(any_warehouse, 2, is_rejected=False)
    load_results(any_warehouse, 3, is_rejected=True)
    row = account_a(any_warehouse)
    assert (row["name"], row["first_seen_on"], row["last_seen_on"], row["deleted_on"]) == ("Ann", day(2), day(2), None)
    assert len(rows(any_warehouse, "results")) == 180


OF_OBJECTIVE: dict[str, list[Any]] = {
    "playables": [playable("p")],
    "objectives": [],
    "objective_playables": [{"objective_id": "o", "playable_id": "p"}],
}


@pytest.mark.parametrize(
    ("groups", "known", "rejected", "expected"),
    [
        ([group("g")], [], ["g"], "g"),
        ([], [], ["g"], None),
        ([group("g"), group("h")], [], ["g", "h"], "h"),
        (None, [group("h")], ["g"], None),
        (None, [group("g")], ["g"], "g"),
    ],
    ids=["its group is loaded", "its group is not", "two groups", "an unknown group", "a group of an earlier load"],
)
def test_a_rejected_objective_has_a_placeholder_only_if_its_group_is_there(
    warehouse: Warehouse, groups: list[Any] | None, known: list[Any], rejected: list[str], expected: str | None
) -> None:
    load(warehouse, day(1), {"groups": known})
    content = OF_OBJECTIVE if groups is None else {"groups": groups, **OF_OBJECTIVE}
    rejects = [reject("objectives", "o", reason=f"wrong in {name}", group_id=name) for name in rejected]
    if groups:
        content = content | {"objectives": [objective("fits", "g")]}
    load(warehouse, day(2), content, rejects={"objectives": rejects})
    assert column(warehouse, "objectives", "group_id").get("o") == expected
    assert len(rows(warehouse, "objective_playables")) == (expected is not None)


def test_a_rejected_objective_has_a_placeholder_also_where_its_group_is_one(warehouse: Warehouse) -> None:
    rejects = {"objectives": [reject("objectives", "o", group_id="g")], "groups": [reject("groups", "g")]}
    load(warehouse, day(1), {"groups": [], **OF_OBJECTIVE}, rejects=rejects)
    assert column(warehouse, "objectives", "group_id") == {"o": "g"}
    assert column(warehouse, "groups", "last_seen_on") == {"g": None}
    assert column(warehouse, "objective_playables", "last_seen_on") == {("o", "p"): day(1)}


def test_rows_that_refer_to_a_row_without_a_placeholder_are_rejected_and_the_rest_is_loaded(
    warehouse: Warehouse,
) -> None:
    people = [account(f"a{number}") for number in range(40)]
    content = {
        "accounts": people,
        "groups": [group("g")],
        "objectives": [objective("good", "g")],
        "objective_evaluations": [
            evaluation(day(1), key, person["account_id"], "g", True) for key in ("good", "bad") for person in people
        ],
    }
    report = load(warehouse, day(1), content, rejects={"objectives": [reject("objectives", "bad")]})
    evaluations = report.tables["objective_evaluations"]
    assert (evaluations.rows_inserted, evaluations.rows_rejected) == (40, 40)


def test_an_item_that_was_rejected_twice_is_one_reject(warehouse: Warehouse) -> None:
    twice = [reject("accounts", "a"), reject("accounts", "a"), reject("accounts", "b")]
    report = load(warehouse, day(1), {"accounts": [account("c")]}, rejects={"accounts": twice})
    assert report.tables["accounts"].rows_rejected == len(rows(warehouse, "rejected_rows")) == 2
