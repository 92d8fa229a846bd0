from __future__ import annotations

import pytest

from drillster_pipeline.warehouse import LoadType, TablePlan, TableReport, Warehouse

from .nights import account, day, group, load, member, reject
from .place import column, rows

PARTIAL, ADDITIVE = TablePlan(load_type=LoadType.PARTIAL), TablePlan(load_type=LoadType.ADDITIVE)


def counts(report: TableReport) -> tuple[int, int, int, int]:
    return report.rows_inserted, report.rows_updated, report.rows_deleted, report.rows_unchanged


def dates(warehouse: Warehouse, table: str = "accounts") -> dict[object, tuple[object, ...]]:
    key = {"accounts": "account_id", "groups": "group_id"}[table]
    return {row[key]: (row["first_seen_on"], row["last_seen_on"], row["deleted_on"]) for row in rows(warehouse, table)}


def test_a_first_load_inserts_everything(warehouse: Warehouse) -> None:
    report = load(warehouse, day(1), {"accounts": [account("a"), account("b")]})

    assert counts(report.tables["accounts"]) == (2, 0, 0, 0)
    assert dates(warehouse) == {"a": (day(1), day(1), None), "b": (day(1), day(1), None)}


def test_what_did_not_change_is_not_written_again(warehouse: Warehouse) -> None:
    first = load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    second = load(warehouse, day(2), {"accounts": [account("a"), account("b", "Other")]})

    assert counts(second.tables["accounts"]) == (0, 1, 0, 1)
    assert column(warehouse, "accounts", "load_id") == {"a": first.load_id, "b": second.load_id}
    written = column(warehouse, "accounts", "loaded_at")
    assert written["a"] < first.finished_at < written["b"] < second.finished_at
    assert column(warehouse, "accounts", "name") == {"a": "A", "b": "Other"}
    assert dates(warehouse)["a"] == (day(1), day(2), None)


def test_who_is_absent_from_a_whole_read_is_marked_and_comes_back(warehouse: Warehouse) -> None:
    both = {"accounts": [account("a"), account("b")]}
    load(warehouse, day(1), both)
    gone = load(warehouse, day(2), {"accounts": [account("a")]})
    assert counts(gone.tables["accounts"]) == (0, 0, 1, 1)
    assert dates(warehouse)["b"] == (day(1), day(1), day(2))
    assert column(warehouse, "accounts", "load_id")["b"] == gone.load_id

    load(warehouse, day(3), {"accounts": [account("a")]})
    assert dates(warehouse)["b"] == (day(1), day(1), day(2))

    back = load(warehouse, day(4), both)
    assert counts(back.tables["accounts"]) == (0, 1, 0, 1)
    assert dates(warehouse)["b"] == (day(1), day(4), None)
    assert column(warehouse, "accounts", "load_id")["b"] == back.load_id


def test_an_older_load_only_adds_and_moves_first_seen_back(warehouse: Warehouse) -> None:
    newer = load(warehouse, day(5), {"accounts": [account("a", "New name"), account("c")]})
    older = load(warehouse, day(2), {"accounts": [account("a", "Old name"), account("b")]})

    assert counts(older.tables["accounts"]) == (1, 0, 0, 1)
    assert column(warehouse, "accounts", "name")["a"] == "New name"
    assert dates(warehouse) == {
        "a": (day(2), day(5), None),
        "b": (day(2), day(2), day(5)),  # the newer read was whole, and did not show it
        "c": (day(5), day(5), None),
    }
    assert column(warehouse, "accounts", "load_id")["c"] == newer.load_id


