from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from drillster_pipeline.api.capture_summary import CaptureSummary
from drillster_pipeline.archive import UnitFooter
from drillster_pipeline.pipeline.guard import (
    read_gaps_of,
    requests_refused,
    table_load_types,
    unavailable_tables,
    unread_tables,
)
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES, Kind, tables_of
from drillster_pipeline.warehouse import LoadType, TablePlan

from .manifests import SNAPSHOT, manifest

ALL = tables_of("snapshot")
IN_GROUPS = ("group_members", "group_staff", "group_playables", "objectives", "objective_playables")
"""Entity tables whose rows belong to a group; ``groups`` itself aside."""
FULL, PARTIAL, ADDITIVE = LoadType.FULL, LoadType.PARTIAL, LoadType.ADDITIVE


def plans_of(*, selected: Collection[str] = ALL, **what: Any) -> dict[str, TablePlan]:
    return table_load_types(manifest(**what), "snapshot", selected)


def differing(plans: dict[str, TablePlan]) -> dict[str, TablePlan | None]:
    """The tables whose plan is not that of a capture that saw everything; None: not loaded at all. Events aside."""
    whole = plans_of()
    return {
        name: plans.get(name)
        for name in ALL
        if plans.get(name) != whole[name] and DATA_TABLES[name].kind is not Kind.EVENT
    }


def test_a_capture_that_saw_everything_lets_absence_mean_deletion_everywhere() -> None:
    assert plans_of() == {name: TablePlan() for name in ALL}


# A resource that could not be read at all. None: its table is not touched.
UNAVAILABLE: dict[tuple[str, ...], dict[str, LoadType | None]] = {
    ("organization",): {"organizations": None},
    ("accounts",): {"accounts": ADDITIVE, "account_external_ids": None},
    ("catalogs", "catalog_content"): {"catalogs": ADDITIVE, "catalog_playables": None},
    ("catalog_content",): {"catalog_playables": None},
    ("group_members", "results"): {"group_members": None, "results": None},
    ("group_staff",): {"group_staff": None},
    ("group_drillables",): {"group_playables": None, "playables": ADDITIVE},
    ("objectives", "objective_evaluations"): {
        "objectives": None,
        "objective_playables": None,
        "objective_evaluations": None,
    },
    ("objective_evaluations",): {"objective_evaluations": None},
    ("results",): {"results": None},
    ("test_results",): {},
    (
        "groups",
        "group_members",
        "group_staff",
        "group_drillables",
        "objectives",
        "objective_evaluations",
        "results",
        "test_results",
    ): {
        **dict.fromkeys(("groups", *IN_GROUPS, "objective_evaluations", "results")),
        "playables": ADDITIVE,
    },
}


@pytest.mark.parametrize(("resources", "expected"), UNAVAILABLE.items(), ids=lambda case: "+".join(case)[:40])
def test_the_tables_of_an_unavailable_resource_stay_and_no_other_loses_a_row_for_it(
    resources: tuple[str, ...], expected: dict[str, LoadType | None]
) -> None:
    plans = plans_of(unavailable=resources)
    changed = differing(plans)
    modes = {name: plan and plan.load_type for name, plan in changed.items()}
    # Whatever else differs only keeps what it knows in passing.
    assert {name: mode for name, mode in modes.items() if mode is not FULL} == expected
    assert all(plan.keep_referenced for plan in changed.values() if plan and plan.load_type is FULL)
    assert "test_results" not in plans if "test_results" in resources else "test_results" in plans


