from __future__ import annotations

import json
from typing import Any

import pytest

from drillster_pipeline.errors import GuardRefused
from drillster_pipeline.warehouse import TablePlan, Warehouse
from drillster_pipeline.warehouse.validation import max_rejects, share_exceeded

from .nights import account, batch, day, event, group, load, member, objective, plan, playable, reject, result
from .place import column, empty, rows


def people(count: int) -> list[Any]:
    return [account(f"a{number:03}") for number in range(count)]


def test_rows_without_their_parents_are_rejected_and_so_are_their_children(warehouse: Warehouse) -> None:
    invitee = {"group_id": "g", "member_key": "invitee:1", "status": "INVITED"}
    content: dict[str, list[Any]] = {
        "accounts": [account("a")],
        "playables": [playable("p")],
        "groups": [group("g")],
        "group_members": [member("g", "a"), member("g", "stranger"), invitee],
        "objectives": [objective("o", "g"), objective("lost", "nowhere")],
        "objective_playables": [
            {"objective_id": "o", "playable_id": "p"},
            {"objective_id": "o", "playable_id": "unknown"},
            {"objective_id": "lost", "playable_id": "p"},
        ],
    }
    report = load(warehouse, day(1), content)

    assert {key[1] for key in column(warehouse, "group_members", "status")} == {"a", "invitee:1"}
    assert [*column(warehouse, "objectives", "name")] == ["o"]
    assert [*column(warehouse, "objective_playables", "deleted_on")] == [("o", "p")]
    set_aside = rows(warehouse, "rejected_rows")
    assert [(row["table_name"], row["row_number"], row["reason"]) for row in set_aside] == [
        ("group_members", 1, "account_id: there is no such row in accounts"),
        ("objective_playables", 1, "objective_id: there is no such row in objectives"),
        ("objective_playables", 2, "playable_id: there is no such row in playables"),
        ("objectives", 1, "group_id: there is no such row in groups"),
    ]
    assert {name: table.rows_rejected for name, table in report.tables.items() if table.rows_rejected} == {
        "group_members": 1,
        "objectives": 1,
        "objective_playables": 2,
    }


def test_a_parent_that_is_there_already_will_do(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a")], "groups": [group("g")]})
    load(warehouse, day(2), {"group_members": [member("g", "a")]})
    assert [*column(warehouse, "group_members", "status")] == [("g", "a")]
    assert rows(warehouse, "rejected_rows") == []


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


def test_a_rejected_row_shows_no_personal_value(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("x")], "groups": [group("g")]})
    secret = member("nowhere", "x", name="Johanna", email_address="j@example.org")
    report = load(warehouse, day(2), {"group_members": [secret]})

    (row,) = rows(warehouse, "rejected_rows")
    assert row["load_id"] == report.load_id
    assert json.loads(row["record"]) == {
        "group_id": "nowhere",
        "member_key": "(masked)",
        "account_id": "x",
        "name": "(masked)",
        "email_address": "(masked)",
        "status": "MEMBER",
        "joined_at": None,
        "invited_at": None,
    }


def test_rejects_of_the_extraction_are_kept_with_their_reasons(warehouse: Warehouse) -> None:
    rejected = [reject("accounts", "a", reason="name: is a number"), reject("accounts", "b", reason="name: missing")]
    report = load(warehouse, day(1), {"accounts": people(3)}, rejects={"accounts": rejected})

    assert [(row["row_number"], row["reason"], row["record"]) for row in rows(warehouse, "rejected_rows")] == [
        (1, "name: is a number", '{"name": null}'),
        (2, "name: missing", '{"name": null}'),
    ]
    assert (report.tables["accounts"].rows_read, report.tables["accounts"].rows_rejected) == (5, 2)


def rejects(count: int) -> list[Any]:
    return [
        reject("accounts", f"r{number}", reason=("status", "name")[number % 2] + ": missing") for number in range(count)
    ]


def test_a_few_rejects_are_accepted(sqlite_warehouse: Warehouse) -> None:
    assert [max_rejects(read) for read in (15, 1_000, 2_020)] == [10, 10, 20]
    empty(sqlite_warehouse)
    report = load(sqlite_warehouse, day(1), {"accounts": people(5)}, rejects={"accounts": rejects(10)})
    assert report.tables["accounts"].rows_inserted == 5


@pytest.mark.parametrize(("good", "bad"), [(5, 11), (2_000, 21)], ids=["at least ten", "one in a hundred"])
def test_too_many_rejects_are_refused_with_the_reasons(warehouse: Warehouse, good: int, bad: int) -> None:
    with pytest.raises(GuardRefused) as caught:
        load(warehouse, day(1), {"accounts": people(good)}, rejects={"accounts": rejects(bad)})

    assert f"accounts: {bad} of {good + bad:,} rows did not fit, where {bad - 1} are accepted" in str(caught.value)
    assert "status: missing; name: missing" in str(caught.value)
    assert rows(warehouse, "accounts") == rows(warehouse, "loads") == []


