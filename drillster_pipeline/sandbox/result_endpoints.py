"""How people do: results, tests, objectives, and how their evaluations changed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace

from . import objects
from .calendar import iso_milliseconds, parse_iso
from .content import Playable
from .groups import Group
from .ids import Kind
from .paging import Json, Listing, whole
from .problems import Problem
from .question import LARGEST_PAGE, Answer, Question, matches


def member_results(question: Question, group_id: str, account_id: str) -> Answer:
    """One member's results for all drills and courses of the group."""
    group_, snapshot = question.group(group_id), question.snapshot
    membership = snapshot.with_account(group_, account_id)
    if membership is None:
        raise Problem(404, "not_group_member", "The user is no member of the group.")
    if question.faults.shapes.invitee_results == "missing" and not snapshot.is_member(membership):
        raise Problem(404, "not_group_member", "The user is no member of the group yet.")
    listing = snapshot.results(group_, membership)
    if query := question.query.get("query"):
        listing = whole([item for item in listing.all() if matches(query, item["drillable"]["name"])])
    items, pagination = question.cursor_page("results", listing)
    member = objects.member_user(snapshot.model.member(membership), snapshot.moment)
    return "results", {
        "group": question.brief_group(group_),
        "member": member,
        "pagination": pagination,
        "groupDrillableMemberResults": items,
    }


def group_objectives(question: Question, group_id: str) -> Answer:
    """All objectives of the group."""
    snapshot = question.snapshot
    found = [snapshot.objective(one) for one in snapshot.objectives(question.group(group_id))]
    items, total = question.index_page("objectives", whole(found), default=None)
    return "objectives", {"total": total, "objectives": items}


def objective_evaluations(question: Question, group_id: str, objective_id: str) -> Answer:
    """How every member stands."""
    objective = question.objective(objective_id, question.group(group_id))
    listing = question.snapshot.evaluations(objective)
    if group_id in question.faults.empty_groups:
        listing = whole([])
    elif question.faults.shapes.cursors == "timestamp":
        listing = timestamped(listing, [one.joined for one in question.snapshot.learners(objective.group)])
    items, pagination = question.cursor_page("objective_evaluations", listing)
    return "objective_evaluations", {"evaluations": items, "pagination": pagination}


def objective_events(question: Question, objective_id: str) -> Answer:
    """What changed within a window of time, seven days by default."""
    objective = question.objective(objective_id)
    since, until = question.window()
    user_id = question.query.get("user")
    if user_id == "self":
        user_id = question.snapshot.model.service_account_id
    listing = question.snapshot.events(objective, since, until, user_id)
    if question.faults.shapes.cursors == "timestamp":
        listing = timestamped(listing, [parse_iso(event["timestamp"]) for event in listing.all()])
    items, pagination = question.cursor_page("objective_events", listing, default=LARGEST_PAGE)
    return "objective_events", {"events": items, "pagination": pagination}


def timestamped(listing: Listing, moments: list[int]) -> Listing:
    """The same list with a moment for each item as its cursor; they are in order."""
    return replace(
        listing,
        cursor=lambda index: iso_milliseconds(moments[index]),
        after=lambda text: bisect_right(moments, parse_iso(text)),
        at=lambda text: bisect_left(moments, parse_iso(text)),
    )


def _test(question: Question, test_id: str) -> tuple[Group, Playable]:
    """The test, and the group that it belongs to, or 404."""
    snapshot = question.snapshot
    reference = snapshot.model.ids.read(test_id)
    if reference is not None and reference.kind is Kind.TEST and reference.first < snapshot.model.size.group_slots:
        group_ = snapshot.model.groups.in_slot(reference.first, snapshot.moment)
        if group_ is not None and reference.second < group_.tests:
            return question.as_seen(group_), snapshot.model.content.test(reference.first, reference.second)
    raise Problem(404, "unknown_test", "The test does not exist.")


def group_test_results(question: Question, group_id: str, test_id: str) -> Answer:
    """Everybody's attempts at one test; pages are of members, and so is the total."""
    group_ = question.group(group_id)
    owner, test = _test(question, test_id)
    if owner.id != group_.id:
        raise Problem(404, "unknown_test", "The test is not one of this group.")
    items, total = question.index_page("test_results", whole(question.snapshot.test_results(group_, test)))
    return "test_results", {
        "group": question.brief_group(group_),
        "total": total,
        "test": objects.playable(test),
        "memberTestResults": items,
    }


def user_test_results(question: Question, test_id: str, user_id: str = "self") -> Answer:
    """The attempts of one user (or of the service account, which has none) at a test."""
    group_, test = _test(question, test_id)
    found: list[Json] = []
    if user_id not in ("self", question.snapshot.model.service_account_id):
        membership = question.snapshot.with_account(group_, user_id)
        if membership is None:
            raise Problem(404, "nonexistent_user", "The user does not exist, or may not take this test.")
        for item in question.snapshot.test_results(group_, test):
            if item["user"]["id"] == user_id:
                found = item["testResults"]
    items, total = question.index_page("user_test_results", whole(found), largest=10)
    return "user_test_results", {"total": total, "testResults": items}


def own_objectives(_: Question) -> Answer:
    """Objectives of the calling account: a service account has none."""
    return "own_objectives", {"total": 0, "objectives": []}


def own_tests(_: Question) -> Answer:
    """Tests of the calling account: a service account has none."""
    return "own_tests", {"total": 0, "tests": []}
