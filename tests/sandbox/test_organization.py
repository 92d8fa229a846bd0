"""The organization follows from a seed and a moment, and does not contradict itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from drillster_pipeline.sandbox.draws import DAY
from drillster_pipeline.sandbox.organization import Snapshot
from tests.drillster import Organization, Size

START = datetime(2026, 2, 1, 0, 30, tzinfo=UTC)


def everything(snapshot: Snapshot, backwards: bool) -> list[Any]:
    """All that is answered about a moment; what is answered first differs, the order of the answers does not."""
    calls: list[Callable[[], Any]] = [snapshot.accounts().all]
    for group in snapshot.present_groups():
        calls += [partial(snapshot.group_detail, group), snapshot.members(group).all]
        calls += [partial(snapshot.group_staff, group)]
        for objective in snapshot.objectives(group):
            events = snapshot.events(objective, snapshot.moment - 30 * DAY, snapshot.moment)
            calls += [partial(snapshot.objective, objective), snapshot.evaluations(objective).all, events.all]
        calls += [snapshot.results(group, membership).all for membership in snapshot.memberships(group)]
        calls += [partial(snapshot.test_results, group, test) for test in group.tests]
    if backwards:
        return [call() for call in reversed(calls)][::-1]
    return [call() for call in calls]


def test_an_answer_is_the_same_whatever_was_answered_before() -> None:
    moments = [START + timedelta(days=day) for day in (0, 1, 400)]
    first, second = (Organization(Size(accounts=20), 3) for _ in range(2))
    found = [everything(first.at(moment), backwards=False) for moment in moments]
    assert sum(map(len, found)) > 200
    assert [everything(second.at(moment), backwards=True) for moment in reversed(moments)] == found[::-1]


def ids_of(snapshot: Snapshot) -> set[str]:
    return {item["account"]["id"] for item in snapshot.accounts().all()}


def test_an_organization_follows_from_its_seed_and_changes_every_quarter_of_an_hour() -> None:
    one, other = (Organization(Size(accounts=30), seed) for seed in (1, 2))
    assert not ids_of(one.at(START)) & ids_of(other.at(START))
    moment = START.replace(minute=17)
    assert one.at(moment) is one.at(moment + timedelta(minutes=12, seconds=59))
    assert one.at(moment) is not one.at(moment + timedelta(minutes=13))
    before = one.at(datetime(2023, 12, 1, tzinfo=UTC))
    assert (before.accounts().all(), before.present_groups()) == ([], ())
    assert len(ids_of(one.at(datetime(2029, 12, 1, tzinfo=UTC)))) > 20


@pytest.fixture(scope="module")
def days() -> list[Snapshot]:
    """A hundred days of an organization of 60."""
    organization = Organization(Size(accounts=60), 7)
    return [organization.at(START + timedelta(days=day)) for day in range(100)]


def changes(values: list[Any]) -> int:
    return sum(before != after for before, after in itertools.pairwise(values))


def test_members_are_accounts_of_ours_or_guests(days: list[Snapshot]) -> None:
    guests = 0
    for snapshot in days[::20]:
        ours = ids_of(snapshot)
        for group in snapshot.present_groups():
            for user in (item["member"] for item in snapshot.members(group).all() if "id" in item["member"]):
                guests += "organization" in user
                assert (user["id"] in ours) != ("organization" in user), "guests are not accounts of ours"
            assert {staff["user"]["id"] for staff in snapshot.group_staff(group)} <= ours
    assert guests


def test_a_stable_organization_has_exactly_the_size_it_was_given() -> None:
    size = Size(
        accounts=102, groups=7, members_per_group=30, drillables_per_group=20, objectives_per_group=2,
        tests_per_group=1, stable=True,
    )  # fmt: skip
    organization = Organization(size, 7)
    snapshots = [organization.at(START), organization.at(START + timedelta(days=300))]
    assert snapshots[0].present_groups() == snapshots[1].present_groups()
    assert len(snapshots[0].present_groups()) == 7
    for snapshot in snapshots:
        assert len(snapshot.accounts().things) == 102
        for group in snapshot.present_groups():
            assert snapshot.group(group)["counts"] == {"members": 30, "drillables": 20, "tests": 1}
            assert len(snapshot.memberships(group)) == 30
            assert len({thing.id for thing in snapshot.drillables(group)}) == 20
            assert len(snapshot.objectives(group)) == 2


def test_changes_of_days_and_at_a_quick_pace_of_months_are_there(days: list[Snapshot]) -> None:
    people = [ids_of(snapshot) for snapshot in days]
    assert sum(len(after - before) for before, after in itertools.pairwise(people)) >= 5, "accounts are added"
    assert sum(len(before - after) for before, after in itertools.pairwise(people)) >= 5, "accounts are removed"
    assert changes([{group.id for group in snapshot.present_groups()} for snapshot in days]) >= 3
    drills = [{(g.id, thing.id) for g in one.present_groups() for thing in one.drillables(g)} for one in days]
    assert 5 <= changes(drills) < 90, "drills are added and removed, though not every day"
    statuses = [{item["account"].get("status") for item in one.accounts().all()} for one in days]
    assert set.union(*statuses) >= {"ACTIVE", "SUSPENDED"}
    organization = Organization(Size(accounts=30, groups=9, pace=8), 7)
    quick = [organization.at(START + timedelta(days=day)) for day in range(60)]
    assert {tuple(catalog.number for catalog in one.catalogs()) for one in quick} >= {(0, 1), (0,), (1,)}
    assert changes([{organization.drillable(number, one.moment).name for number in range(10)} for one in quick]) > 5


def test_every_kind_of_member_objective_and_attempt_is_there(days: list[Snapshot]) -> None:
    groups = [(snapshot, group) for snapshot in days[::20] for group in snapshot.present_groups()]
    members = [member for snapshot, group in groups for member in snapshot.members(group).all()]
    assert {("joined" in one, "id" in one["member"]) for one in members} == {
        (True, True),
        (False, True),
        (False, False),
    }
    objectives = [snapshot.objective(one) for snapshot, group in groups for one in snapshot.objectives(group)]
    assert {one["type"] for one in objectives} == {"ONEOFF", "PERMANENT", "RECURRING", "TEST"}
    assert {"reviewDate" in one for one in objectives if one["type"] == "PERMANENT"} == {True, False}
    taken = [item for snapshot, group in groups for test in group.tests for item in snapshot.test_results(group, test)]
    assert {min(len(one["testResults"]), 2) for one in taken} == {0, 1, 2}
    scores = [one.get("score") for item in taken for one in item["testResults"]]
    assert {score and score["transformations"][1]["passed"] for score in scores} == {None, True, False}


def test_events_explain_the_difference_between_two_evaluations(days: list[Snapshot]) -> None:
    before, after = days[0], days[60]
    flips: dict[tuple[str, str], list[bool]] = {}
    met: list[dict[tuple[str, str, int], bool]] = []
    for snapshot in (before, after):
        met.append({})
        for objective in (one for group in snapshot.present_groups() for one in snapshot.objectives(group)):
            learners = snapshot.learners(objective.group)
            for membership, item in zip(learners, snapshot.evaluations(objective).all(), strict=True):
                met[-1][objective.id, item["user"]["id"], membership.joined] = item["met"]
            for event in snapshot.events(objective, before.moment + 1, after.moment + 1).all() if met[1:] else ():
                is_met = event["eventType"] == "OBJECTIVE_BECAME_OK"
                flips.setdefault((objective.id, event["user"]["id"]), []).append(is_met)
    both = met[0].keys() & met[1].keys()
    assert any(key[:2] in flips for key in both)
    for key in both:
        turns = [met[0][key], *flips.get(key[:2], [])]
        assert turns[-1] == met[1][key], key
        assert all(one != other for one, other in itertools.pairwise(turns)), key
