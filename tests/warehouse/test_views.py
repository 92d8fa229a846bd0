"""The views against answers that Python computes from the same rows."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.warehouse import VIEWS, Warehouse

from .support import (
    ADDITIVE,
    account,
    day,
    evaluation,
    group,
    load,
    member,
    objective,
    playable,
    reject,
    result,
    sql,
    table,
    view,
)

DAY = timedelta(days=1)
TODAY = day(40)


def midday(on: date, hour: int = 12) -> datetime:
    return datetime(on.year, on.month, on.day, hour, tzinfo=UTC)


PEOPLE = ["ann", "bob", "cas", "dee"]
PRACTICE = {"ann": 0, "bob": 6, "cas": 7, "dee": 30}
"""Days before the export date on which each last practiced."""


def results(on: date) -> list[Any]:
    """Two groups; ``dee`` never practiced in one of them, ``bob`` has a result without a proficiency."""
    found = []
    for place, name in enumerate(PEOPLE):
        for group_id in ("icu", "er"):
            for number in range(1 + place % 2):
                idle = PRACTICE[name] + number
                practiced = None if (name, group_id) == ("dee", "er") else midday(on - idle * DAY, 23)
                proficiency = None if (name, number) == ("bob", 1) else 40 + 10 * place + 5 * number + on.day
                more = {"time_spent_seconds": 45 * (place + 1), "last_practiced_at": practiced}
                found.append(result(on, group_id, name, f"p{number}", proficiency, **more))
    return found


def evaluations(on: date) -> list[Any]:
    reviews = {
        "ann": None,
        "bob": midday(on - DAY),
        "cas": midday(on),
        "dee": datetime(on.year, on.month, on.day, tzinfo=UTC) - timedelta(microseconds=1),
    }
    mets = {"ann": False, "bob": False, "cas": False, "dee": False} | ({"bob": True} if on != TODAY else {})
    found = [
        evaluation(on, "o-icu", name, "icu", mets[name], review_at=reviews[name], minimum_proficiency=80)
        for name in PEOPLE
    ]
    found += [
        evaluation(on, "o-er", "ann", "er", True, review_at=midday(on - 9 * DAY)),
        evaluation(on, "o-er", "bob", "er", None, review_at=midday(on - 9 * DAY)),
        evaluation(on, "o-er", "cas", "er", False, review_at=midday(on - 9 * DAY)),
    ]
    return found


def content(on: date) -> dict[str, list[Any]]:
    return {
        "accounts": [account(name, name.title()) for name in PEOPLE],
        "playables": [playable("p0", "Wound care"), {**playable("p1"), "name": None}],
        "groups": [group("icu", "Intensive care"), group("er", "Emergency")],
        "objectives": [objective("o-icu", "icu", name="Yearly"), objective("o-er", "er", name=None, type="PERMANENT")],
        "objective_evaluations": evaluations(on),
        "results": results(on),
    }


DATES = [day(39), TODAY]


@pytest.fixture
def filled(any_warehouse: Warehouse) -> Warehouse:
    for on in reversed(DATES):  # the newest date is not the one that came last
        load(any_warehouse, on, content(on))
    return any_warehouse


def as_date(value: Any) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) else value


def as_moment(value: Any) -> datetime | None:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return None if moment is None else moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def test_views_have_the_columns_that_they_declare_in_their_order(any_warehouse: Warehouse) -> None:
    inspector = sa.inspect(any_warehouse.engine)
    for name, declared in VIEWS.items():
        columns = inspector.get_columns(name, schema=any_warehouse.schema)
        assert [each["name"] for each in columns] == [*declared.columns], name


def complete_dates(warehouse: Warehouse) -> tuple[date | None, date | None]:
    """The newest complete load, by the view and by the ledger's reader."""
    shown = [as_date(row["export_date"]) for row in view(warehouse, "latest_load")]
    latest = warehouse.ledger.latest_loads().get("snapshot")
    return (shown[0] if shown else None), (latest.export_date if latest else None)