@pytest.mark.parametrize("resource", SNAPSHOT)
def test_what_is_only_met_in_passing_is_kept_where_a_place_to_meet_it_is_unavailable(resource: str) -> None:
    plans = plans_of(unavailable=[resource])
    for name, table in DATA_TABLES.items():
        if resource in table.secondary_sources and resource not in table.sources and name in plans:
            assert plans[name].keep_referenced or plans[name].load_type is ADDITIVE, name


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    ("resource", "unit", "tables"),
    [
        ("group_members", {"group_id": "g1"}, {"group_members"}),
        ("group_staff", {"group_id": "g1"}, {"group_staff"}),
        ("group_drillables", {"group_id": "g1"}, {"group_playables"}),
        ("objectives", {"group_id": "g1"}, {"objectives", "objective_playables"}),
        ("groups", {"group_id": "g1"}, {"groups", "group_playables"}),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_rows_of_one_group_stay_where_that_group_was_not_seen(
    resource: str, unit: dict[str, str], tables: set[str], status: int
) -> None:
    plans = plans_of(lost=[(resource, unit, status)])
    kept = {name for name, plan in plans.items() if plan.unobserved_groups}
    assert kept == tables
    assert all(plans[name] == TablePlan(unobserved_groups=frozenset({"g1"})) for name in tables)


@pytest.mark.parametrize(
    ("resource", "snapshots"),
    [
        ("group_members", {"results"}),
        ("objectives", {"objective_evaluations"}),
        ("objective_evaluations", {"objective_evaluations"}),
        ("results", {"results"}),
        ("group_staff", set()),
        ("group_drillables", set()),
    ],
)
def test_a_date_keeps_the_rows_that_an_earlier_capture_saw_in_a_group_that_is_closed_now(
    resource: str, snapshots: set[str]
) -> None:
    plans = plans_of(lost=[(resource, {"group_id": "g1"}, 403)])
    assert {name for name in ("results", "objective_evaluations") if plans[name].load_type is PARTIAL} == snapshots


def test_a_short_list_of_groups_proves_nothing_about_anything_in_groups() -> None:
    """The members of a group that was never listed were never asked for, however whole all other answers are."""
    plans = plans_of(short=[("groups", {})])
    modes = {name: plan.load_type for name, plan in plans.items() if DATA_TABLES[name].kind is not Kind.EVENT}
    untouched = {"organizations", "account_external_ids", "catalogs", "catalog_playables"}
    assert {name for name, mode in modes.items() if mode is FULL} == untouched | {"accounts"}
    assert plans["accounts"].keep_referenced
    assert modes["playables"] is PARTIAL


def test_a_short_list_of_catalogs_proves_nothing_about_their_content() -> None:
    plans = plans_of(short=[("catalogs", {})])
    assert plans["catalogs"].load_type is plans["catalog_playables"].load_type is PARTIAL
    assert plans["playables"].keep_referenced
    assert plans["groups"] == TablePlan()


def test_a_short_list_of_accounts_proves_nothing_about_who_is_not_on_it() -> None:
    plans = plans_of(short=[("accounts", {})])
    assert plans["accounts"].load_type is PARTIAL
    assert plans["account_external_ids"].load_type is PARTIAL
    assert plans["group_members"] == TablePlan()


@pytest.mark.parametrize(
    ("resource", "unit"),
    [("group_members", {"group_id": "g2"}), ("group_drillables", {"group_id": "g2"})],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_a_list_that_is_short_in_one_group_costs_no_deletion_in_the_others(resource: str, unit: dict[str, str]) -> None:
    plans = plans_of(short=[(resource, unit)])
    table = {"group_members": "group_members", "group_drillables": "group_playables"}[resource]
    assert plans[table] == TablePlan(unobserved_groups=frozenset({"g2"}))


def test_a_short_list_of_members_hides_results_too() -> None:
    assert plans_of(short=[("group_members", {"group_id": "g2"})])["results"].load_type is PARTIAL


def test_a_group_that_is_closed_and_no_longer_listed_keeps_all_its_rows() -> None:
    unit = {"group_id": "g9"}
    plans = plans_of(lost=[("groups", unit, 403)], closed=["g9"])
    for name in ("groups", *IN_GROUPS):
        assert plans[name] == TablePlan(unobserved_groups=frozenset({"g9"})), name
    assert plans["accounts"].keep_referenced
    assert plans["playables"].load_type is PARTIAL or plans["playables"].keep_referenced
    assert plans["results"].load_type is plans["objective_evaluations"].load_type is PARTIAL


def test_a_group_that_is_gone_loses_its_rows() -> None:
    unit = {"group_id": "g9"}
    assert plans_of(lost=[("groups", unit, 404)], gone=["g9"]) == plans_of()


def test_a_group_that_vanishes_between_listing_and_reading_loses_its_rows() -> None:
    lost = [(name, {"group_id": "g1"}, 404) for name in ("groups", "group_members", "group_staff", "objectives")]
    assert plans_of(lost=lost, gone=["g1"]) == plans_of()


def test_a_group_that_is_both_gone_and_closed_proves_nothing() -> None:
    lost = [("groups", {"group_id": "g1"}, 404), ("group_members", {"group_id": "g1"}, 403)]
    plans = plans_of(lost=lost, gone=["g1"], closed=["g1"])
    assert plans["groups"].unobserved_groups == plans["group_members"].unobserved_groups == {"g1"}


def test_staff_that_nobody_may_see_costs_no_deletion_of_groups_or_members() -> None:
    """One missing permission is no reason to keep everything for ever."""
    plans = plans_of(unavailable=["group_staff"], closed=[])
    assert plans["groups"] == plans["group_members"] == plans["objectives"] == TablePlan()
    assert "group_staff" not in plans


def test_a_catalog_that_is_closed_keeps_all_rows_of_catalogs() -> None:
    plans = plans_of(lost=[("catalog_content", {"catalog_id": "c1"}, 403)])
    assert plans["catalog_playables"].load_type is PARTIAL
    assert plans["playables"].keep_referenced
    assert plans["group_playables"] == TablePlan()


@pytest.mark.parametrize("name", ALL)
def test_a_table_alone_brings_what_it_refers_to_and_changes_nothing_of_that(name: str) -> None:
    plans = plans_of(selected=[name])
    assert plans[name] == TablePlan()
    assert all(plan.load_type is ADDITIVE for other, plan in plans.items() if other != name)
    for loaded in plans:
        for column in DATA_TABLES[loaded].columns:
            parent = (column.references or "").split(".")[0]
            assert parent in plans or parent not in DATA_TABLES


def test_tables_come_parents_first_whatever_the_order_of_the_selection() -> None:
    plans = plans_of(selected=["results", "objective_evaluations", "accounts"])
    assert list(plans) == [name for name in DATA_TABLES if name in plans]


def test_events_add_people_and_change_nothing_of_them() -> None:
    found = table_load_types(manifest(resources=["objective_events"]), "events", tables_of("events"))
    assert found == {"accounts": TablePlan(load_type=ADDITIVE), "objective_events": TablePlan()}


def test_unavailable_tables_say_which_resource_and_why() -> None:
    found = unavailable_tables(manifest(unavailable=["group_staff"]), ALL)
    assert found == {"group_staff": "group_staff: no permission (403)"}


@pytest.mark.parametrize(
    ("what", "unread"),
    [
        ({}, {}),
        ({"lost": [("objectives", {"group_id": "g1"}, 403), ("results", {"group_id": "g2"}, 404)]}, {}),
        ({"lost": [("group_staff", {"group_id": "g1"}, 503)]}, {"group_staff": False}),
        ({"short": [("group_staff", {"group_id": "g1"})]}, {"group_staff": False}),
        ({"unavailable": ["group_staff"]}, {"group_staff": True}),
        ({"unavailable": ["catalogs", "catalog_content"]}, {"catalogs": True, "catalog_playables": True}),
        (
            {"unavailable": ["catalogs", "catalog_content"], "lost": [("catalogs", {}, 502)]},
            {"catalogs": False, "catalog_playables": False},
        ),
        (
            {"short": [("objectives", {"group_id": "g1"})]},
            dict.fromkeys(
                (
                    "objectives",
                    "objective_playables",
                    "objective_evaluations",
                    "test_results",
                    "test_result_scores",
                    "test_result_drills",
                ),
                False,
            ),
        ),
    ],
    ids=["all", "closed", "no answer", "short", "refused", "refused with its list", "list failed", "short list"],
)
def test_what_was_not_read_is_told_apart_from_what_is_closed(what: dict[str, Any], unread: dict[str, bool]) -> None:
    assert unread_tables(manifest(**what), ALL) == unread


def test_refused_requests_are_counted_but_not_those_of_a_group_that_is_gone() -> None:
    lost = [("objectives", {"group_id": "g1"}, 403), ("groups", {"group_id": "g9"}, 404), ("results", {}, 500)]
    assert requests_refused(manifest(lost=lost, gone=["g9"])) == 1


def test_holes_are_told_in_words_without_more_than_ids() -> None:
    what = manifest(
        lost=[("objectives", {"group_id": "g1"}, 403)],
        short=[("groups", {}), ("group_members", {"group_id": "g2"})],
    )
    assert [str(hole) for hole in read_gaps_of(DATA_TABLES["objectives"], what)] == [
        "objectives of group g1: 403",
        "groups list: 5 of 50",
    ]
    assert [str(hole) for hole in read_gaps_of(DATA_TABLES["results"], what)] == [
        "group_members of group g2: 5 of 50",
        "groups list: 5 of 50",
    ]


@pytest.mark.parametrize("resource", [name for name, each in RESOURCES.items() if each.parents])
def test_a_resource_is_unavailable_where_the_lists_that_lead_to_it_are(resource: str) -> None:
    summary = CaptureSummary()
    for parent in RESOURCES[resource].parents:
        summary.add(parent, {}, 0, UnitFooter(0, None, status=403))
    assert summary.manifest((resource,))[resource]["status"] == "unavailable"
