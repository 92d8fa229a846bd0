"""How each table of a capture may be published, by what its manifest says was read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

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

SNAPSHOT = tuple(name for name in RESOURCES if name != "objective_events")
ALL = tables_of("snapshot")
G1, G9 = {"group_id": "g1"}, {"group_id": "g9"}
TESTS = ("test_results", "test_result_scores", "test_result_drills")


def manifest(
    *,
    unavailable: str = "",
    lost: Iterable[tuple[str, dict[str, str], int]] = (),
    short: Iterable[tuple[str, dict[str, str]]] = (),
    closed: Iterable[str] = (),
    gone: Iterable[str] = (),
    resources: Iterable[str] = SNAPSHOT,
) -> dict[str, Any]:
    """A manifest in which everything was read, but for what is named."""
    entries: dict[str, dict[str, Any]] = {name: {"status": "captured", "lost": [], "short": []} for name in resources}
    for name in unavailable.split():
        entries[name] |= {"status": "unavailable", "why": "no permission (403)"}
    for name, unit, status in lost:
        entries[name]["lost"].append({"unit": unit, "status": status})
    for name, unit in short:
        entries[name]["short"].append({"unit": unit, "items": 5, "expected": 50})
    groups = {"listed": ["g1", "g2", "g3"], "closed": list(closed), "gone": list(gone)}
    return {"resources": entries, "groups": groups}


def plans_of(*, selected: Collection[str] = ALL, **what: Any) -> dict[str, TablePlan]:
    return table_load_types(manifest(**what), "snapshot", selected)


def in_short(plan: TablePlan | None) -> str:
    """A plan in a few words; ``+``: what the table refers to in passing is kept."""
    if plan is None:
        return "-"
    kept = [f"but {group}" for group in sorted(plan.unobserved_groups)]
    return " ".join([str(plan.load_type), *kept]) + "+" * plan.keep_referenced


# What was not read, and the tables whose plan differs from that of a complete capture; "-": not loaded at all.
READ_GAPS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "nothing": ({}, {}),
    "the organization": ({"unavailable": "organization"}, {"organizations": "-"}),
    "accounts": ({"unavailable": "accounts"}, {"accounts": "additive", "account_external_ids": "-"}),
    "accounts to the end": ({"short": [("accounts", {})]}, {"accounts account_external_ids": "partial"}),
    "catalogs": (
        {"unavailable": "catalogs catalog_content"},
        {"playables": "full+", "catalogs": "additive", "catalog_playables": "-"},
    ),
    "catalogs to the end": (
        {"short": [("catalogs", {})]},
        {"playables": "full+", "catalogs": "partial+", "catalog_playables": "partial"},
    ),
    "the content of catalogs": (
        {"unavailable": "catalog_content"},
        {"playables catalogs": "full+", "catalog_playables": "-"},
    ),
    "the content of one catalog": (
        {"lost": [("catalog_content", {"catalog_id": "c1"}, 403)]},
        {"playables catalogs": "full+", "catalog_playables": "partial"},
    ),
    "members of one group": (
        {"lost": [("group_members", G1, 404)]},
        {"accounts playables": "full+", "group_members": "full but g1", "results": "partial"},
    ),
    "staff of one group": ({"lost": [("group_staff", G1, 403)]}, {"accounts": "full+", "group_staff": "full but g1"}),
    "drillables": ({"unavailable": "group_drillables"}, {"playables": "additive", "group_playables": "-"}),
    "drillables of one group": (
        {"lost": [("group_drillables", G1, 403)]},
        {"playables": "partial", "group_playables": "full but g1"},
    ),
    "objectives of one group": (
        {"lost": [("objectives", G1, 403)]},
        {
            "accounts playables": "full+",
            "objectives objective_playables": "full but g1",
            "objective_evaluations": "partial+",
        },
    ),
    "evaluations of one group": (
        {"lost": [("objective_evaluations", G1, 403)]},
        {"accounts": "full+", "objective_evaluations": "partial"},
    ),
    "results of one group": (
        {"lost": [("results", G1, 403)]},
        {"accounts playables": "full+", "results": "partial"},
    ),
    "tests": ({"unavailable": "test_results"}, {"accounts playables": "full+", " ".join(TESTS): "-"}),
    "groups": (
        {
            "unavailable": "groups group_members group_staff group_drillables objectives objective_evaluations results "
            "test_results"
        },
        {
            "accounts": "full+",
            "playables": "additive",
            "groups group_members group_staff group_playables objectives objective_playables": "-",
            f"objective_evaluations results {' '.join(TESTS)}": "-",
        },
    ),
    "groups to the end": (
        {"short": [("groups", {})]},
        {
            "accounts": "full+",
            "groups group_members group_staff group_playables objectives objective_playables results": "partial",
            "playables objective_evaluations": "partial+",
        },
    ),
    "one group itself": (
        {"lost": [("groups", G1, 403)]},
        {"groups group_playables": "full but g1", "playables": "full+"},
    ),
    "one group that is closed and no longer listed": (
        {"lost": [("groups", G9, 403)], "closed": ["g9"]},
        {
            "accounts": "full+",
            "groups group_members group_staff group_playables objectives objective_playables": "full but g9",
            "playables objective_evaluations": "partial+",
            "results": "partial",
        },
    ),
    "one group that is gone": ({"lost": [("groups", G9, 404)], "gone": ["g9"]}, {}),
    "one group that is gone since it was listed": (
        {"lost": [(name, G1, 404) for name in ("groups", "group_members", "group_staff")], "gone": ["g1"]},
        {},
    ),
    "one group that is gone and closed": (
        {"lost": [("groups", G1, 404), ("group_members", G1, 403)], "gone": ["g1"], "closed": ["g1"]},
        {
            "accounts playables": "full+",
            "groups group_members group_playables": "full but g1",
            "results": "partial",
        },
    ),
}


@pytest.mark.parametrize(("what", "expected"), READ_GAPS.values(), ids=READ_GAPS)
def test_absence_is_deletion_but_where_a_capture_has_not_read(what: dict[str, Any], expected: dict[str, str]) -> None:
    load_types = plans_of(**what)
    differing = {
        name: in_short(load_types.get(name))
        for name in ALL
        if load_types.get(name) != TablePlan() and (name not in load_types or DATA_TABLES[name].kind is not Kind.EVENT)
    }
    assert differing == {name: plan for names, plan in expected.items() for name in names.split()}


def test_a_table_alone_brings_what_it_refers_to_parents_first_and_only_adds_to_that() -> None:
    for name in ALL:
        load_types = plans_of(selected=[name])
        assert load_types[name] == TablePlan(), name
        assert all(plan.load_type is LoadType.ADDITIVE for other, plan in load_types.items() if other != name), name
        assert list(load_types) == [known for known in DATA_TABLES if known in load_types], name
        for loaded in load_types:
            parents = {(column.references or "").split(".")[0] for column in DATA_TABLES[loaded].columns}
            assert parents & DATA_TABLES.keys() <= load_types.keys(), name


def test_events_add_people_and_change_nothing_of_them() -> None:
    found = table_load_types(manifest(resources=["objective_events"]), "events", tables_of("events"))
    assert found == {"accounts": TablePlan(load_type=LoadType.ADDITIVE), "objective_events": TablePlan()}


@pytest.mark.parametrize(
    ("what", "unread"),
    [
        ({}, {}),
        ({"lost": [("objectives", G1, 403), ("results", {"group_id": "g2"}, 404)]}, {}),
        ({"lost": [("group_staff", G1, 503)]}, {"group_staff": False}),
        ({"short": [("group_staff", G1)]}, {"group_staff": False}),
        ({"unavailable": "group_staff"}, {"group_staff": True}),
        ({"unavailable": "catalogs catalog_content"}, {"catalogs": True, "catalog_playables": True}),
        (
            {"unavailable": "catalogs catalog_content", "lost": [("catalogs", {}, 502)]},
            {"catalogs": False, "catalog_playables": False},
        ),
        (
            {"short": [("objectives", G1)]},
            dict.fromkeys(("objectives", "objective_playables", "objective_evaluations", *TESTS), False),
        ),
    ],
    ids=["all", "closed", "no answer", "short", "refused", "refused with its list", "list failed", "short list"],
)
def test_what_was_not_read_is_distinguished_from_what_is_closed(what: dict[str, Any], unread: dict[str, bool]) -> None:
    assert unread_tables(manifest(**what), ALL) == unread


def test_refused_requests_are_counted_but_not_those_of_a_group_that_is_gone() -> None:
    lost = [("objectives", G1, 403), ("groups", G9, 404), ("results", {}, 500)]
    assert requests_refused(manifest(lost=lost, gone=["g9"])) == 1


def test_gaps_are_reported_by_ids_and_numbers_alone() -> None:
    what = manifest(lost=[("objectives", G1, 403)], short=[("groups", {}), ("group_members", {"group_id": "g2"})])
    words = {name: [str(gap) for gap in read_gaps_of(DATA_TABLES[name], what)] for name in ("objectives", "results")}
    assert words == {
        "objectives": ["objectives of group g1: 403", "groups list: 5 of 50"],
        "results": ["group_members of group g2: 5 of 50", "groups list: 5 of 50"],
    }
    unavailable = unavailable_tables(manifest(unavailable="group_staff"), ALL)
    assert unavailable == {"group_staff": "group_staff: no permission (403)"}
