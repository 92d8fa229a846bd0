"""A rejected row does not take with it the rows that refer to it."""

from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline.errors import GuardRefused
from drillster_pipeline.warehouse import LoadType, TablePlan, Warehouse

from .nights import CAPTURED, account, day, group, load, member, objective, playable, reject, result
from .place import column, rows


def a_night(warehouse: Warehouse, on: int, *, bad: bool, results: int = 30) -> None:
    """A person of many results, whose account is right or not."""
    people = [account("b"), *([] if bad else [account("a", "Ann")])]
    load(
        warehouse,
        day(on),
        {
            "accounts": people,
            "playables": [playable(f"p{number}") for number in range(results)],
            "groups": [group("g")],
            "group_members": [member("g", "a"), member("g", "b")],
            "results": [result(day(on), "g", who, f"p{number}") for who in ("a", "b") for number in range(results)],
        },
        rejects={"accounts": [reject("accounts", "a", reason="repertoire_size: expected an integer, met text")]}
        if bad
        else None,
    )


def test_the_rest_loads_and_what_is_referred_to_is_there_by_its_key_alone(warehouse: Warehouse) -> None:
    a_night(warehouse, 1, bad=True)
    assert len(rows(warehouse, "results")) == 60
    (stub,) = [row for row in rows(warehouse, "accounts") if row["account_id"] == "a"]
    assert (stub["name"], stub["is_managed"], stub["first_seen_on"], stub["last_seen_on"]) == (None, None, None, None)
    assert [row["table_name"] for row in rows(warehouse, "rejected_rows")] == ["accounts"]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["bad first", "good first"])
def test_a_load_that_can_read_the_row_takes_it_over_in_any_order(warehouse: Warehouse, order: tuple[int, int]) -> None:
    for on in order:
        a_night(warehouse, on, bad=on == 1)
    (row,) = [row for row in rows(warehouse, "accounts") if row["account_id"] == "a"]
    assert (row["name"], row["first_seen_on"], row["last_seen_on"], row["deleted_on"]) == ("Ann", day(2), day(2), None)


def test_a_known_row_stays_as_it_was_when_its_next_version_cannot_be_read(warehouse: Warehouse) -> None:
    a_night(warehouse, 1, bad=False)
    a_night(warehouse, 2, bad=True)
    (row,) = [row for row in rows(warehouse, "accounts") if row["account_id"] == "a"]
    assert (row["name"], row["deleted_on"]) == ("Ann", None)
    assert len([row for row in rows(warehouse, "results") if row["export_date"] == day(2)]) == 60


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["bad first", "good first"])
def test_an_objective_that_does_not_fit_stands_with_its_group_even_where_that_did_not_fit_either(
    warehouse: Warehouse, order: tuple[int, int]
) -> None:
    for on in order:
        content: dict[str, list[Any]] = {
            "accounts": [account("a")],
            "playables": [playable("p")],
            "groups": [group("g")] if on == 2 else [],
            "objectives": [],
            "objective_playables": [{"objective_id": "o", "playable_id": "p"}],
        }
        rejects = {"objectives": [reject("objectives", "o", group_id="g")]}
        load(
            warehouse, day(on), content, rejects=rejects if on == 2 else {**rejects, "groups": [reject("groups", "g")]}
        )
    (stub,) = rows(warehouse, "objectives")
    assert (stub["group_id"], stub["type"], stub["last_seen_on"]) == ("g", None, None)
    assert [row["last_seen_on"] for row in rows(warehouse, "groups")] == [day(2)]
    assert [row["last_seen_on"] for row in rows(warehouse, "objective_playables")] == [day(2)]


def test_an_objective_of_a_group_that_nobody_gave_cannot_stand(warehouse: Warehouse) -> None:
    content: dict[str, list[Any]] = {
        "playables": [playable("p")],
        "groups": [],
        "objectives": [],
        "objective_playables": [{"objective_id": "o", "playable_id": "p"}],
    }
    load(warehouse, day(1), content, rejects={"objectives": [reject("objectives", "o", group_id="nowhere")]})
    assert rows(warehouse, "objectives") == rows(warehouse, "objective_playables") == []


