"""The organization is a pure function of a seed and a moment, and does not contradict itself."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drillster_pipeline.sandbox.calendar import DAY, MINUTE, milliseconds
from drillster_pipeline.sandbox.snapshot import Snapshot
from tests.drillster import Organization, Size

START = datetime(2026, 2, 1, 0, 30, tzinfo=UTC)


def questions(organization: Organization, moment: datetime) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything that can be asked about a moment, as things to call."""
    snapshot = organization.at(moment)
    name = moment.isoformat()
    yield f"{name} accounts", snapshot.accounts().all
    for group in snapshot.present_groups():
        where = f"{name} {group.id}"
        yield f"{where} detail", lambda group=group: snapshot.group_detail(group)
        yield f"{where} members", snapshot.members(group).all
        yield f"{where} staff", lambda group=group: snapshot.group_staff(group)
        for objective in snapshot.objectives(group):
            yield f"{where} {objective.id}", lambda objective=objective: snapshot.objective(objective)
            yield f"{where} {objective.id} evaluations", snapshot.evaluations(objective).all
            window = snapshot.events(objective, snapshot.moment - 30 * DAY, snapshot.moment)
            yield f"{where} {objective.id} events", window.all
        for membership in snapshot.memberships(group):
            yield f"{where} {membership.reference}", snapshot.results(group, membership).all
        for test in snapshot.tests(group):
            yield f"{where} {test.id}", lambda group=group, test=test: snapshot.test_results(group, test)


def test_the_same_question_has_the_same_answer_whatever_was_asked_before() -> None:
    moments = [START + timedelta(days=day) for day in (0, 1, 45, 400)]
    first = Organization(Size(accounts=30), 3)
    answers = {name: ask() for moment in moments for name, ask in questions(first, moment)}
    second = Organization(Size(accounts=30), 3)
    shuffled = [one for moment in reversed(moments) for one in questions(second, moment)]
    random.Random(5).shuffle(shuffled)
    assert len(shuffled) > 300
    for name, ask in shuffled:
        assert ask() == answers[name], name


def test_another_seed_is_another_organization() -> None:
    one, other = (Organization(Size(accounts=30), seed).at(START) for seed in (1, 2))
    assert not ids_of(one) & ids_of(other)


def ids_of(snapshot: Snapshot) -> set[str]:
    return {item["account"]["id"] for item in snapshot.accounts().all()}


def test_moments_within_a_quarter_of_an_hour_are_one() -> None:
    organization = Organization(Size(accounts=30), 3)
    moment = START.replace(minute=17)
    assert organization.at(moment) is organization.at(moment + timedelta(minutes=12, seconds=59))
    assert organization.at(moment) is not organization.at(moment + timedelta(minutes=13))


def test_nothing_exists_before_the_founding() -> None:
    snapshot = Organization(Size(accounts=30), 3).at(datetime(2023, 12, 1, tzinfo=UTC))
    assert snapshot.accounts().all() == []
    assert snapshot.present_groups() == ()


@pytest.fixture(scope="module")
def year() -> list[Snapshot]:
    """A hundred nights of an organization of 60."""
    organization = Organization(Size(accounts=60), 7)
    return [organization.at(START + timedelta(days=day)) for day in range(100)]


def changes(values: list[Any]) -> int:
    return sum(before != after for before, after in itertools.pairwise(values))


def test_nights_differ_as_they_would(year: list[Snapshot]) -> None:
    model = year[0].model
    people = [ids_of(snapshot) for snapshot in year]
    assert sum(len(after - before) for before, after in itertools.pairwise(people)) >= 5, "people join"
    assert sum(len(before - after) for before, after in itertools.pairwise(people)) >= 5, "people leave"
    groups = [{group.id for group in snapshot.present_groups()} for snapshot in year]
    assert changes(groups) >= 3, "groups come and go"
    lasting = set.intersection(*groups)
    assert lasting
    names = [
        tuple(model.groups.name(group, snapshot.moment) for group in snapshot.present_groups() if group.id in lasting)
        for snapshot in year
    ]
    assert 1 <= changes(names) < 50, "groups are renamed, though not every night"
    drills = [
        {(group.id, thing.id) for group in snapshot.present_groups() for thing in snapshot.drillables(group)}
        for snapshot in year
    ]
    assert 5 <= changes(drills) < 90, "drills come and go, though not every night"
    accounts = [{item["account"]["id"]: item["account"].get("status") for item in one.accounts().all()} for one in year]
    assert any(
        before.get(id_) == "ACTIVE" and status == "SUSPENDED"
        for before, after in itertools.pairwise(accounts)
        for id_, status in after.items()
    ), "accounts are suspended"
    assert any(
        before.get(id_) == "SUSPENDED" and status == "ACTIVE"
        for before, after in itertools.pairwise(accounts)
        for id_, status in after.items()
    ), "some of them are active again"


def test_no_night_loses_a_fifth_of_anything(year: list[Snapshot]) -> None:
    """Otherwise a guard against mass deletion, which is what this stands in for, would rightly refuse the night."""
    for before, after in itertools.pairwise(year):
        was = {(group.id, one.reference) for group in before.present_groups() for one in before.memberships(group)}
        is_ = {(group.id, one.reference) for group in after.present_groups() for one in after.memberships(group)}
        assert len(was - is_) < max(10, 0.2 * len(was))


