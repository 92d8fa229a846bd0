from __future__ import annotations

from typing import Any

import pytest

from .pages import CAPTURED_AT, EXPORT_DATE, Extracted, extract, page, utc

DRILLABLE = {"id": "d", "type": "DRILL", "name": "Medicines"}
PRACTICE = {
    "proficiency": {"overall": 61, "receptive": 60, "productive": 62},
    "highestProficiency": {"overall": 95},
    "eventualProficiency": {"overall": 40},
    "timeSpent": 1800,
    "expectedDuration": 3600,
    "lastPracticed": "2026-03-13T19:02:11Z",
    "added": "2026-01-02T08:00Z",
    "autoAdvancement": True,
}
ROW = {
    "export_date": EXPORT_DATE,
    "group_id": "g",
    "account_id": "noor",
    "playable_id": "d",
    "proficiency": 61,
    "receptive_proficiency": 60,
    "productive_proficiency": 62,
    "highest_proficiency": 95,
    "eventual_proficiency": 40,
    "time_spent_seconds": 1800,
    "expected_duration_seconds": 3600,
    "last_practiced_at": utc(2026, 3, 13, 19, 2, 11),
    "added_at": utc(2026, 1, 2, 8),
    "captured_at": CAPTURED_AT,
}
PLACES = {
    "inline": {"drillable": DRILLABLE, **PRACTICE},
    "practice": {"drillable": DRILLABLE, "practice": PRACTICE},
    "drillable.practice": {"drillable": {**DRILLABLE, "practice": PRACTICE}},
}


def results(*items: Any) -> Extracted:
    return extract(page("results", {"groupDrillableMemberResults": list(items)}, group_id="g", account_id="noor"))


@pytest.mark.parametrize("item", PLACES.values(), ids=PLACES.keys())
def test_measures_load_from_each_place(item: dict[str, Any]) -> None:
    found = results(item)
    assert found.row("results") == ROW
    assert found.rejects() == []


@pytest.mark.parametrize(
    "body",
    [
        {
            "group": {"id": "g"},
            "member": {"type": "USER", "id": "noor"},
            "pagination": {"total": 1, "lastOnPage": "d", "moreAvailable": False},
            "groupDrillableMemberResults": [PLACES["practice"]],
        },
        {"results": [PLACES["practice"]], "pagination": {"lastOnPage": "d", "moreAvailable": False}},
        [PLACES["practice"]],
    ],
    ids=["documented", "another name", "bare array"],
)
def test_results_load_from_each_form(body: Any) -> None:
    assert extract(page("results", body, group_id="g", account_id="noor")).row("results") == ROW


@pytest.mark.parametrize("item", PLACES, ids=PLACES.keys())
def test_a_proficiency_may_be_a_number(item: str) -> None:
    practice = {**PRACTICE, "proficiency": 61, "highestProficiency": 95, "eventualProficiency": "40"}
    items = {
        "inline": {"drillable": DRILLABLE, **practice},
        "practice": {"drillable": DRILLABLE, "practice": practice},
        "drillable.practice": {"drillable": {**DRILLABLE, "practice": practice}},
    }
    assert results(items[item]).row("results") == {**ROW, "receptive_proficiency": None, "productive_proficiency": None}


def test_the_measures_of_practice_win_over_those_of_the_drillable_and_inline() -> None:
    item = {
        "drillable": {**DRILLABLE, "practice": {"timeSpent": 2}},
        "practice": {"timeSpent": 1},
        "timeSpent": 3,
    }
    assert results(item).row("results")["time_spent_seconds"] == 1
    del item["practice"]
    assert results(item).row("results")["time_spent_seconds"] == 2


def test_a_drill_that_was_never_practiced_has_no_measures() -> None:
    row = results({"drillable": DRILLABLE}).row("results")
    given = {"export_date", "group_id", "account_id", "playable_id", "captured_at"}
    assert {name for name, value in row.items() if value is not None} == given


def test_a_member_without_drillables_has_no_results() -> None:
    found = extract(page("results", {"pagination": {"total": 0}}, group_id="g", account_id="noor"))
    assert found.rows("results") == []
    assert found.rejects() == []


def test_a_drillable_that_two_pages_repeat_is_given_once_as_last_seen() -> None:
    found = extract(
        *(
            page("results", [{"drillable": DRILLABLE, "timeSpent": spent}], number=spent, group_id="g", account_id="a")
            for spent in (1, 2)
        )
    )
    assert found.column("results", "time_spent_seconds") == [2]


def test_an_answer_keeps_the_time_at_which_it_came_in() -> None:
    later = utc(2026, 3, 15, 2, 0, 0, 7)
    found = extract(
        page("results", [{"drillable": DRILLABLE}], group_id="g", account_id="a"),
        page("results", [{"drillable": DRILLABLE}], group_id="g", account_id="b", at=later),
    )
    assert found.column("results", "captured_at") == [CAPTURED_AT, later]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"practice": PRACTICE}, "playable_id: missing"),
        ({"drillable": "d"}, "playable_id"),
        ({"drillable": {"name": "x"}, "practice": PRACTICE}, "playable_id: missing"),
        ({"drillable": DRILLABLE, "practice": "none"}, "proficiency, highest_proficiency, eventual_proficiency and 4 "),
        ({"drillable": DRILLABLE, "proficiency": {"overall": 101}}, "proficiency: out of range, which is 0 to 100"),
        ({"drillable": DRILLABLE, "proficiency": {"overall": "?"}}, "proficiency: expected an integer, found text"),
        ({"drillable": DRILLABLE, "proficiency": [61]}, "proficiency: expected an integer, found a list"),
        ({"drillable": DRILLABLE, "timeSpent": -1}, "time_spent_seconds: out of range, which is 0 or more"),
        ({"drillable": DRILLABLE, "timeSpent": 1 << 64}, "time_spent_seconds: a number beyond 64 bits"),
        (
            {"drillable": DRILLABLE, "lastPracticed": 1_700_000_000_000},
            "last_practiced_at: expected a timestamp, found a",
        ),
        ("d", "groupDrillableMemberResults[]: expected an object, found text"),
    ],
)
def test_a_result_that_does_not_fit_is_rejected_with_a_reason(item: Any, reason: str) -> None:
    found = results(item, {"drillable": {"id": "next"}})
    (met,) = found.reasons("results")
    assert met.startswith(reason)
    assert found.column("results", "playable_id") == ["next"]