def test_an_objective_that_did_not_fit_under_two_groups_stands_with_the_last(warehouse: Warehouse) -> None:
    content: dict[str, list[Any]] = {
        "playables": [playable("p")],
        "groups": [group("g"), group("h")],
        "objectives": [objective("fits", "g")],
        "objective_playables": [{"objective_id": "o", "playable_id": "p"}],
    }
    both = [reject("objectives", "o", group_id="g"), reject("objectives", "o", reason="type: wrong", group_id="h")]
    load(warehouse, day(1), content, rejects={"objectives": both})
    assert column(warehouse, "objectives", "group_id")["o"] == "h"
    assert len(rows(warehouse, "rejected_rows")) == 2


@pytest.mark.parametrize("known", [False, True], ids=["an unknown group", "a known group"])
def test_an_objective_of_a_load_without_groups_stands_if_its_group_is_there(warehouse: Warehouse, known: bool) -> None:
    load(warehouse, day(1), {"groups": [group("g" if known else "h")]})
    content: dict[str, list[Any]] = {
        "playables": [playable("p")],
        "objectives": [],
        "objective_playables": [{"objective_id": "o", "playable_id": "p"}],
    }
    load(warehouse, day(2), content, rejects={"objectives": [reject("objectives", "o", group_id="g")]})
    assert len(rows(warehouse, "objectives")) == len(rows(warehouse, "objective_playables")) == known


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)], ids=str)
def test_a_stub_gives_way_to_whoever_names_it_in_any_order(warehouse: Warehouse, order: tuple[int, ...]) -> None:
    """On day 1 an event names a person, on day 2 a list that was short; on day 3 the account can't be read."""
    passing = {"accounts": TablePlan(load_type=LoadType.PARTIAL)}
    named = {"accounts": TablePlan(load_type=LoadType.ADDITIVE)}
    for on in order:
        if on == 1:
            content = {"accounts": [account("a", "As events say", is_managed=None)]}
            load(warehouse, day(1), content, plans=named, kind="events")
        elif on == 2:
            load(warehouse, day(2), {"accounts": [account("a", "In passing", is_managed=None)]}, plans=passing)
        else:
            a_night(warehouse, 3, bad=True)
    (row,) = [row for row in rows(warehouse, "accounts") if row["account_id"] == "a"]
    assert (row["name"], row["is_managed"], row["last_seen_on"]) == ("In passing", None, None)


def test_children_of_a_rejected_row_that_cannot_stand_by_its_key_are_set_aside_without_refusing_the_load(
    warehouse: Warehouse,
) -> None:
    people = [account(f"a{number}") for number in range(40)]
    evaluations = [
        {
            "export_date": day(1),
            "objective_id": key,
            "account_id": person["account_id"],
            "group_id": "g",
            "met": True,
            "captured_at": CAPTURED,
        }
        for key in ("good", "bad")
        for person in people
    ]
    report = load(
        warehouse,
        day(1),
        {
            "accounts": people,
            "groups": [group("g")],
            "objectives": [objective("good", "g")],
            "objective_evaluations": evaluations,
        },
        rejects={"objectives": [reject("objectives", "bad")]},
    )
    assert report.tables["objective_evaluations"].rows_inserted == 40
    assert report.tables["objective_evaluations"].rows_rejected == 40


def test_rows_that_refer_to_what_nobody_gave_are_still_weighed(warehouse: Warehouse) -> None:
    with pytest.raises(GuardRefused, match="results"):
        load(
            warehouse,
            day(1),
            {
                "accounts": [account("a")],
                "playables": [],
                "groups": [group("g")],
                "results": [result(day(1), "g", "a", f"p{number}") for number in range(30)],
            },
        )


def test_an_item_that_came_twice_is_one_reject(warehouse: Warehouse) -> None:
    twice = [reject("accounts", "a"), reject("accounts", "a"), reject("accounts", "b")]
    report = load(warehouse, day(1), {"accounts": [account("c")]}, rejects={"accounts": twice})
    assert report.tables["accounts"].rows_rejected == 2
    assert len(rows(warehouse, "rejected_rows")) == 2