@pytest.mark.parametrize(
    "what",
    [
        {"unread": {"groups": False}},
        {"unread": {"catalogs": True}},
        {"all_tables": False},
        {"rejects": {"groups": [reject("groups", "a"), reject("groups", "b")]}},
    ],
    ids=["a resource that failed", "one that is refused", "selected tables", "most rows rejected"],
)
def test_latest_load_is_the_newest_complete_one(warehouse: Warehouse, what: dict[str, Any]) -> None:
    groups = {"groups": [group("icu")]}
    first = load(warehouse, day(1), groups, **what)
    assert complete_dates(warehouse) == (None, None)
    load(warehouse, day(2), {"groups": [group("icu"), group("er")]})
    last = load(warehouse, day(3), {"groups": [group("icu")]}, **what)
    assert (first.is_complete, last.is_complete) == (False, what == {"unread": {"catalogs": True}})
    assert complete_dates(warehouse) == (day(3 if last.is_complete else 2),) * 2
    (row,) = view(warehouse, "latest_load")
    assert as_date(row["newest_export_date"]) == day(3)


def test_a_table_that_was_ever_loaded_in_full_is_missing_when_it_is_refused(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"groups": [group("icu")], "catalogs": [{"catalog_id": "c", "name": "C"}]})
    for number in (2, 3):
        assert not load(warehouse, day(number), {"groups": [group("icu")]}, unread={"catalogs": True}).is_complete
    assert complete_dates(warehouse) == (day(1), day(1))


def test_loads_of_a_version_that_did_not_record_it_are_complete_where_all_tables_were_selected(
    warehouse: Warehouse,
) -> None:
    for number, whole in ((1, True), (2, False)):
        load(warehouse, day(number), {"groups": [group("icu")]}, all_tables=whole)
    sql(warehouse, "UPDATE {}loads SET is_complete = NULL, requests_refused = NULL")
    sql(warehouse, "UPDATE {}load_tables SET is_fully_loaded = NULL")
    assert complete_dates(warehouse) == (day(1), day(1))
    assert {row["table_name"]: as_date(row["complete_export_date"]) for row in view(warehouse, "table_freshness")} == {
        "groups": day(2)
    }


def test_table_freshness_has_the_newest_and_the_newest_complete_date_of_each_table(warehouse: Warehouse) -> None:
    only_named = {"accounts": ADDITIVE}
    content = {"accounts": [account("ann")], "groups": [group("icu"), group("er")]}
    load(warehouse, day(1), content)
    rejects = {"groups": [reject("groups", "x")]}
    newest = load(warehouse, day(2), {"groups": content["groups"]}, unread={"groups": False}, rejects=rejects)
    events = load(warehouse, day(3), {"accounts": [], "objective_events": []}, kind="events", plans=only_named)
    load(warehouse, day(4), {"accounts": [account("new")]}, plans=only_named)

    found = {row["table_name"]: row for row in view(warehouse, "table_freshness")}
    dates = {
        name: (row["kind"], as_date(row["complete_export_date"]), as_date(row["newest_export_date"]))
        for name, row in found.items()
    }
    assert dates == {
        "accounts": ("snapshot", day(1), day(1)),
        "groups": ("snapshot", day(1), day(2)),
        "objective_events": ("events", day(3), day(3)),
    }
    assert (found["groups"]["load_id"], found["objective_events"]["load_id"]) == (newest.load_id, events.load_id)
    assert (found["groups"]["rows_read"], found["groups"]["rows_rejected"]) == (3, 1)
    assert as_moment(found["groups"]["finished_at"]) == newest.finished_at


def test_current_results_are_those_of_the_newest_date_with_names(filled: Warehouse) -> None:
    found = {(row["group_id"], row["account_id"], row["playable_id"]): row for row in view(filled, "current_results")}
    expected = {(row["group_id"], row["account_id"], row["playable_id"]): row for row in results(TODAY)}

    assert found.keys() == expected.keys()
    for key, row in found.items():
        assert as_date(row["export_date"]) == TODAY
        assert row["proficiency"] == expected[key]["proficiency"]
        assert as_moment(row["last_practiced_at"]) == expected[key]["last_practiced_at"]
        assert (row["account_name"], row["group_name"], row["playable_name"], row["playable_type"]) == (
            key[1].title(),
            {"icu": "Intensive care", "er": "Emergency"}[key[0]],
            {"p0": "Wound care", "p1": None}[key[2]],
            "DRILL",
        )