def test_an_older_whole_read_dates_a_disappearance_more_closely(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    load(warehouse, day(9), {"accounts": [account("a")]})
    assert dates(warehouse)["b"][2] == day(9)

    report = load(warehouse, day(4), {"accounts": [account("a")]})

    assert dates(warehouse)["b"][2] == day(4)
    assert counts(report.tables["accounts"]) == (0, 1, 0, 1)


def test_a_row_seen_after_its_mark_but_before_another_whole_read_is_marked_anew(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    load(warehouse, day(3), {"accounts": [account("a")]})
    load(warehouse, day(9), {"accounts": [account("a")]})
    assert dates(warehouse)["b"] == (day(1), day(1), day(3))

    load(warehouse, day(6), {"accounts": [account("a"), account("b")]})

    assert dates(warehouse)["b"] == (day(1), day(6), day(9))


def test_a_second_capture_of_a_date_can_delete_what_the_first_one_saw(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    load(warehouse, day(1), {"accounts": [account("a")]})

    assert dates(warehouse)["b"] == (day(1), day(1), day(1))


def test_of_two_captures_of_a_date_the_second_one_counts(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a", "First")]})
    load(warehouse, day(1), {"accounts": [account("a", "Second")]})
    assert column(warehouse, "accounts", "name") == {"a": "Second"}


@pytest.mark.parametrize("mode", [PARTIAL, ADDITIVE], ids=["partial", "additive"])
def test_nothing_is_marked_by_a_read_that_was_not_whole(warehouse: Warehouse, mode: TablePlan) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    report = load(warehouse, day(2), {"accounts": [account("a")]}, plans={"accounts": mode})

    assert counts(report.tables["accounts"]) == (0, 0, 0, 1)
    assert column(warehouse, "accounts", "deleted_on")["b"] is None
    assert column(warehouse, "load_tables", "is_complete")[report.load_id, "accounts"] is False


def test_a_partial_read_still_updates_what_it_shows(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a")]})
    load(warehouse, day(2), {"accounts": [account("a", "Other"), account("b")]}, plans={"accounts": PARTIAL})

    assert column(warehouse, "accounts", "name") == {"a": "Other", "b": "B"}
    assert dates(warehouse) == {"a": (day(1), day(2), None), "b": (day(2), day(2), None)}


def test_rows_of_a_closed_group_stay(warehouse: Warehouse) -> None:
    content = {
        "accounts": [account("a")],
        "groups": [group("open"), group("closed")],
        "group_members": [member("open", "a"), member("closed", "a")],
    }
    load(warehouse, day(1), content)
    kept = TablePlan(unobserved_groups=frozenset({"closed"}))
    seen = {"accounts": [account("a")], "groups": [], "group_members": []}
    load(warehouse, day(2), seen, plans={"groups": kept, "group_members": kept})

    assert column(warehouse, "groups", "deleted_on") == {"open": day(2), "closed": None}
    assert column(warehouse, "group_members", "deleted_on") == {("open", "a"): day(2), ("closed", "a"): None}


def test_objectives_of_a_closed_group_keep_their_playables(warehouse: Warehouse) -> None:
    def content(objectives: list[str]) -> dict[str, list[dict[str, object]]]:
        return {
            "playables": [{"playable_id": "p"}],
            "groups": [group("g1"), group("g2")],
            "objectives": [{"objective_id": f"o-{name}", "group_id": name} for name in objectives],
            "objective_playables": [{"objective_id": f"o-{name}", "playable_id": "p"} for name in objectives],
        }

    load(warehouse, day(1), content(["g1", "g2"]))
    kept = TablePlan(unobserved_groups=frozenset({"g2"}))
    load(warehouse, day(2), content([]), plans={"objectives": kept, "objective_playables": kept})

    assert column(warehouse, "objectives", "deleted_on") == {"o-g1": day(2), "o-g2": None}
    assert column(warehouse, "objective_playables", "deleted_on") == {("o-g1", "p"): day(2), ("o-g2", "p"): None}


def test_people_known_only_in_passing_stay_when_something_was_closed(warehouse: Warehouse) -> None:
    people = [account("managed"), account("other", is_managed=False), account("unknown", is_managed=None)]
    load(warehouse, day(1), {"accounts": people})
    load(warehouse, day(2), {"accounts": []}, plans={"accounts": TablePlan(keep_referenced=True)})

    assert column(warehouse, "accounts", "deleted_on") == {"managed": day(2), "other": None, "unknown": None}


def test_all_playables_stay_when_something_was_closed(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"playables": [{"playable_id": "p"}]})
    report = load(warehouse, day(2), {"playables": []}, plans={"playables": TablePlan(keep_referenced=True)})

    assert column(warehouse, "playables", "deleted_on") == {"p": None}
    assert column(warehouse, "load_tables", "is_complete")[report.load_id, "playables"] is False


def test_a_rejected_row_is_not_a_deleted_row(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b"), account("c")]})
    load(warehouse, day(2), {"accounts": [account("a")]}, rejects={"accounts": [reject("accounts", "b")]})

    assert column(warehouse, "accounts", "deleted_on") == {"a": None, "b": None, "c": day(2)}


def test_a_reject_without_a_key_may_be_any_row_so_nothing_is_marked(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    report = load(warehouse, day(2), {"accounts": [account("a")]}, rejects={"accounts": [reject("accounts")]})

    assert column(warehouse, "accounts", "deleted_on") == {"a": None, "b": None}
    assert column(warehouse, "load_tables", "is_complete")[report.load_id, "accounts"] is False


def test_what_a_newer_read_could_not_see_is_not_deleted_by_an_older_one_either(warehouse: Warehouse) -> None:
    kept = {"group_members": TablePlan(unobserved_groups=frozenset({"g"}))}
    newer = {"accounts": [account("a")], "groups": [group("g")], "group_members": []}
    older = {"accounts": [account("a")], "groups": [group("g")], "group_members": [member("g", "a")]}
    load(warehouse, day(3), newer, plans=kept)
    load(warehouse, day(4), newer, rejects={"group_members": [reject("group_members", "g", "a")]})
    load(warehouse, day(1), older)
    assert column(warehouse, "group_members", "deleted_on") == {("g", "a"): None}

    load(warehouse, day(5), newer)
    assert column(warehouse, "group_members", "deleted_on") == {("g", "a"): day(5)}


def test_the_same_load_again_changes_nothing(warehouse: Warehouse) -> None:
    content = {"accounts": [account("a"), account("b")], "groups": [group("g")], "group_members": [member("g", "a")]}
    load(warehouse, day(1), content)
    before = {name: rows(warehouse, name, ledger=True) for name in content}
    again = load(warehouse, day(1), content)

    assert {name: rows(warehouse, name, ledger=True) for name in content} == before
    assert counts(again.tables["accounts"]) == (0, 0, 0, 2)
