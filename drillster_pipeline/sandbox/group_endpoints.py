"""Groups, their members, their staff and what there is to learn in them."""

from __future__ import annotations

from dataclasses import replace

from . import objects
from .groups import Group
from .objects import Object
from .paging import named, ordered, whole
from .problems import Problem
from .question import Answer, Question, by_id, matches, user_matches


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
    return not query or matches(query, group["name"], group["description"])


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
        listing = whole([item for item in listing.all() if user_matches(query, item["member"])])
    joined = len(snapshot.learners(group_))
    counts = {"members": joined, "invitees": len(snapshot.memberships(group_)) - joined}
    default = shapes.members_default
    if shapes.members_paging == "all":
        question, default = replace(question, query={}), None
    items, pagination = question.cursor_page("group_members", listing, default=default)
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
        things = [thing for thing in things if matches(query, thing.name)]
    items, _ = question.index_page("group_drillables", named(things, objects.playable, by_id))
    body = {
        "id": group_.id,
        "name": snapshot.model.groups.name(group_, snapshot.moment),
        "description": snapshot.model.groups.description(group_),
        "drillables": items,
    }
    if question.faults.shapes.group_has_members:
        body["members"] = []
    return "group_drillables", body