def test_a_newer_load_of_other_tables_does_not_empty_the_current_results(filled: Warehouse) -> None:
    load(filled, day(50), {"groups": [group("icu", "Intensive care"), group("er", "Emergency")]})
    assert {as_date(row["export_date"]) for row in view(filled, "current_results")} == {TODAY}
    assert {as_date(row["export_date"]) for row in view(filled, "learner_progress")} == {TODAY}


def average(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return pytest.approx(sum(known) / len(known)) if known else None


def test_learner_progress_sums_up_each_learner(filled: Warehouse) -> None:
    by_learner = defaultdict(list)
    for row in results(TODAY):
        by_learner[row["group_id"], row["account_id"]].append(row)

    found = {(row["group_id"], row["account_id"]): row for row in view(filled, "learner_progress")}
    assert found.keys() == by_learner.keys()
    for key, own in by_learner.items():
        row = found[key]
        assert row["playable_count"] == len(own)
        assert row["average_proficiency"] == average([one["proficiency"] for one in own])
        assert row["minutes_practiced"] == pytest.approx(sum(one["time_spent_seconds"] for one in own) / 60)
        practiced = [one["last_practiced_at"] for one in own if one["last_practiced_at"]]
        assert as_moment(row["last_practiced_at"]) == max(practiced, default=None)
        assert isinstance(row["average_proficiency"], float)


def test_group_compliance_counts_who_was_evaluated_and_who_met(filled: Warehouse) -> None:
    found = {(as_date(row["export_date"]), row["objective_id"]): row for row in view(filled, "group_compliance")}
    assert found.keys() == {(on, name) for on in DATES for name in ("o-icu", "o-er")}
    for (on, objective_id), row in found.items():
        mets = [one["met"] for one in evaluations(on) if one["objective_id"] == objective_id]
        evaluated = [met for met in mets if met is not None]
        assert (row["evaluated"], row["met"]) == (len(evaluated), sum(evaluated))
        assert row["met_percentage"] == pytest.approx(100 * sum(evaluated) / len(evaluated))
        assert isinstance(row["met_percentage"], float)
    assert found[TODAY, "o-er"]["objective_name"] is None
    assert found[TODAY, "o-er"]["group_name"] == "Emergency"


def test_overdue_is_what_is_not_met_after_the_day_of_review(filled: Warehouse) -> None:
    found = {(row["objective_id"], row["account_id"]): row for row in view(filled, "overdue_objectives")}
    expected = {}
    for row in evaluations(TODAY):
        review = row["review_at"]
        if row["met"] is False and review is not None and review.date() < TODAY:
            expected[row["objective_id"], row["account_id"]] = (TODAY - review.date()).days
    assert expected == {("o-icu", "bob"): 1, ("o-icu", "dee"): 1, ("o-er", "cas"): 9}
    assert {key: row["days_overdue"] for key, row in found.items()} == expected
    assert {as_date(row["export_date"]) for row in found.values()} == {TODAY}
    assert found["o-icu", "bob"]["minimum_proficiency"] == 80


def test_proficiency_trend_follows_each_group_by_date(filled: Warehouse) -> None:
    found = {(as_date(row["export_date"]), row["group_id"]): row for row in view(filled, "proficiency_trend")}
    assert found.keys() == {(on, name) for on in DATES for name in ("icu", "er")}
    for (on, group_id), row in found.items():
        own = [one for one in results(on) if one["group_id"] == group_id]
        practiced = [(one["account_id"], one["last_practiced_at"]) for one in own if one["last_practiced_at"]]
        last = {name: max((at for who, at in practiced if who == name), default=None) for name in PEOPLE}
        idle = {name: (on - moment.date()).days if moment else None for name, moment in last.items()}
        assert row["learner_count"] == len(PEOPLE)
        assert row["average_proficiency"] == average([one["proficiency"] for one in own])
        assert row["learners_practicing_7_days"] == sum(days is not None and days < 7 for days in idle.values())
        assert row["learners_idle_30_days"] == sum(days is None or days >= 30 for days in idle.values())
    assert found[TODAY, "icu"]["learners_practicing_7_days"] == 2  # ann today, bob six days ago; cas seven
    assert found[TODAY, "icu"]["learners_idle_30_days"] == 1


def test_without_a_value_there_is_no_average_and_no_percentage(any_warehouse: Warehouse) -> None:
    more = {
        "results": [result(TODAY, "icu", "ann", "p0", None)],
        "objective_evaluations": [evaluation(TODAY, "o-icu", "ann", "icu", None)],
    }
    rejects = {"groups": [reject("groups", "x")]}
    long_ago = datetime.now(UTC) - timedelta(days=3, seconds=7)
    any_warehouse._now, now = (lambda: long_ago), any_warehouse._now
    load(any_warehouse, TODAY, content(TODAY) | more, rejects=rejects, requests_refused=2)
    any_warehouse._now = now
    (trend,), (progress,) = view(any_warehouse, "proficiency_trend"), view(any_warehouse, "learner_progress")
    assert trend["average_proficiency"] is progress["average_proficiency"] is None
    assert trend["learners_idle_30_days"] == 1
    (row,) = view(any_warehouse, "group_compliance")
    assert (row["evaluated"], row["met"], row["met_percentage"]) == (0, 0, None)
    (row,) = view(any_warehouse, "latest_load")
    assert (row["requests_refused"], row["rows_rejected"]) == (2, 1)
    assert 3 * 86_400 + 6 <= row["age_seconds"] < 3 * 86_400 + 60


def test_export_dates_places_every_published_date_in_its_week_month_and_quarter(any_warehouse: Warehouse) -> None:
    first = date(2024, 12, 28)
    dates = [first + number * DAY for number in range(740) if number % 7 and (first + number * DAY).month != 6]
    started = midday(first)
    stamps = {"started_at": started, "finished_at": started, "is_complete": True, "timezone": "Europe/Amsterdam"}
    loads = [{"load_id": f"{on}", "export_date": on, "kind": "snapshot", **stamps} for on in dates]
    loads += [{**each, "load_id": f"{each['load_id']} again", "is_complete": False} for each in loads[:2]]
    loads[2] |= {"is_complete": False}
    only_events = {**loads[0], "load_id": "events", "kind": "events", "export_date": date(2030, 1, 1)}
    with any_warehouse.engine.begin() as connection:
        connection.execute(sa.insert(table(any_warehouse, "loads")), [*loads, only_events])

    found = {as_date(row["export_date"]): row for row in view(any_warehouse, "export_dates")}
    assert sorted(found) == dates
    before: date | None = None
    for on, after in zip(dates, [*dates[1:], None], strict=True):
        row, (year, week, _) = found[on], on.isocalendar()
        assert row["iso_week"] == f"{year}-W{week:02}"
        assert (row["month"], row["quarter"]) == (f"{on:%Y-%m}", f"{on.year}-Q{(on.month + 2) // 3}")
        assert as_date(row["month_begins_on"]) == on.replace(day=1)
        assert bool(row["is_month_end"]) == (after is None or f"{after:%Y-%m}" > f"{on:%Y-%m}")
        assert bool(row["is_newest"]) == (after is None)
        assert as_date(row["previous_export_date"]) == before
        assert row["missed_days"] == (None if before is None else (on - before).days - 1)
        earlier = [each for each in dates if each < on.replace(day=1)]
        assert as_date(row["previous_month_end"]) == max(earlier, default=None)
        assert as_moment(row["ends_at"]) == as_moment(row["begins_at"]) + DAY == midday(on, 0) + DAY
        assert (row["timezone"], bool(row["is_complete"])) == ("Europe/Amsterdam", on != dates[2])
        before = on


def test_account_results_has_the_practice_of_a_person_once(filled: Warehouse) -> None:
    found = {(row["account_id"], row["playable_id"]): row for row in view(filled, "account_results")}
    expected = defaultdict(list)
    for row in results(TODAY):
        expected[row["account_id"], row["playable_id"]].append(row)
    assert len(view(filled, "account_results")) == len(found)
    assert found.keys() == expected.keys()
    for key, some in expected.items():
        row = found[key]
        assert (as_date(row["export_date"]), row["group_count"], row["account_name"]) == (TODAY, 2, key[0].title())
        assert row["proficiency"] == some[0]["proficiency"]
        assert row["time_spent_seconds"] == some[0]["time_spent_seconds"]
        assert as_moment(row["last_practiced_at"]) == some[0]["last_practiced_at"] or key[0] == "dee"


def test_enrollments_has_each_member_and_objective_with_the_newest_evaluation(
    any_warehouse: Warehouse,
) -> None:
    found = content(TODAY)
    found["objectives"] = [*found["objectives"], objective("o-new", "icu")]
    found["accounts"] = [*found["accounts"], {**account("nameless"), "name": ""}]
    found |= {
        "group_members": [
            *(member(of, name, joined_at=midday(day(1))) for of in ("icu", "er") for name in ("ann", "bob")),
            {"group_id": "er", "member_key": "invitee:x", "account_id": None, "name": "X", "status": "INVITED"},
        ],
        "group_staff": [
            {"group_id": "icu", "account_id": name, "permission": permission}
            for name, permission in (("dee", "MANAGE"), ("cas", "MANAGE"), ("nameless", "MANAGE"), ("bob", "VIEW"))
        ],
        "account_external_ids": [
            {"account_id": "ann", "third_party": system, "external_id": number}
            for system, number in (("LMS", "7"), ("AFAS", "12"), ("AFAS", "11"))
        ],
    }
    load(any_warehouse, day(39), {**found, "objective_evaluations": evaluations(day(39)), "results": []})
    gone = {"group_members": [one for one in found["group_members"] if one["group_id"] == "icu"]}
    load(any_warehouse, TODAY, {**found, **gone}, allow_mass_delete=True)

    rows = {(row["account_id"], row["objective_id"]): row for row in view(any_warehouse, "enrollments")}
    assert len(rows) == len(view(any_warehouse, "enrollments")) == 4
    assert rows.keys() == {(name, of) for name in ("ann", "bob") for of in ("o-icu", "o-new")}
    by_key = {(row["account_id"], row["objective_id"]): row for row in evaluations(TODAY)}
    for key, row in rows.items():
        evaluation = by_key.get(key, {})
        assert as_date(row["export_date"]) == (TODAY if evaluation else None)
        assert row["met"] == evaluation.get("met")
        assert as_moment(row["review_at"]) == evaluation.get("review_at")
        assert (row["group_name"], row["managers"]) == ("Intensive care", "Cas, Dee")
        assert row["external_ids"] == ("AFAS:11, AFAS:12, LMS:7" if key[0] == "ann" else None)
        assert as_moment(row["joined_at"]) == midday(day(1))
    assert rows["bob", "o-icu"]["minimum_proficiency"] == 80


ATTEMPTS = {
    ("a", "p0", "ann"): [(1, "icu", 40, False), (2, "er", 80, True), (2, "icu", 70, True), (None, "icu", None, None)],
    ("b", "p0", "bob"): [(3, "icu", None, None)],
    ("c", "p1", "ann"): [(1, "icu", 90, True)],
    ("d", "p0", None): [(1, "icu", 50, True)],
}
"""By a letter, test and person: the day of each attempt in their order, group, score and whether it was passed."""


def test_attempts_are_numbered_for_each_person_and_test(any_warehouse: Warehouse) -> None:
    rows = [
        {
            "test_result_id": f"{letter}{number}",
            "test_id": test,
            "group_id": of,
            "account_id": person,
            "started_at": on and midday(day(on)),
            "score_percentage": score,
            "passed": passed,
        }
        for (letter, test, person), attempts in ATTEMPTS.items()
        for number, (on, of, score, passed) in enumerate(attempts)
    ]
    load(any_warehouse, TODAY, {**content(TODAY), "test_results": rows[::-1]})
    found = {row["test_result_id"]: row for row in view(any_warehouse, "test_attempts")}
    shown = {
        name: (row["attempt_number"], bool(row["is_first_pass"]), row["best_score_percentage"])
        for name, row in found.items()
    }
    assert shown == {
        "a0": (1, False, 80),
        "a1": (2, True, 80),
        "a2": (3, False, 80),
        "a3": (4, False, 80),
        "b0": (1, False, None),
        "c0": (1, True, 90),
    }
    names = {(row["test_name"], row["group_name"], row["account_name"]) for row in found.values()}
    assert names >= {("Wound care", "Emergency", "Ann"), (None, "Intensive care", "Ann")}