def test_counts_are_those_of_the_lists(year: list[Snapshot]) -> None:
    for snapshot in year[::20]:
        for group in snapshot.present_groups():
            counts = snapshot.group(group)["counts"]
            members = snapshot.members(group).all()
            assert counts["members"] == sum("joined" in member for member in members)
            assert counts["drillables"] == len(snapshot.drillables(group))
            assert counts["tests"] == len(snapshot.tests(group)) == len(snapshot.group_detail(group).get("tests", []))
            assert len({thing.id for thing in snapshot.drillables(group)}) == counts["drillables"]


def test_our_own_members_are_accounts_and_guests_are_not(year: list[Snapshot]) -> None:
    guests = 0
    for snapshot in year[::20]:
        ours = ids_of(snapshot)
        for group in snapshot.present_groups():
            for member in snapshot.members(group).all():
                user = member["member"]
                foreign = "organization" in user
                guests += foreign
                if "id" in user:
                    assert (user["id"] in ours) != foreign
            for staff in snapshot.group_staff(group):
                assert staff["user"]["id"] in ours
    assert guests


def test_there_are_invitees_with_and_without_an_account(year: list[Snapshot]) -> None:
    invitees = [
        member
        for snapshot in year[::10]
        for group in snapshot.present_groups()
        for member in snapshot.members(group).all()
        if "joined" not in member
    ]
    assert {"id" in invitee["member"] for invitee in invitees} == {True, False}
    assert all(invitee["status"] == "invited" and invitee["invited"] for invitee in invitees)
    assert all(invitee["member"]["emailAddress"] for invitee in invitees if "id" not in invitee["member"])


