"""Events, and the people they name: newest export date wins, whatever the order of the loads."""

from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline.warehouse import LoadReport, LoadType, TablePlan, TableReport, Warehouse

from .nights import account, day, event, group, load, playable
from .place import column, rows

ADDITIVE = TablePlan(load_type=LoadType.ADDITIVE)


def counts(report: TableReport) -> tuple[int, int, int, int]:
    return report.rows_inserted, report.rows_updated, report.rows_deleted, report.rows_unchanged


def evening(warehouse: Warehouse, number: int, proficiencies: dict[str, int], name: str = "Ann") -> LoadReport:
    """Events of one person, by their ids."""
    told = [event(event_id, "a", proficiency=value) for event_id, value in proficiencies.items()]
    content = {"accounts": [account("a", name, is_managed=None)], "objective_events": told}
    return load(warehouse, day(number), content, plans={"accounts": ADDITIVE}, kind="events")


def told(warehouse: Warehouse) -> dict[str, int]:
    return column(warehouse, "objective_events", "proficiency")


def test_events_are_added_and_never_deleted(warehouse: Warehouse) -> None:
    evening(warehouse, 1, {"e1": 10, "e2": 20})
    report = evening(warehouse, 2, {"e2": 20, "e3": 30})

    assert told(warehouse) == {"e1": 10, "e2": 20, "e3": 30}
    assert counts(report.tables["objective_events"]) == (1, 0, 0, 1)


def test_a_newer_load_overwrites_and_an_older_one_does_not(warehouse: Warehouse) -> None:
    evening(warehouse, 3, {"e": 10})
    newer = evening(warehouse, 5, {"e": 11})
    assert counts(newer.tables["objective_events"]) == (0, 1, 0, 0)

    older = evening(warehouse, 4, {"e": 99, "missed": 1})

    assert told(warehouse) == {"e": 11, "missed": 1}
    assert counts(older.tables["objective_events"]) == (1, 0, 0, 1)
    assert column(warehouse, "objective_events", "load_id") == {"e": newer.load_id, "missed": older.load_id}


def test_the_same_date_again_overwrites(warehouse: Warehouse) -> None:
    evening(warehouse, 3, {"e": 10})
    evening(warehouse, 3, {"e": 11})
    assert told(warehouse) == {"e": 11}


def test_an_event_that_a_newer_load_confirmed_is_not_changed_by_a_date_that_was_missed(warehouse: Warehouse) -> None:
    evening(warehouse, 3, {"e": 10})
    evening(warehouse, 5, {"e": 10})  # of day 4 nothing was loaded yet
    evening(warehouse, 4, {"e": 99})
    assert told(warehouse) == {"e": 10}


def test_an_event_that_did_not_change_is_not_written_again_where_no_date_was_missed(warehouse: Warehouse) -> None:
    first = evening(warehouse, 3, {"e": 10})
    evening(warehouse, 4, {"e": 10})
    evening(warehouse, 5, {"e": 10})
    assert column(warehouse, "objective_events", "load_id") == {"e": first.load_id}


def test_an_event_written_after_the_date_that_was_missed_is_not_written_again(warehouse: Warehouse) -> None:
    evening(warehouse, 1, {"old": 1})
    third = evening(warehouse, 3, {"e": 10})
    fourth = evening(warehouse, 4, {"old": 1, "e": 10})
    assert column(warehouse, "objective_events", "load_id") == {"old": fourth.load_id, "e": third.load_id}


def test_a_value_that_becomes_null_is_a_change(warehouse: Warehouse) -> None:
    evening(warehouse, 1, {"e": 10})
    content = {"accounts": [account("a", "Ann", is_managed=None)], "objective_events": [event("e", "a")]}
    report = load(warehouse, day(2), content, plans={"accounts": ADDITIVE}, kind="events")
    assert counts(report.tables["objective_events"]) == (0, 1, 0, 0)
    assert told(warehouse) == {"e": None}


def test_who_is_only_named_by_events_has_no_dates(warehouse: Warehouse) -> None:
    evening(warehouse, 1, {"e": 10})
    (person,) = rows(warehouse, "accounts")
    assert (person["first_seen_on"], person["last_seen_on"], person["deleted_on"]) == (None, None, None)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_loads_that_name_a_person_the_newer_one_counts(warehouse: Warehouse, order: tuple[int, int]) -> None:
    for number in order:
        evening(warehouse, number, {"e": 10}, name=f"Name of day {number}")
    assert column(warehouse, "accounts", "name") == {"a": "Name of day 2"}


@pytest.mark.parametrize("number", [1, 9], ids=["of an older date", "of a newer date"])
@pytest.mark.parametrize("plan", [TablePlan(), ADDITIVE], ids=["full", "additive"])
def test_a_snapshot_of_any_date_takes_a_named_person_over(warehouse: Warehouse, number: int, plan: TablePlan) -> None:
    evening(warehouse, 5, {"e": 10}, name="As events say")
    report = load(warehouse, day(number), {"accounts": [account("a", "As it is")]}, plans={"accounts": plan})

    assert counts(report.tables["accounts"]) == (0, 1, 0, 0)
    (person,) = rows(warehouse, "accounts")
    seen = None if plan is ADDITIVE else day(number)
    assert (person["name"], person["first_seen_on"], person["last_seen_on"], person["deleted_on"]) == (
        "As it is",
        seen,
        seen,
        None,
    )
    evening(warehouse, 12, {"e": 10}, name="As newer events say")
    assert column(warehouse, "accounts", "name") == {"a": "As it is"}


def test_events_change_nothing_of_a_person_whom_a_snapshot_has_shown(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a", "As it is")]})
    before = rows(warehouse, "accounts", ledger=True)
    report = evening(warehouse, 5, {"e": 10}, name="As events say")

    assert rows(warehouse, "accounts", ledger=True) == before
    assert counts(report.tables["accounts"]) == (0, 0, 0, 1)


def test_a_person_who_is_only_named_is_never_marked_deleted(warehouse: Warehouse) -> None:
    evening(warehouse, 1, {"e": 10})
    report = load(warehouse, day(2), {"accounts": [account("b")]})
    assert column(warehouse, "accounts", "deleted_on") == {"a": None, "b": None}
    assert report.tables["accounts"].rows_deleted == 0


def test_the_parents_of_a_selected_table_are_added_without_a_date(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"groups": [group("known")]})
    content: dict[str, list[Any]] = {
        "playables": [playable("p")],
        "groups": [group("known", "Other name"), group("new")],
        "group_playables": [{"group_id": "new", "playable_id": "p"}],
    }
    load(warehouse, day(2), content, plans={"groups": ADDITIVE, "playables": ADDITIVE})

    assert column(warehouse, "groups", "name") == {"known": "KNOWN", "new": "NEW"}
    assert column(warehouse, "groups", "first_seen_on") == {"known": day(1), "new": None}
    assert column(warehouse, "groups", "last_seen_on") == {"known": day(1), "new": None}
    assert column(warehouse, "group_playables", "last_seen_on") == {("new", "p"): day(2)}


def test_a_test_that_was_under_way_is_finished_by_a_newer_night(warehouse: Warehouse) -> None:
    def night(number: int, progress: float) -> None:
        attempt = {"test_result_id": "t", "test_id": "p", "group_id": "g", "account_id": "a", "progress": progress}
        content = {
            "accounts": [account("a")],
            "playables": [playable("p")],
            "groups": [group("g")],
            "test_results": [attempt],
        }
        load(warehouse, day(number), content)

    night(2, 1.0)
    night(1, 0.5)
    assert column(warehouse, "test_results", "progress") == {"t": 1.0}
