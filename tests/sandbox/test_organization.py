"""The organization follows from a seed and a moment, and does not contradict itself."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drillster_pipeline.sandbox.draws import DAY, iso
from drillster_pipeline.sandbox.organization import Snapshot
from tests.drillster import Organization, Size

START = datetime(2026, 2, 1, 0, 30, tzinfo=UTC)


def answers(organization: Organization, moment: datetime) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything that can be answered about a moment, as things to call."""
    snapshot, name = organization.at(moment), moment.isoformat()
    yield f"{name} accounts", snapshot.accounts().all
    for group in snapshot.present_groups():
        where = f"{name} {group.id}"
        yield f"{where} detail", lambda group=group: snapshot.group_detail(group)
        yield f"{where} members", snapshot.members(group).all
        yield f"{where} staff", lambda group=group: snapshot.group_staff(group)
        for objective in snapshot.objectives(group):
            yield f"{where} {objective.id}", lambda objective=objective: snapshot.objective(objective)
            yield f"{where} {objective.id} evaluations", snapshot.evaluations(objective).all
            yield (
                f"{where} {objective.id} events",
                lambda one=objective: snapshot.events(one, snapshot.moment - 30 * DAY, snapshot.moment).all(),
            )
        for membership in snapshot.memberships(group):
            yield f"{where} {membership.stay.id}", snapshot.results(group, membership).all
        for test in group.tests:
            yield f"{where} {test.id}", lambda group=group, test=test: snapshot.test_results(group, test)


def test_an_answer_is_the_same_whatever_was_answered_before() -> None:
    moments = [START + timedelta(days=day) for day in (0, 1, 400)]
    first = Organization(Size(accounts=20), 3)
    found = {name: render() for moment in moments for name, render in answers(first, moment)}
    second = Organization(Size(accounts=20), 3)
    shuffled = [one for moment in reversed(moments) for one in answers(second, moment)]
    random.Random(5).shuffle(shuffled)
    assert len(shuffled) > 200
    for name, render in shuffled:
        assert render() == found[name], name


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


def test_days_differ_as_they_would(days: list[Snapshot]) -> None:
    people = [ids_of(snapshot) for snapshot in days]
    assert sum(len(after - before) for before, after in itertools.pairwise(people)) >= 5, "people join"
    assert sum(len(before - after) for before, after in itertools.pairwise(people)) >= 5, "people leave"
    groups = [{group.id for group in snapshot.present_groups()} for snapshot in days]
    assert changes(groups) >= 3, "groups come and go"
    lasting = set.intersection(*groups)
    names = [
        [group.name(snapshot.moment) for group in snapshot.present_groups() if group.id in lasting] for snapshot in days
    ]
    assert 1 <= changes(names) < 50, "groups are renamed, though not every day"
    drills = [{(g.id, thing.id) for g in one.present_groups() for thing in one.drillables(g)} for one in days]
    assert 5 <= changes(drills) < 90, "drills come and go, though not every day"
    accounts = [{item["account"]["id"]: item["account"].get("status") for item in one.accounts().all()} for one in days]
    turns = {
        (before.get(id_), status)
        for before, after in itertools.pairwise(accounts)
        for id_, status in after.items()
        if before.get(id_) != status
    }
    assert turns >= {("ACTIVE", "SUSPENDED"), ("SUSPENDED", "ACTIVE"), (None, "ACTIVE")}


def test_groups_count_and_name_what_their_lists_have(days: list[Snapshot]) -> None:
    guests = 0
    for snapshot in days[::20]:
        ours = ids_of(snapshot)
        for group in snapshot.present_groups():
            counts, members = snapshot.group(group)["counts"], snapshot.members(group).all()
            assert counts["members"] == sum("joined" in member for member in members)
            assert counts["drillables"] == len({thing.id for thing in snapshot.drillables(group)})
            assert counts["tests"] == len(snapshot.group_detail(group).get("tests", []))
            for user in (member["member"] for member in members if "id" in member["member"]):
                guests += "organization" in user
                assert (user["id"] in ours) != ("organization" in user), "guests are not accounts of ours"
            assert {staff["user"]["id"] for staff in snapshot.group_staff(group)} <= ours
    assert guests


def test_there_are_invitees_with_and_without_an_account(days: list[Snapshot]) -> None:
    members = [m for one in days[::10] for group in one.present_groups() for m in one.members(group).all()]
    invitees = [member for member in members if "joined" not in member]
    assert {"id" in invitee["member"] for invitee in invitees} == {True, False}
    assert all(invitee["status"] == "invited" and invitee["invited"] for invitee in invitees)
    assert all(invitee["member"]["emailAddress"] for invitee in invitees if "id" not in invitee["member"])


def test_objectives_are_of_all_four_types_with_common_and_own_review_dates(days: list[Snapshot]) -> None:
    found = {
        (objective.type, "reviewDate" in snapshot.objective(objective))
        for snapshot in days[::20]
        for group in snapshot.present_groups()
        for objective in snapshot.objectives(group)
    }
    assert {type_ for type_, _ in found} == {"ONEOFF", "PERMANENT", "RECURRING", "TEST"}
    assert {("PERMANENT", True), ("PERMANENT", False), ("ONEOFF", True), ("TEST", False), ("RECURRING", True)} <= found


def standings(snapshot: Snapshot) -> dict[tuple[str, str, int], bool]:
    """Whether each member meets each objective; who came back in the meantime counts as somebody new."""
    return {
        (objective.id, item["user"]["id"], membership.joined): item["met"]
        for group in snapshot.present_groups()
        for objective in snapshot.objectives(group)
        for membership, item in zip(snapshot.learners(group), snapshot.evaluations(objective).all(), strict=True)
    }


