"""What validation rejects, and what the guard refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from drillster_pipeline.errors import GuardRefused
from drillster_pipeline.warehouse import TablePlan, Warehouse
from drillster_pipeline.warehouse.validation import max_rejects, share_exceeded

from .support import (
    ADDITIVE,
    PARTIAL,
    account,
    batch,
    column,
    day,
    event,
    group,
    load,
    member,
    objective,
    plan,
    playable,
    reject,
    result,
    rows,
)

TEAM = ("ann", "bob", "cas", "dee", "eve", "fay")


def people(count: int) -> list[Any]:
    return [account(f"a{number:03}") for number in range(count)]


def groups(count: int) -> list[Any]:
    return [group(f"g{number}") for number in range(count)]


def rejects(count: int) -> list[Any]:
    return [
        reject("accounts", f"r{number}", reason=("status", "name")[number % 2] + ": missing") for number in range(count)
    ]


def test_rows_without_their_parents_are_rejected_and_so_are_their_children(any_warehouse: Warehouse) -> None:
    content: dict[str, list[Any]] = {
        "accounts": [account("a")],
        "playables": [playable("p")],
        "groups": [group("g")],
        "group_members": [
            member("g", "a"),
            member("g", "stranger", name="Johanna", email_address="j@example.org"),
            {"group_id": "g", "member_key": "invitee:1", "status": "INVITED"},
        ],
        "objectives": [objective("o", "g"), objective("lost", "nowhere")],
        "objective_playables": [
            {"objective_id": "o", "playable_id": "p"},
            {"objective_id": "o", "playable_id": "unknown"},
            {"objective_id": "lost", "playable_id": "p"},
        ],
    }
    report = load(any_warehouse, day(1), content)

    assert {key[1] for key in column(any_warehouse, "group_members", "status")} == {"a", "invitee:1"}
    assert [*column(any_warehouse, "objectives", "name")] == ["o"]
    assert [*column(any_warehouse, "objective_playables", "deleted_on")] == [("o", "p")]
    rejected = rows(any_warehouse, "rejected_rows")
    assert [(row["table_name"], row["row_number"], row["reason"]) for row in rejected] == [
        ("group_members", 1, "account_id: there is no such row in accounts"),
        ("objective_playables", 1, "objective_id: there is no such row in objectives"),
        ("objective_playables", 2, "playable_id: there is no such row in playables"),
        ("objectives", 1, "group_id: there is no such row in groups"),
    ]
    assert {row["load_id"] for row in rejected} == {report.load_id}
    assert json.loads(rejected[0]["record"]) == {
        "group_id": "g",
        "member_key": "(masked)",
        "account_id": "stranger",
        "name": "(masked)",
        "email_address": "(masked)",
        "status": "MEMBER",
        "joined_at": None,
        "invited_at": None,
    }
    assert {name: table.rows_rejected for name, table in report.tables.items() if table.rows_rejected} == {
        "group_members": 1,
        "objectives": 1,
        "objective_playables": 2,
    }

    # A load without the parents finds them in the warehouse.
    load(any_warehouse, day(2), {"group_members": [member("g", "a")]})
    assert len(rows(any_warehouse, "rejected_rows")) == 4


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["in order", "the other way round"])
def test_what_a_load_must_bring_itself_does_not_depend_on_the_loads_before(
    warehouse: Warehouse, order: tuple[int, int]
) -> None:
    for on in order:
        there = {"accounts": [account("a")], "playables": [playable("p")], "groups": [group("g")]}
        attempts = [{"test_result_id": "t", "test_id": "p", "group_id": "g", "account_id": "a"}] if on == 1 else []
        scores = [{"test_result_id": "t", "transformation_id": f"of day {on}"}]
        load(warehouse, day(on), {**there, "test_results": attempts, "test_result_scores": scores})
    assert [*column(warehouse, "test_result_scores", "result")] == [("t", "of day 1")]


def test_a_few_rejects_are_accepted_and_kept_with_their_reasons(any_warehouse: Warehouse) -> None:
    assert [max_rejects(read) for read in (15, 1_000, 2_020)] == [10, 10, 20]
    found = rejects(10)
    found[0].record["name"] = "half of a surrogate pair: \ud83d"
    report = load(any_warehouse, day(1), {"accounts": people(5)}, rejects={"accounts": found})
    accounts = report.tables["accounts"]
    assert (accounts.rows_read, accounts.rows_rejected, accounts.rows_inserted) == (15, 10, 5)
    first, second, *_ = rows(any_warehouse, "rejected_rows")
    assert json.loads(first["record"]) == found[0].record
    assert (second["row_number"], second["reason"], second["record"]) == (2, "name: missing", '{"name": null}')


@pytest.mark.parametrize(("good", "bad"), [(5, 11), (2_000, 21)], ids=["at least ten", "one in a hundred"])
def test_too_many_rejects_are_refused_with_the_reasons(warehouse: Warehouse, good: int, bad: int) -> None:
    with pytest.raises(GuardRefused) as caught:
        load(warehouse, day(1), {"accounts": people(good)}, rejects={"accounts": rejects(bad)})

    assert f"accounts: {bad} of {good + bad:,} rows did not fit, where {bad - 1} are accepted" in str(caught.value)
    assert "status: missing; name: missing" in str(caught.value)
    assert rows(warehouse, "accounts") == rows(warehouse, "loads") == []


def test_too_many_orphans_are_refused_and_named(any_warehouse: Warehouse) -> None:
    strangers = [result(day(1), "g", f"a{number:03}", "p") for number in range(1_200)]
    content = {"accounts": [], "playables": [playable("p")], "groups": [group("g")], "results": strangers}
    with pytest.raises(GuardRefused, match=r"results: 1,200 of 1,200 rows did not fit") as caught:
        load(any_warehouse, day(1), content)
    assert "account_id: there is no such row in accounts" in str(caught.value)


def test_a_table_of_which_no_row_fits_is_refused_also_where_deletions_are_allowed(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"groups": groups(2)})
    both = {"groups": [reject("groups", "g0"), reject("groups", "g1")]}
    with pytest.raises(GuardRefused, match="groups: 2 of 2 rows did not fit, where one at least must fit"):
        load(warehouse, day(2), {"groups": []}, rejects=both, allow_mass_delete=True)
    # One row alone may be an accident, but the load is not complete.
    report = load(warehouse, day(1), {"catalogs": []}, rejects={"catalogs": [reject("catalogs", "c")]})
    assert (report.tables["catalogs"].rows_rejected, report.is_complete) == (1, False)
    # Accounts that events name are only added to, and children of a rejected row do not count.
    two = [reject("accounts", "a"), reject("accounts", "b")]
    named = {"accounts": [], "objective_events": []}
    report = load(warehouse, day(1), named, plans={"accounts": ADDITIVE}, kind="events", rejects={"accounts": two})
    assert report.tables["accounts"].rows_rejected == 2
    content = {
        "accounts": [account("a")],
        "playables": [playable("p")],
        "groups": groups(2),
        "test_results": [{"test_result_id": "t", "test_id": "p", "group_id": "g0", "account_id": "a"}],
        "test_result_scores": [{"test_result_id": "u", "transformation_id": each} for each in "xyz"],
    }
    report = load(warehouse, day(1), content, rejects={"test_results": [reject("test_results", "u")]})
    assert report.tables["test_result_scores"].rows_rejected == 3


def test_a_mass_deletion_is_refused_with_the_way_out(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": people(40)})
    before = rows(warehouse, "accounts", ledger=True)
    with pytest.raises(GuardRefused) as caught:
        load(warehouse, day(2), {"accounts": people(30)})

    message = str(caught.value)
    assert "Nothing of 2026-01-02 (snapshot) was published" in message
    assert "accounts: 10 of 40 present rows would be marked deleted, which is more than 20%" in message
    assert "allow_mass_delete in the launchpad, or --allow-mass-delete on the command line" in message
    assert rows(warehouse, "accounts", ledger=True) == before
    assert len(rows(warehouse, "loads")) == 1

    report = load(warehouse, day(2), {"accounts": people(30)}, allow_mass_delete=True)
    assert report.tables["accounts"].rows_deleted == 10
    # What is gone already does not count again.
    assert load(warehouse, day(3), {"accounts": people(30)}).tables["accounts"].rows_deleted == 0


@pytest.mark.parametrize(
    ("present", "gone", "waiting", "accepted"),
    [
        (40, 9, 0, True),  # fewer than ten rows
        (40, 10, 0, False),
        (100, 20, 0, True),  # a fifth and not more
        (100, 21, 0, False),
        # Each capture between may have lost a fifth or ten rows.
        (100, 36, 1, True),
        (100, 37, 1, False),
        (100, 67, 4, True),
        (100, 68, 4, False),
        (100, 99, 10, True),
        # A table is never emptied, however many are between.
        (2, 2, 48, False),
        (600, 600, 48, False),
        # A small table loses at most half of its rows a run.
        (1, 1, 0, True),
        (2, 1, 0, True),
        (2, 2, 0, False),
        (3, 2, 0, False),
        (9, 9, 0, False),
        (3, 2, 1, True),
    ],
)
def test_only_so_much_of_a_table_may_go(present: int, gone: int, waiting: int, accepted: bool) -> None:
    assert (share_exceeded(gone, present, 1 + waiting) is None) is accepted


def test_captures_that_were_not_published_count_for_the_guard(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": people(100)})
    content = {"accounts": people(64)}
    with pytest.raises(GuardRefused, match="36 of 100 present rows"):
        load(warehouse, day(3), content)
    report = load(warehouse, day(3), content, unpublished_captures={"accounts": 1})
    assert report.tables["accounts"].rows_deleted == 36


def test_a_confirmation_is_of_one_table_and_every_problem_of_others_is_reported(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": people(40), "groups": groups(20)})
    gone: dict[str, list[Any]] = {"accounts": [], "groups": []}
    strangers = {"objective_events": [event(f"e{number}", "nobody") for number in range(11)]}
    with pytest.raises(GuardRefused) as caught:
        load(warehouse, day(2), gone | strangers, mass_deletes_confirmed=frozenset({"accounts"}))
    assert "groups: 20 of 20" in str(caught.value)
    assert "objective_events: 11 of 11 rows" in str(caught.value)
    assert "accounts:" not in str(caught.value)
    load(warehouse, day(2), gone, mass_deletes_confirmed=frozenset(gone))
    assert set(column(warehouse, "accounts", "deleted_on").values()) == {day(2)}


def organization(names: str, *, people: tuple[str, ...] = TEAM, left: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """Some of the groups a, b and c. Group a has most of everything, and ``fay`` is in the other two."""
    members = {"a": [name for name in people if name != "fay"], "b": ["fay"], "c": ["fay"]}
    objectives = [f"{name}{number}" for name in names for number in range(6 if name == "a" else 1)]
    return {
        "accounts": [account(name) for name in people],
        "playables": [playable("p")],
        "groups": [group(name) for name in names],
        "group_members": [member(name, who) for name in names for who in members[name] if who not in left],
        "group_playables": [{"group_id": name, "playable_id": "p", "type": "DRILL"} for name in names],
        "objectives": [objective(each, each[0]) for each in objectives],
        "objective_playables": [{"objective_id": each, "playable_id": "p"} for each in objectives],
    }


@pytest.mark.parametrize(
    ("before", "then", "deleted"),
    [
        (
            organization("abc"),
            organization("bc"),
            {"groups": 1, "group_members": 5, "group_playables": 1, "objectives": 6, "objective_playables": 6},
        ),
        (organization("a"), organization("a", people=TEAM[3:]), {"accounts": 3, "group_members": 3}),
    ],
    ids=["a group", "people"],
)
def test_what_goes_with_its_parent_does_not_count_against_its_own_table(
    warehouse: Warehouse, before: dict[str, list[Any]], then: dict[str, list[Any]], deleted: dict[str, int]
) -> None:
    load(warehouse, day(1), before)
    report = load(warehouse, day(2), then)
    assert {name: table.rows_deleted for name, table in report.tables.items() if table.rows_deleted} == deleted


CLOSED = TablePlan(unobserved_groups=frozenset("a"))


@pytest.mark.parametrize(
    ("then", "plans", "message"),
    [
        (
            organization("bc", left=("fay",)),
            {},
            "group_members: 2 of 2 present rows would be marked deleted (besides 5",
        ),
        (organization(""), {}, "group_members: 7 of 7 present rows would be marked deleted, which"),
        (organization("bc"), {"groups": PARTIAL}, "group_members: 5 of 7 present rows"),
        (organization("bc"), {"groups": CLOSED}, "group_members: 5 of 7 present rows"),
        # A playable that no list has any more is gone because the lists are: it proves nothing about them.
        (
            organization("abc") | {"playables": [playable("q")], "group_playables": [], "objective_playables": []},
            {},
            "group_playables: 3 of 3 present rows",
        ),
    ],
    ids=["more than that", "every group is gone", "an incomplete list", "the group is closed", "only referenced"],
)
def test_a_parent_explains_its_own_rows_and_only_where_it_is_proven_gone(
    warehouse: Warehouse, then: dict[str, list[Any]], plans: dict[str, TablePlan], message: str
) -> None:
    before = organization("abc")
    load(warehouse, day(1), before | {"playables": [*before["playables"], playable("q"), playable("r")]})
    with pytest.raises(GuardRefused) as caught:
        load(warehouse, day(2), then, plans=plans)
    assert message in str(caught.value)


def test_a_load_that_was_validated_takes_no_more_rows_and_one_that_was_refused_publishes_nothing(
    warehouse: Warehouse,
) -> None:
    with warehouse.loading(plan(day(1), ["accounts"])) as loading:
        loading.stage(batch("accounts", people(1)))
        loading.validate()
        with pytest.raises(RuntimeError, match="takes no more rows"):
            loading.stage(batch("accounts", people(1)))
    with warehouse.loading(plan(day(1), ["accounts"])) as loading:
        loading.stage(batch("accounts", people(1), rejects(11)))
        with pytest.raises(GuardRefused):
            loading.merge()
        with pytest.raises(RuntimeError, match="begin another"):
            loading.merge()
    assert rows(warehouse, "accounts") == []
