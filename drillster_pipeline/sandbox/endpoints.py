"""The API's resources: what each path answers, in the documented form.

A handler gets the question and the parameters of its path, and returns the name of the resource (as the walk calls
it, so that shapes and faults can be chosen by it) and the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import objects
from .content import Playable
from .groups import Group
from .ids import Kind
from .objects import Object
from .paging import Json, Listing, by_index, named, ordered
from .problems import Problem
from .question import Question

Answer = tuple[str, Json]
Handler = Callable[..., Answer]


def whole(items: list[Json]) -> Listing:
    """A list that has been made already, paged by index."""
    return by_index(
        Listing(total=len(items), items=lambda start, stop: items[start:stop], cursor=str, after=int, at=int)
    )


def _matches(query: str, *texts: str) -> bool:
    return any(query.casefold() in text.casefold() for text in texts)


def _own(question: Question, organization_id: str) -> None:
    if organization_id not in ("self", question.snapshot.model.id):
        raise Problem(403, "not_permitted", "No access to this organization.")


def organization(question: Question, organization_id: str = "self") -> Answer:
    """Our own organization, and no other."""
    if organization_id not in ("self", question.snapshot.model.id):
        raise Problem(404, "not_found", "The organization does not exist.")
    return "organization", question.snapshot.organization()


def accounts(question: Question, organization_id: str) -> Answer:
    """``relationType`` ADMIN is paged by index."""
    _own(question, organization_id)
    snapshot = question.snapshot
    relation = question.query.get("relationType")
    if relation not in (None, "ADMIN"):
        raise Problem(400, "invalid_relation_type", "relationType should be ADMIN, or left out.")
    listing = snapshot.accounts()
    query = question.query.get("query")
    if query:
        people = [item for item in listing.all() if _user_matches(query, item["account"])]
        listing = whole(people)
    elif relation == "ADMIN":
        listing = whole([snapshot.account(person) for person in snapshot.administrators()])
    items, pagination = question.cursor_page("accounts", listing)
    return "accounts", {"accounts": items, "pagination": pagination}


def _user_matches(query: str, user: Object) -> bool:
    return _matches(query, user.get("name", ""), user.get("emailAddress", ""))


def organization_staff(question: Question, organization_id: str) -> Answer:
    """The administrators of the organization."""
    _own(question, organization_id)
    snapshot = question.snapshot
    users = [
        snapshot.account(person)["account"] | ({"quota": 25} if person.key % 2 else {})
        for person in snapshot.administrators()
    ]
    for user in users:
        for name in ("lastLogin", "organization", "status", "thirdPartyIds", "repertoireSize"):
            user.pop(name, None)
    items, total = question.index_page("organization_staff", whole(users), default=25)
    return "organization_staff", {"total": total, "users": items}


def license_(question: Question, organization_id: str) -> Answer:
    """The licence of published content, not of seats."""
    _own(question, organization_id)
    return "license", {"type": "CLOSED", "text": "All rights reserved.", "icon": {"url": f"{objects.ICONS}/closed.png"}}


def user(question: Question, user_id: str = "self") -> Answer:
    """The service account itself, or an account of the organization, by id or address."""
    snapshot = question.snapshot
    if user_id == "self":
        user_id = snapshot.model.service_account_id
    person = snapshot.model.account(user_id, snapshot.moment)
    if person is None:
        raise Problem(404, "nonexistent_user", "The user does not exist, or is none of ours.")
    return "user", snapshot.account(person)["account"]


def third_party_ids(question: Question, user_id: str) -> Answer:
    """A bare array."""
    return "third_party_ids", user(question, user_id)[1].get("thirdPartyIds", [])


def catalogs(question: Question, organization_id: str) -> Answer:
    """Catalogs that the organization can publish to."""
    _own(question, organization_id)
    content = question.snapshot.model.content
    numbers = list(range(question.snapshot.model.size.catalogs))

    def item(number: int) -> Object:
        name, _ = content.catalog_name(number)
        return {"id": content.catalog_ids()[number], "name": name, "icon": objects.icon("catalog")}

    listing = named(numbers, item, lambda number: content.catalog_ids()[number])
    items, pagination = question.cursor_page("catalogs", listing)
    return "catalogs", {"catalogs": items, "pagination": pagination}


def _catalog(question: Question, catalog_id: str) -> int:
    reference = question.snapshot.model.ids.read(catalog_id)
    if reference is None or reference.kind is not Kind.CATALOG:
        raise Problem(404, "catalog_not_found", "The catalog does not exist.")
    if reference.first >= question.snapshot.model.size.catalogs:
        raise Problem(404, "catalog_not_found", "The catalog does not exist.")
    return reference.first


def catalog(question: Question, catalog_id: str) -> Answer:
    """A UserCatalog."""
    number = _catalog(question, catalog_id)
    name, description = question.snapshot.model.content.catalog_name(number)
    organization_ = {"type": "ORGANIZATION", "id": question.snapshot.model.id}
    return "catalog", {"id": catalog_id, "name": name, "description": description, "organization": organization_}


def catalog_content(question: Question, catalog_id: str) -> Answer:
    """The playables of a catalog, by name. The page prints the address of version 3."""
    number = _catalog(question, catalog_id)
    if question.faults.shapes.content_version not in ("both", question.version):
        raise Problem(404, "not_found", "There is no such resource.")
    snapshot = question.snapshot
    things = snapshot.model.content.catalog_content(number, snapshot.moment)
    if query := question.query.get("query"):
        things = [thing for thing in things if _matches(query, thing.name)]
    listing = named(things, objects.playable, _id)
    items, pagination = question.cursor_page("catalog_content", listing)
    container = {
        "id": catalog_id,
        "name": snapshot.model.content.catalog_name(number)[0],
        "icon": objects.icon("catalog"),
        "organization": {"id": snapshot.model.id, "name": snapshot.organization()["name"]},
    }
    return "catalog_content", {"playableContainer": container, "playables": items, "pagination": pagination}


def _id(thing: Playable) -> str:
    return thing.id


def groups(question: Question) -> Answer:
    """Groups that the service account may see, by id; ``permission`` matches exactly."""
    snapshot, asked = question.snapshot, question.query
    found = question.groups()
    if "permission" in asked:
        if asked["permission"] not in ("VIEW", "MANAGE"):
            raise Problem(400, "invalid_permission", "permission should be VIEW or MANAGE.")
        found = [group for group in found if snapshot.may_manage(group) == (asked["permission"] == "MANAGE")]
    if asked.get("query") or "customReference" in asked:
        found = [group for group in found if _group_matches(question, snapshot.group(group))]

    def item(group: Group) -> Object:
        if asked.get("profile") == "AUTO_COMPLETE":
            return {"id": group.id, "name": snapshot.model.groups.name(group, snapshot.moment)}
        return snapshot.group(group)

    listing = ordered(found, item, lambda group: group.id, str)
    if question.faults.shapes.groups_total == "top":
        items, total = question.index_page("groups", listing, default=None)
        return "groups", {"groups": items, "total": total}
    items, pagination = question.cursor_page("groups", listing)
    body = {"groups": items, "pagination": pagination}
    if question.faults.shapes.groups_total == "both":
        body["total"] = pagination["total"]
    return "groups", body


def _group_matches(question: Question, group: Object) -> bool:
    wanted = question.query.get("customReference")
    if wanted is not None and group.get("customReference") != wanted:
        return False
    query = question.query.get("query")
    return not query or _matches(query, group["name"], group["description"])


def group(question: Question, group_id: str) -> Answer:
    """One group, with its tests."""
    found = question.snapshot.group_detail(question.group(group_id))
    if question.faults.shapes.group_has_members:
        found["members"] = []
    if not question.faults.shapes.group_has_tests:
        found.pop("tests", None)
    return "group", found


def group_members(question: Question, group_id: str) -> Answer:
    """Members and invitees, by the time they joined or were invited."""
    group_, shapes, snapshot = question.group(group_id), question.faults.shapes, question.snapshot
    listing = snapshot.members(group_)
    if shapes.cursors == "id":
        things = snapshot.memberships(group_)
        listing = named(things, snapshot.member, lambda one: snapshot.model.ids.make(*one.reference))
    if query := question.query.get("query"):
        listing = whole([item for item in listing.all() if _user_matches(query, item["member"])])
    joined = len(snapshot.learners(group_))
    counts = {"members": joined, "invitees": len(snapshot.memberships(group_)) - joined}
    if shapes.members_paging == "all":
        return "group_members", {"members": listing.all(), "counts": counts}
    items, pagination = question.cursor_page("group_members", listing, default=shapes.members_default)
    return "group_members", {"members": items, "counts": counts, "pagination": pagination}


def group_staff(question: Question, group_id: str) -> Answer:
    """Who manages and views the group."""
    group_ = question.group(group_id)
    staff = question.snapshot.group_staff(group_)
    items, total = question.index_page("group_staff", whole(staff), default=None, largest=None)
    return "group_staff", {"group": {"id": group_.id}, "count": total, "groupStaffUsers": items}


def group_drillables(question: Question, group_id: str) -> Answer:
    """A Group with (a page of) its drillables, and no word on how many there are."""
    group_, snapshot = question.group(group_id), question.snapshot
    things = snapshot.drillables(group_)
    if query := question.query.get("query"):
        things = [thing for thing in things if _matches(query, thing.name)]
    items, _ = question.index_page("group_drillables", named(things, objects.playable, _id))
    body = {
        "id": group_.id,
        "name": snapshot.model.groups.name(group_, snapshot.moment),
        "description": snapshot.model.groups.description(group_),
        "drillables": items,
    }
    if question.faults.shapes.group_has_members:
        body["members"] = []
    return "group_drillables", body


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
    items, pagination = question.cursor_page("objective_events", listing, default=LARGEST)
    return "objective_events", {"events": items, "pagination": pagination}


LARGEST = 100


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
        listing = whole([item for item in listing.all() if _matches(query, item["drillable"]["name"])])
    items, pagination = question.cursor_page("results", listing)
    member = objects.member_user(snapshot.model.member(membership), snapshot.moment)
    return "results", {
        "group": _brief_group(question, group_),
        "member": member,
        "pagination": pagination,
        "groupDrillableMemberResults": items,
    }


def _brief_group(question: Question, group_: Group) -> Object:
    groups_, moment = question.snapshot.model.groups, question.snapshot.moment
    return {
        "id": group_.id,
        "name": groups_.name(group_, moment),
        "description": groups_.description(group_),
        "icon": objects.icon("group"),
    }


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
        "group": _brief_group(question, group_),
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


class Route(NamedTuple):
    """A path: its words, with None where a parameter stands, and what answers it."""

    words: tuple[str | None, ...]
    handler: Handler
    versions: frozenset[str]


CURRENT = frozenset({"2.1.1"})
_PATHS: dict[str, Handler] = {
    "organization": organization,
    "organization/*": organization,
    "organization/*/staff": organization_staff,
    "organization/*/license": license_,
    "organization/*/catalogs": catalogs,
    "organizations/*/accounts": accounts,
    "user": user,
    "user/*": user,
    "user/*/third-party-ids": third_party_ids,
    "catalog/*": catalog,
    "catalog/*/content": catalog_content,
    "groups": groups,
    "group/*": group,
    "group/*/members": group_members,
    "group/*/staff": group_staff,
    "group/*/drillables": group_drillables,
    "group/*/objectives": group_objectives,
    "group/*/objective/*/evaluations": objective_evaluations,
    "group/*/member-results/*": member_results,
    "group/*/test-results/*": group_test_results,
    "objectives": own_objectives,
    "objectives/*/events": objective_events,
    "objective/*/events": objective_events,
    "test-results/*": user_test_results,
    "test-results/*/*": user_test_results,
    "tests": own_tests,
}
ROUTES: dict[tuple[str, int], list[Route]] = {}
for _path, _handler in _PATHS.items():
    _words = tuple(None if word == "*" else word for word in _path.split("/"))
    _versions = CURRENT | {"3"} if _handler is catalog_content else CURRENT
    ROUTES.setdefault((str(_words[0]), len(_words)), []).append(Route(_words, _handler, _versions))


def find(version: str, words: list[str]) -> tuple[Handler, list[str]] | None:
    """The handler of a path and its parameters; None where there is no such resource."""
    for route in ROUTES.get((words[0], len(words)), ()):
        if version in route.versions and all(
            mine is None or mine == theirs for mine, theirs in zip(route.words, words, strict=True)
        ):
            return route.handler, [theirs for mine, theirs in zip(route.words, words, strict=True) if mine is None]
    return None