@pytest.mark.parametrize("elapsed", [1, 60])
def test_events_explain_the_difference_between_two_evaluations(days: list[Snapshot], elapsed: int) -> None:
    before, after = days[0], days[elapsed]
    was, is_ = standings(before), standings(after)
    flips: dict[tuple[str, str], list[bool]] = {}
    for group in after.present_groups():
        for objective in after.objectives(group):
            for event in after.events(objective, before.moment + 1, after.moment + 1).all():
                ok = event["eventType"] == "OBJECTIVE_BECAME_OK"
                flips.setdefault((objective.id, event["user"]["id"]), []).append(ok)
    both = was.keys() & is_.keys()
    assert len(both) > 100
    for key in both:
        changed = flips.get(key[:2], [])
        assert (changed[-1] if changed else was[key]) == is_[key], key
        assert all(one != other for one, other in itertools.pairwise([was[key], *changed])), key
    assert elapsed == 1 or any(key[:2] in flips for key in both), "otherwise there was nothing to explain"
    for key in is_.keys() - was.keys():
        assert is_[key] == (flips.get(key[:2]) or [False])[-1]


def test_evaluations_agree_with_the_results_of_the_same_moment(days: list[Snapshot]) -> None:
    compared = 0
    for snapshot in days[::40]:
        for group in snapshot.present_groups():
            results = {
                (one.stay.id, item["drillable"]["id"]): item["proficiency"]["overall"]
                for one in snapshot.learners(group)
                for item in snapshot.results(group, one).all()
            }
            for objective in (one for one in snapshot.objectives(group) if one.type == "PERMANENT"):
                norm = objective.norm(snapshot.moment)
                for item in snapshot.evaluations(objective).all():
                    parts = {
                        one["playable"]["id"]: one["playableResultStatus"]["proficiency"]
                        for one in item["playableEvaluations"]
                    }
                    assert item["proficiency"] == min(parts.values())
                    assert item["met"] or item["proficiency"] < norm.minimum
                    assert not item["met"] or item["proficiency"] >= (norm.falling or norm.minimum)
                    for drill, level in parts.items():
                        assert results.get((item["user"]["id"], drill), level) == level
                        compared += 1
    assert compared > 100


def test_the_highest_proficiency_rises_in_the_course_of_time(days: list[Snapshot]) -> None:
    group = days[0].present_groups()[0]
    staying = [one for one in days[0].learners(group) if one in days[80].learners(group)]
    early, late = (
        [
            item.get("highestProficiency", {}).get("overall", 0)
            for one in staying
            for item in day.results(group, one).all()
        ]
        for day in (days[0], days[80])
    )
    assert len(staying) > 3
    assert sum(early) / len(early) < sum(late) / len(late)


def test_windows_of_events_add_up_and_are_remembered_as_they_were(days: list[Snapshot]) -> None:
    early, late, total = days[10], days[40], 0
    start, middle, stop = early.moment - 60 * DAY, early.moment - 21 * DAY, early.moment
    for objective in (one for group in late.present_groups() for one in late.objectives(group)):
        events = late.events(objective, start, stop).all()
        parts = late.events(objective, start, middle).all() + late.events(objective, middle, stop).all()
        assert parts == events == sorted(events, key=lambda event: event["timestamp"])
        if early.find_objective(objective.id) is not None:
            then = early.events(objective, start, stop).all()
            assert [one["eventId"] for one in then] == [one["eventId"] for one in events]
        total += len(events)
    assert total > 20


def attempts_of(snapshot: Snapshot) -> list[list[dict[str, Any]]]:
    return [
        item["testResults"]
        for group in snapshot.present_groups()
        for test in group.tests
        for item in snapshot.test_results(group, test)
    ]


def test_tests_have_several_attempts_of_every_kind_which_stay_what_they_were(days: list[Snapshot]) -> None:
    assert {min(len(one), 2) for one in attempts_of(days[50])} == {0, 1, 2}
    early, late = ({one["id"]: one for part in attempts_of(days[day]) for one in part} for day in (0, 50))
    common = early.keys() & late.keys()
    assert len(common) > 20
    assert late.keys() - early.keys()
    assert all(early[id_]["started"] == late[id_]["started"] for id_ in common)
    assert max(one.get("completed", one["started"]) for one in early.values()) <= iso(days[0].moment)
    scores = [attempt["score"]["transformations"][1]["passed"] for attempt in late.values() if "score" in attempt]
    assert set(scores) == {True, False}
    assert {("completed" in one, "score" in one) for one in late.values()} >= {(False, False), (True, True)}


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


def test_at_a_quick_pace_what_takes_months_happens_within_weeks() -> None:
    organization = Organization(Size(accounts=30, groups=9, pace=8), 7)
    snapshots = [organization.at(START + timedelta(days=day)) for day in range(60)]
    people = [ids_of(snapshot) for snapshot in snapshots]
    joined = [after - before for before, after in itertools.pairwise(people)]
    left = [before - after for before, after in itertools.pairwise(people)]
    assert sum(map(len, joined)) > 30
    assert set.union(*joined[20:]) & set.union(*left[:20]), "accounts come back"
    catalogs = {tuple(catalog.number for catalog in one.catalogs()) for one in snapshots}
    assert catalogs >= {(0, 1), (0,), (1,)}, "catalogs come and go"
    names = [{organization.drillable(number, one.moment).name for number in range(10)} for one in snapshots]
    assert changes(names) > 5, "drills are renamed"
