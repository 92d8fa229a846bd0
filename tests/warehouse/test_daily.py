"""The figures of a date against those that Python computes, whatever was loaded before and after it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from statistics import fmean, pstdev
from typing import Any

import pytest

from drillster_pipeline.errors import GuardRefused
from drillster_pipeline.tables import DAILY_TABLES
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.inspection import Inspection
from tests.support.databases import Place

from .support import (
    PARTIAL,
    TablePlan,
    account,
    day,
    evaluation,
    group,
    load,
    member,
    objective,
    playable,
    result,
    rows,
    sql,
    statements,
    view,
)

Content = dict[str, list[Any]]
PEOPLE = ["ann", "bob", "cas", "dee", "eve"]
MINUTE = timedelta(minutes=1)


def midnight(on: date, days: float = 0) -> datetime:
    return datetime(on.year, on.month, on.day, tzinfo=UTC) + timedelta(days=days)


def attempt(number: str, group_id: str, account_id: str, ended: datetime | None, passed: bool | None) -> Any:
    ids = {"test_result_id": number, "test_id": "p0", "group_id": group_id, "account_id": account_id}
    return {**ids, "started_at": midnight(day(1)), "completed_at": ended, "passed": passed}


def content(on: date) -> Content:
    """Ann, Bob and Cas are in both groups, Dee in one, Eve is invited; an attempt is judged two days after it ended."""
    ages = {"ann": 0.0, "bob": 6.99, "cas": 7.01, "dee": None, "eve": 31}
    practiced = {name: None if age is None else midnight(on, 1 - age) - MINUTE for name, age in ages.items()}
    results = [
        result(on, of, name, f"p{number}", proficiency, last_practiced_at=practiced[name])
        for place, name in enumerate(PEOPLE)
        for of in (("icu", "er") if name in ("ann", "bob", "cas") else ("icu",))
        for number, proficiency in enumerate([20 * place + on.day, None if name == "bob" else 10 * place])
    ]
    evaluations = [
        evaluation(on, "o-icu", name, "icu", met, review_at=review, minimum_proficiency=norm)
        for name, met, review, norm in (
            ("ann", True, midnight(on, -3), 60),
            ("bob", False, midnight(on) - MINUTE, 70 + on.day),
            ("cas", False, midnight(on), None),
            ("dee", None, None, 60),
        )
    ]
    evaluations.append(evaluation(on, "o-er", "ann", "er", None))
    attempts = [
        attempt(f"{ended}", "icu" if ended.day % 2 else "er", "ann", midnight(ended, 0.5), place == 2)
        for place in range(3)
        if (ended := on - timedelta(days=place)) >= day(1)
    ]
    attempts += [attempt("open", "icu", "ann", None, None), attempt("later", "icu", "dee", midnight(on, 1), True)]
    return {
        "accounts": [account(name) for name in PEOPLE],
        "playables": [playable("p0"), playable("p1")],
        "groups": [group("icu"), group("er"), group("empty")],
        "group_members": [
            *(member("icu", name, status="INVITED" if name == "eve" else "MEMBER") for name in PEOPLE),
            *(member("er", name) for name in PEOPLE[: 2 + on.day % 2]),
        ],
        "objectives": [objective("o-icu", "icu"), objective("o-er", "er")],
        "objective_evaluations": evaluations,
        "results": results,
        "test_results": attempts,
    }


def figures(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    return {name: [figures_of(row) for row in rows(warehouse, name)] for name in DAILY_TABLES}


def figures_of(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in {"load_id", "loaded_at"}}


def expected(on: date, found: Content, groups: Iterable[str]) -> dict[str, Any]:
    def some(name: str) -> list[Any]:
        return [row for row in found[name] if row["group_id"] in groups]

    results, ends = some("results"), midnight(on, 1)
    last: dict[str, datetime | None] = {row["account_id"]: row["last_practiced_at"] for row in results}
    known = [row["proficiency"] for row in results if row["proficiency"] is not None]
    ended = [row for row in some("test_results") if row["completed_at"] and midnight(on) <= row["completed_at"] < ends]
    return {
        "export_date": on,
        "member_count": len({row["account_id"] for row in some("group_members") if row["status"] == "MEMBER"}),
        "learner_count": len(last),
        "learners_practiced": sum(at is not None and at >= midnight(on) for at in last.values()),
        "learners_practicing_7_days": sum(at is not None and at >= ends - 7 * timedelta(1) for at in last.values()),
        "learners_idle_30_days": sum(at is None or at < ends - 30 * timedelta(1) for at in last.values()),
        "learners_never_practiced": sum(at is None for at in last.values()),
        "result_count": len(known),
        "average_proficiency": pytest.approx(fmean(known)),
        "proficiency_deviation": pytest.approx(pstdev(known)),
        "tests_completed": len(ended) or None,
        "tests_passed": sum(bool(row["passed"]) for row in ended) if ended else None,
    }


def test_the_figures_are_those_of_the_rows_of_the_date(any_warehouse: Warehouse) -> None:
    found = content(day(3))
    load(any_warehouse, day(3), found)
    daily = figures(any_warehouse)
    assert daily["organization_daily"] == [expected(day(3), found, ("icu", "er"))]
    assert daily["group_daily"] == [{"group_id": of, **expected(day(3), found, (of,))} for of in ("er", "icu")]
    assert (daily["organization_daily"][0]["tests_completed"], daily["organization_daily"][0]["learner_count"]) == (
        1,
        5,
    )
    assert daily["group_objective_daily"] == [
        {
            "export_date": day(3),
            "group_id": of,
            "objective_id": f"o-{of}",
            "evaluated": evaluated,
            "met": met,
            "overdue": overdue,
            "minimum_proficiency": norm,
        }
        for of, evaluated, met, overdue, norm in (("er", 0, 0, 0, None), ("icu", 3, 1, 1, 73))
    ]


def publish(warehouse: Warehouse, number: int) -> None:
    """The fourth date has a closed group; the fifth an incomplete list of results."""
    found, plans = content(day(number)), {}
    if number == 4:
        for name in ("group_members", "results", "objective_evaluations", "test_results"):
            found[name] = [row for row in found[name] if row["group_id"] != "er"]
            plans[name] = TablePlan(unobserved_groups=frozenset({"er"}))
    if number == 5:
        found["results"] = found["results"][:5]
        plans["results"] = PARTIAL
    load(warehouse, day(number), found, plans=plans)


def test_the_order_of_loads_makes_no_difference(warehouse: Warehouse) -> None:
    found = []
    for order in [(3, 4, 5, 6), (3, 4, 3, 5, 4, 6), *permutations((6, 5, 4, 3))][:5]:
        sql(warehouse, *(f"DELETE FROM {{}}{name}" for name in tables_of(warehouse)))
        for number in order:
            publish(warehouse, number)
        found.append(figures(warehouse))
    assert found[1:] == found[:-1]
    of_groups = {(row["export_date"], row["group_id"]): row for row in found[0]["group_daily"]}
    assert len(of_groups) == 7
    assert (day(4), "er") not in of_groups
    assert of_groups[day(5), "icu"]["learner_count"] < of_groups[day(6), "icu"]["learner_count"]


def tables_of(warehouse: Warehouse) -> list[str]:
    names = sql(warehouse, "SELECT name FROM sqlite_master WHERE type = 'table'")
    return [name for (name,) in names if name not in {"loads", "view_definitions"}] + ["loads"]


def trends(warehouse: Warehouse) -> list[Any]:
    return [sorted(view(warehouse, name), key=repr) for name in ("group_compliance", "proficiency_trend")]


def test_a_load_of_selected_tables_or_after_a_prune_takes_no_figure_away(warehouse: Warehouse) -> None:
    for number in (3, 4):
        publish(warehouse, number)
    before, shown = figures(warehouse), trends(warehouse)
    found = content(day(3))
    load(warehouse, day(3), {name: found[name] for name in ("accounts", "groups", "group_members")}, all_tables=False)
    load(warehouse, day(3), {name: found[name] for name in ("accounts", "playables", "groups", "results")})
    assert figures(warehouse) == before
    assert warehouse.drop_snapshots(day(4)) == {"objective_evaluations": 5, "results": 16}
    load(warehouse, day(3), {"accounts": found["accounts"], "groups": found["groups"], "group_members": []},
         allow_mass_delete=True)  # fmt: skip
    assert figures(warehouse)["group_objective_daily"] == before["group_objective_daily"]
    for row, earlier in zip(figures(warehouse)["group_daily"], before["group_daily"], strict=True):
        gone = {"member_count": None} if row["export_date"] == day(3) else {}
        assert row == {**earlier, **gone}
    assert trends(warehouse) == shown


def test_a_date_of_which_only_evaluations_were_loaded_is_computed_once(warehouse: Warehouse) -> None:
    found = content(day(3))
    names = ("accounts", "groups", "objectives", "objective_evaluations")
    load(warehouse, day(3), {name: found[name] for name in names}, all_tables=False)
    assert len(figures(warehouse)["group_objective_daily"]) == 2
    assert statements(warehouse) == []


def test_a_load_that_is_refused_changes_no_figure(warehouse: Warehouse) -> None:
    publish(warehouse, 3)
    before = figures(warehouse)
    with pytest.raises(GuardRefused):
        load(warehouse, day(3), {**content(day(3)), "accounts": [], "group_members": []})
    assert figures(warehouse) == before


def test_figures_of_dates_that_an_older_version_has_loaded_are_computed_once(place: Place) -> None:
    with place.prepared() as older:
        for number in (3, 4, 5):
            load(older, day(number), content(day(number)))
        load(older, day(6), {"groups": [group("icu"), group("er"), group("empty")]})
        before = figures(older)
        for name in DAILY_TABLES:
            sql(older, f"DROP TABLE {{}}{name}{'' if place.schema is None else ' CASCADE'}")
        sql(older, "DELETE FROM {}view_definitions WHERE view_name IN ('group_compliance', 'proficiency_trend')")
    with Inspection(place.url, schema=place.schema) as inspection:
        assert f"rows of {', '.join(DAILY_TABLES)}" in inspection.state().additions
    with place.opened() as newer:
        assert statements(newer)
        after = figures(newer)
        assert statements(newer) == []
        assert after["group_objective_daily"] == before["group_objective_daily"]
        for name in ("group_daily", "organization_daily"):
            for row, earlier in zip(after[name], before[name], strict=True):
                # The attempts of the third date were judged on the fifth.
                judged = {"tests_passed": row["tests_completed"]} if row["export_date"] == day(3) else {}
                assert row == {**earlier, **judged}
        # A date that the older version has loaded since: it was put back for a night.
        sql(newer, *(f"DELETE FROM {{}}{name} WHERE export_date = '{day(4)}'" for name in DAILY_TABLES))
        sql(newer, f"UPDATE {{}}organization_daily SET learner_count = 0 WHERE export_date = '{day(5)}'")
        newer.prepare()
        (left_alone,) = (row for row in after["organization_daily"] if row["export_date"] == day(5))
        left_alone["learner_count"] = 0
        assert figures(newer) == after
