"""Events, and the accounts that they name: the newest export date wins, whatever the order of the loads."""

from __future__ import annotations

from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.load_plan import LoadReport

from .support import ADDITIVE, account, column, counts, day, event, load, rows


def load_events(warehouse: Warehouse, number: int, found: dict[str, int | None], name: str = "Ann") -> LoadReport:
    """Events of one account, by their ids."""
    events = [event(event_id, "a", proficiency=value) for event_id, value in found.items()]
    content = {"accounts": [account("a", name, is_managed=None)], "objective_events": events}
    return load(warehouse, day(number), content, plans={"accounts": ADDITIVE}, kind="events")


def proficiencies(warehouse: Warehouse) -> dict[str, int]:
    return column(warehouse, "objective_events", "proficiency")


def test_events_are_added_and_overwritten_by_newer_loads_and_never_deleted(warehouse: Warehouse) -> None:
    load_events(warehouse, 3, {"e": 10, "f": 20})
    newer = load_events(warehouse, 5, {"e": 11})
    assert counts(newer.tables["objective_events"]) == (0, 1, 0, 0)
    older = load_events(warehouse, 4, {"e": 99, "missed": 1})
    assert counts(older.tables["objective_events"]) == (1, 0, 0, 1)
    assert proficiencies(warehouse) == {"e": 11, "f": 20, "missed": 1}
    written = column(warehouse, "objective_events", "load_id")
    assert (written["e"], written["missed"]) == (newer.load_id, older.load_id)

    again = load_events(warehouse, 5, {"e": None})
    assert counts(again.tables["objective_events"]) == (0, 1, 0, 0)
    assert proficiencies(warehouse)["e"] is None


def test_an_event_that_a_newer_load_confirmed_is_not_changed_by_a_date_that_was_missed(warehouse: Warehouse) -> None:
    load_events(warehouse, 3, {"e": 10})
    load_events(warehouse, 5, {"e": 10})  # of day 4 nothing was loaded yet
    load_events(warehouse, 4, {"e": 99})
    assert proficiencies(warehouse) == {"e": 10}


def test_an_event_that_did_not_change_is_written_again_only_where_a_date_was_missed(warehouse: Warehouse) -> None:
    load_events(warehouse, 1, {"old": 1})
    third = load_events(warehouse, 3, {"e": 10})
    fourth = load_events(warehouse, 4, {"old": 1, "e": 10})
    load_events(warehouse, 5, {"e": 10})
    assert column(warehouse, "objective_events", "load_id") == {"old": fourth.load_id, "e": third.load_id}


def test_an_account_that_is_only_named_has_no_dates_and_no_history_and_is_never_deleted(warehouse: Warehouse) -> None:
    report = load_events(warehouse, 1, {"e": 10})
    assert report.tables["accounts"].history_rows is None
    report = load(warehouse, day(2), {"accounts": [account("b")]})
    assert report.tables["accounts"].rows_deleted == 0
    (named,) = [row for row in rows(warehouse, "accounts") if row["account_id"] == "a"]
    assert (named["name"], named["first_seen_on"], named["last_seen_on"], named["deleted_on"]) == ("Ann", *[None] * 3)
    assert [row["account_id"] for row in rows(warehouse, "accounts_history")] == ["b"]