def test_too_many_orphans_are_refused_and_named(warehouse: Warehouse) -> None:
    strangers = [result(day(1), "g", f"a{number:03}", "p") for number in range(1_200)]
    content = {"accounts": [], "playables": [playable("p")], "groups": [group("g")], "results": strangers}
    with pytest.raises(GuardRefused, match=r"results: 1,200 of 1,200 rows did not fit") as caught:
        load(warehouse, day(1), content)
    assert "account_id: there is no such row in accounts" in str(caught.value)


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


@pytest.mark.parametrize(
    ("present", "gone", "waiting", "accepted"),
    [
        (40, 9, 0, True),  # fewer than ten rows
        (40, 10, 0, False),
        (100, 20, 0, True),  # a fifth and not more
        (100, 21, 0, False),
        # Each capture that was passed over may have lost a fifth or ten rows.
        (100, 36, 1, True),
        (100, 37, 1, False),
        (100, 67, 4, True),
        (100, 68, 4, False),
        (100, 89, 8, True),
        (100, 90, 8, False),
        (100, 99, 10, True),
        # A table is never emptied, whatever was passed over.
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


def test_captures_that_were_passed_over_count_for_the_guard(sqlite_warehouse: Warehouse) -> None:
    empty(sqlite_warehouse)
    load(sqlite_warehouse, day(1), {"accounts": people(100)})
    content = {"accounts": people(64)}
    with pytest.raises(GuardRefused, match="36 of 100 present rows"):
        load(sqlite_warehouse, day(3), content)
    report = load(sqlite_warehouse, day(3), content, unpublished_captures={"accounts": 1})
    assert report.tables["accounts"].rows_deleted == 36


def test_what_was_confirmed_of_a_table_is_not_asked_again_but_of_that_table_only(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": people(40), "groups": [group(f"g{number}") for number in range(20)]})
    gone: dict[str, list[Any]] = {"accounts": [], "groups": []}
    with pytest.raises(GuardRefused) as caught:
        load(warehouse, day(2), gone, mass_deletes_confirmed=frozenset({"accounts"}))
    assert "groups: 20 of 20" in str(caught.value)
    assert "accounts:" not in str(caught.value)
    load(warehouse, day(2), gone, mass_deletes_confirmed=frozenset(gone))
    assert set(column(warehouse, "accounts", "deleted_on").values()) == {day(2)}


def test_rows_that_are_gone_already_do_not_count_for_the_guard(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": people(40)})
    load(warehouse, day(2), {"accounts": people(25)}, allow_mass_delete=True)
    report = load(warehouse, day(3), {"accounts": people(25)})
    assert report.tables["accounts"].rows_deleted == 0


def test_rows_that_may_stay_do_not_count_for_the_guard(warehouse: Warehouse) -> None:
    everyone = people(40)
    members = [member("g", person["account_id"]) for person in everyone]
    load(warehouse, day(1), {"accounts": everyone, "groups": [group("g")], "group_members": members})
    kept = {"group_members": TablePlan(unobserved_groups=frozenset({"g"}))}
    report = load(warehouse, day(2), {"group_members": []}, plans=kept)
    assert report.tables["group_members"].rows_deleted == 0


def test_every_problem_is_reported_at_once(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": people(40), "groups": [group(f"g{number}") for number in range(20)]})
    content: dict[str, list[Any]] = {
        "accounts": [],
        "groups": [],
        "objective_events": [event(f"e{number}", "nobody") for number in range(11)],
    }
    with pytest.raises(GuardRefused) as caught:
        load(warehouse, day(2), content)
    for problem in ("accounts: 40 of 40 present", "groups: 20 of 20 present", "objective_events: 11 of 11 rows"):
        assert problem in str(caught.value)


def test_a_load_that_was_refused_publishes_nothing_when_asked_again(warehouse: Warehouse) -> None:
    with warehouse.loading(plan(day(1), ["accounts"])) as loading:
        loading.stage(batch("accounts", people(1), rejects(11)))
        with pytest.raises(GuardRefused):
            loading.merge()
        with pytest.raises(RuntimeError, match="begin another"):
            loading.merge()
    assert rows(warehouse, "accounts") == []


def test_a_load_that_was_validated_takes_no_more_rows(warehouse: Warehouse) -> None:
    with warehouse.loading(plan(day(1), ["accounts"])) as loading:
        loading.validate()
        with pytest.raises(RuntimeError, match="takes no more rows"):
            loading.stage(batch("accounts", people(1)))
