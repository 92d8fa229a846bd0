"""What the guard makes of a handful of rows: what goes with its parent, and tables of which nothing fitted."""

from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline.errors import GuardRefused
from drillster_pipeline.warehouse import LoadType, TablePlan, Warehouse

from .nights import account, day, group, load, member, objective, playable, reject, result

TEAM = ("ann", "bob", "cas", "dee", "eve", "fay")


def organization(groups: str, *, people: tuple[str, ...] = TEAM, left: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """Some of the groups a, b and c. Group a has most of everything, and ``fay`` is in the other two."""
    members = {"a": [name for name in people if name != "fay"], "b": ["fay"], "c": ["fay"]}
    objectives = [f"{name}{number}" for name in groups for number in range(6 if name == "a" else 1)]
    return {
        "accounts": [account(name) for name in people],
        "playables": [playable("p")],
        "groups": [group(name) for name in groups],
        "group_members": [member(name, who) for name in groups for who in members[name] if who not in left],
        "group_playables": [{"group_id": name, "playable_id": "p", "type": "DRILL"} for name in groups],
        "objectives": [objective(each, each[0]) for each in objectives],
        "objective_playables": [{"objective_id": each, "playable_id": "p"} for each in objectives],
    }


def test_what_goes_with_a_group_that_is_gone_does_not_count_against_its_own_table(warehouse: Warehouse) -> None:
    load(warehouse, day(1), organization("abc"))
    report = load(warehouse, day(2), organization("bc"))
    assert {name: table.rows_deleted for name, table in report.tables.items() if table.rows_deleted} == {
        "groups": 1,
        "group_members": 5,
        "group_playables": 1,
        "objectives": 6,
        "objective_playables": 6,
    }


def test_what_goes_with_people_who_are_gone_does_not_count_against_the_groups(warehouse: Warehouse) -> None:
    load(warehouse, day(1), organization("a"))
    report = load(warehouse, day(2), organization("a", people=TEAM[3:]))
    assert (report.tables["accounts"].rows_deleted, report.tables["group_members"].rows_deleted) == (3, 3)


@pytest.mark.parametrize(
    ("then", "plans", "message"),
    [
        (
            organization("bc", left=("fay",)),
            {},
            "group_members: 2 of 2 present rows would be marked deleted (besides 5",
        ),
        (organization(""), {}, "group_members: 7 of 7 present rows would be marked deleted, which"),
        (organization("bc"), {"groups": TablePlan(load_type=LoadType.PARTIAL)}, "group_members: 5 of 7 present rows"),
        (
            organization("bc"),
            {"groups": TablePlan(unobserved_groups=frozenset("a"))},
            "group_members: 5 of 7 present rows",
        ),
    ],
    ids=["more than that goes", "every group is gone", "the list has a hole", "the group is closed"],
)
def test_a_parent_explains_its_own_rows_and_only_where_it_is_proven_gone(
    warehouse: Warehouse, then: dict[str, list[Any]], plans: dict[str, TablePlan], message: str
) -> None:
    load(warehouse, day(1), organization("abc"))
    with pytest.raises(GuardRefused) as caught:
        load(warehouse, day(2), then, plans=plans)
    assert message in str(caught.value)


def test_things_that_are_only_met_in_other_lists_explain_nothing(warehouse: Warehouse) -> None:
    """A playable that no list has any more is gone because the lists are: it proves nothing about them."""
    content = organization("abc") | {"playables": [playable("p"), playable("q"), playable("r")]}
    load(warehouse, day(1), content)
    with pytest.raises(GuardRefused, match="group_playables: 3 of 3 present rows"):
        load(
            warehouse,
            day(2),
            content | {"playables": content["playables"][1:], "group_playables": [], "objective_playables": []},
        )


def test_a_table_of_which_no_row_fitted_is_refused_also_where_deletions_are_allowed(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"groups": [group("g"), group("h")]})
    rejects = {"groups": [reject("groups", "g"), reject("groups", "h")]}
    with pytest.raises(GuardRefused, match="groups: 2 of 2 rows did not fit, where one at least must fit"):
        load(warehouse, day(2), {"groups": []}, rejects=rejects, allow_mass_delete=True)
    content = {"accounts": [], "playables": [playable("p")], "groups": [group("g")]}
    with pytest.raises(GuardRefused, match="results: 2 of 2 rows did not fit"):
        load(warehouse, day(2), content | {"results": [result(day(2), "g", name, "p") for name in "ab"]})


def test_one_row_alone_that_does_not_fit_is_published_but_not_as_complete(warehouse: Warehouse) -> None:
    report = load(warehouse, day(1), {"groups": []}, rejects={"groups": [reject("groups", "g")]})
    assert (report.tables["groups"].rows_rejected, report.is_complete) == (1, False)


def test_rows_that_go_with_rejected_ones_are_not_held_against_their_table(warehouse: Warehouse) -> None:
    content = {
        "accounts": [account("a")],
        "playables": [playable("p")],
        "groups": [group("g")],
        "test_results": [{"test_result_id": "t", "test_id": "p", "group_id": "g", "account_id": "a"}],
        "test_result_scores": [{"test_result_id": "u", "transformation_id": each} for each in "xyz"],
    }
    report = load(warehouse, day(1), content, rejects={"test_results": [reject("test_results", "u")]})
    assert report.tables["test_result_scores"].rows_rejected == 3


def test_people_met_in_passing_who_do_not_fit_keep_no_event_back(warehouse: Warehouse) -> None:
    report = load(
        warehouse,
        day(1),
        {"accounts": [], "objective_events": []},
        plans={"accounts": TablePlan(load_type=LoadType.ADDITIVE)},
        kind="events",
        rejects={"accounts": [reject("accounts", "a"), reject("accounts", "b")]},
    )
    assert report.tables["accounts"].rows_rejected == 2