def test_objectives_are_of_all_four_types_with_common_and_own_review_dates(year: list[Snapshot]) -> None:
    found = {
        (objective.type, "reviewDate" in snapshot.objective(objective))
        for snapshot in year[::20]
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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("days", [1, 7, 60])
def test_events_explain_the_difference_between_two_evaluations(seed: int, days: int) -> None:
    organization = Organization(Size(accounts=60), seed)
    before, after = organization.at(START), organization.at(START + timedelta(days=days))
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
        assert all(one != other for one, other in zip([was[key], *changed], changed, strict=False)), key
    assert days == 1 or any(key[:2] in flips for key in both), "otherwise there was nothing to explain"
    for key in is_.keys() - was.keys():
        assert is_[key] == (flips.get(key[:2]) or [False])[-1]


def test_permanent_evaluations_agree_with_the_results_of_the_same_moment(year: list[Snapshot]) -> None:
    checked = 0
    for snapshot in year[::25]:
        for group in snapshot.present_groups():
            for objective in snapshot.objectives(group):
                norm = objective.norm(snapshot.moment)
                if objective.type != "PERMANENT":
                    continue
                for item in snapshot.evaluations(objective).all():
                    levels = [one["playableResultStatus"]["proficiency"] for one in item["playableEvaluations"]]
                    assert item["proficiency"] == min(levels)
                    if min(levels) >= norm.minimum:
                        assert item["met"]
                    if min(levels) < (norm.falling or norm.minimum):
                        assert not item["met"]
                    checked += 1
    assert checked > 100


def test_evaluations_and_results_tell_the_same_proficiency(year: list[Snapshot]) -> None:
    snapshot, checked = year[0], 0
    for group in snapshot.present_groups():
        results = {
            (snapshot.model.member(one).id, item["drillable"]["id"]): item["proficiency"]["overall"]
            for one in snapshot.learners(group)
            for item in snapshot.results(group, one).all()
        }
        for objective in snapshot.objectives(group):
            for item in snapshot.evaluations(objective).all():
                if objective.type not in ("PERMANENT", "RECURRING"):
                    continue
                for part in item["playableEvaluations"]:
                    key = (item["user"]["id"], part["playable"]["id"])
                    if key in results:
                        assert results[key] == part["playableResultStatus"]["proficiency"]
                        checked += 1
    assert checked > 50


def test_windows_add_up(year: list[Snapshot]) -> None:
    """The events of two windows that touch are those of the whole, in order."""
    snapshot = year[-1]
    start, middle, stop = snapshot.moment - 60 * DAY, snapshot.moment - 21 * DAY, snapshot.moment + 1
    total = 0
    for group in snapshot.present_groups():
        for objective in snapshot.objectives(group):
            whole = snapshot.events(objective, start, stop).all()
            parts = snapshot.events(objective, start, middle).all() + snapshot.events(objective, middle, stop).all()
            assert parts == whole
            assert [event["timestamp"] for event in whole] == sorted(event["timestamp"] for event in whole)
            total += len(whole)
    assert total > 20


def test_events_are_remembered_as_they_were(year: list[Snapshot]) -> None:
    """What was told of a window once is told again later (of objectives that still exist, names aside)."""
    early, late = year[10], year[40]
    since, until = early.moment - 20 * DAY, early.moment
    for group in late.present_groups():
        for objective in late.objectives(group):
            if early.find_objective(objective.id) is None:
                continue
            told, again = (
                {
                    event["eventId"]: (event["timestamp"], event["user"]["id"])
                    for event in one.events(objective, since, until).all()
                }
                for one in (early, late)
            )
            assert told == again


def test_tests_have_several_attempts_of_every_kind(year: list[Snapshot]) -> None:
    snapshot = year[50]
    attempts = [
        item["testResults"]
        for group in snapshot.present_groups()
        for test in snapshot.tests(group)
        for item in snapshot.test_results(group, test)
    ]
    assert any(len(one) > 1 for one in attempts)
    assert any(not one for one in attempts)
    flat = [attempt for one in attempts for attempt in one]
    assert len({attempt["id"] for attempt in flat}) == len(flat)
    assert any("completed" not in attempt for attempt in flat)
    passed = {
        transformation["passed"]
        for attempt in flat
        for transformation in attempt.get("score", {}).get("transformations", [])
        if "passed" in transformation
    }
    assert passed == {True, False}
    assert all(0.0 <= attempt["progress"] <= 1.0 for attempt in flat)
    assert all(attempt["correctlyAnswered"] <= attempt["size"] for attempt in flat)


def test_attempts_stay_what_they_were(year: list[Snapshot]) -> None:
    def told(snapshot: Snapshot) -> dict[str, Any]:
        return {
            attempt["id"]: attempt["started"]
            for group in snapshot.present_groups()
            for test in snapshot.tests(group)
            for item in snapshot.test_results(group, test)
            for attempt in item["testResults"]
        }

    early, late = told(year[0]), told(year[30])
    common = early.keys() & late.keys()
    assert len(common) > 20
    assert all(early[id_] == late[id_] for id_ in common)
    assert late.keys() - early.keys()


def test_a_stable_organization_has_exactly_the_size_it_was_given() -> None:
    size = Size(
        accounts=102, groups=7, members_per_group=30, drillables_per_group=20, objectives_per_group=2,
        tests_per_group=1, stable=True,
    )  # fmt: skip
    organization = Organization(size, 7)
    for moment in (START, START + timedelta(days=300)):
        snapshot = organization.at(moment)
        assert snapshot.accounts().total == 102
        groups = snapshot.present_groups()
        assert len(groups) == 7
        for group in groups:
            assert snapshot.counts(group) == {"members": 30, "drillables": 20, "tests": 1}
            assert len(snapshot.memberships(group)) == 30
            assert len({thing.id for thing in snapshot.drillables(group)}) == 20
            assert len(snapshot.objectives(group)) == 2
    assert organization.at(START).present_groups() == organization.at(START + timedelta(days=300)).present_groups()


@pytest.mark.parametrize(
    "options",
    [
        {"accounts": 2},
        {"accounts": 0},
        {"groups": 0},
        {"members_per_group": 61},
        {"drillables_per_group": 0},
        {"objectives_per_group": 61},
        {"pace": 0},
    ],
    ids=str,
)
def test_sizes_that_cannot_be_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be|only"):
        Size(**options)


def test_text_is_of_every_kind() -> None:
    snapshot = Organization(Size(accounts=400), 7).at(START)
    names = "".join(snapshot.model.groups.name(group, snapshot.moment) for group in snapshot.present_groups())
    names += "".join(snapshot.model.content.drillable(index).name for index in range(48))
    names += "".join(snapshot.model.groups.description(group) for group in snapshot.present_groups())
    assert any(letter > "\uffff" for letter in names), "emoji"
    assert any("\u0600" <= letter <= "\u06ff" for letter in names), "right to left"
    assert all(letter in names for letter in "\"'\\\n\t&")


def test_a_moment_is_a_moment_wherever_it_is_told() -> None:
    assert milliseconds(datetime(1970, 1, 1, 0, 1, tzinfo=UTC)) == MINUTE


def test_at_a_quick_pace_what_takes_months_happens_within_weeks() -> None:
    organization = Organization(Size(accounts=30, groups=9, pace=8), 7)
    nights = [organization.at(START + timedelta(days=day)) for day in range(60)]
    people = [ids_of(snapshot) for snapshot in nights]
    joined = [after - before for before, after in itertools.pairwise(people)]
    left = [before - after for before, after in itertools.pairwise(people)]
    assert sum(map(len, joined)) > 30
    assert set.union(*joined[20:]) & set.union(*left[:20]), "accounts come back"
    content = organization.content
    assert {tuple(content.catalogs(one.moment)) for one in nights} >= {(0, 1), (0,), (1,)}, "catalogs come and go"
    names = [{content.drillable(index, one.moment).name for index in range(10)} for one in nights]
    assert changes(names) > 5, "drills are renamed"
    norms = [
        {one.id: one.norm(snapshot.moment) for group in snapshot.present_groups() for one in snapshot.objectives(group)}
        for snapshot in nights
    ]
    assert any(
        before[key] != after[key] for before, after in itertools.pairwise(norms) for key in before.keys() & after.keys()
    ), "norms change"
