"""Turns a documented answer into one of the other forms that must load as well (see :mod:`.shapes`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .objects import Object
from .paging import Json
from .shapes import Shapes

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
_PLAIN = Shapes()

REQUIRED: dict[str, frozenset[str]] = {
    "accounts": frozenset({"type", "id", "name"}),
    "groups": frozenset({"id", "name", "description"}),
    "group": frozenset({"id", "name", "description", "tests"}),
    "group_members": frozenset({"member", "joined"}),
    "objectives": frozenset({"id", "type", "playables", "drills", "minimumProficiency"}),
    "objective_evaluations": frozenset({"user", "met"}),
    "results": frozenset({"drillable", "proficiency", "timeSpent", "expectedDuration", "practice"}),
}
"""What remains of an item when optional fields are left out."""


def reshape(resource: str, body: Json, shapes: Shapes) -> Json:
    """The answer in the form that the shapes ask for. The body may be changed in place."""
    if shapes == _PLAIN:
        return body
    if not shapes.optional_fields:
        _bare(resource, body)
    _pagination(resource, body, shapes)
    form = _FORMS.get(resource)
    if form is not None:
        body = form(body, shapes)
    if shapes.timestamps != "seconds":
        body = _timestamps(body, shapes.timestamps)
    return body


def _pagination(resource: str, body: Json, shapes: Shapes) -> None:
    if not isinstance(body, dict):
        return
    if shapes.leaves_out(shapes.without_total, resource):
        body.pop("total", None)
        body.pop("count", None)
        body.get("pagination", {}).pop("total", None)
    if "pagination" not in body:
        return
    if shapes.leaves_out(shapes.without_pagination, resource):
        del body["pagination"]
        return
    if shapes.leaves_out(shapes.without_more_available, resource):
        body["pagination"].pop("moreAvailable", None)


def _bare(resource: str, body: Json) -> None:
    """Leaves out whatever is optional."""
    required = REQUIRED.get(resource)
    if required is None or not isinstance(body, dict):
        return
    items = [body]
    for name in ("accounts", "groups", "members", "objectives", "evaluations", "groupDrillableMemberResults"):
        if name in body:
            items = [item.get("account", item) for item in body[name]]
    for item in items:
        for name in [name for name in item if name not in required]:
            del item[name]


def _accounts(body: Object, shapes: Shapes) -> Object:
    items = body.pop("accounts")
    if shapes.accounts_items == "bare":
        items = [item["account"] for item in items]
    return {shapes.accounts_list: items, **body}


def _members(body: Object, shapes: Shapes) -> Object:
    for item in body["members"]:
        if "joined" not in item:
            if not shapes.invitee_status:
                item.pop("status", None)
            if not shapes.invitee_invited:
                item.pop("invited", None)
            if not shapes.invitee_id:
                item["member"].pop("id", None)
    return body


def _objectives(body: Object, shapes: Shapes) -> Json:
    for item in body["objectives"]:
        if not shapes.objectives_named:
            item.pop("name", None)
        if shapes.objectives_numbers == "string":
            for name in ("minimumProficiency", "fallingMinimumProficiency"):
                if name in item:
                    item[name] = str(item[name])
        if shapes.objectives_content == "drills" and "playables" in item and item["type"] != "TEST":
            item["drills"] = [{"id": one["id"], "name": one["name"]} for one in item.pop("playables")]
    return body["objectives"] if shapes.objectives_list == "array" else body


def _evaluations(body: Object, shapes: Shapes) -> Json:
    items = body.pop("evaluations")
    for item in items:
        for name in shapes.evaluations_leave_out:
            item.pop(name, None)
    if shapes.evaluations_list == "array":
        return items
    return {shapes.evaluations_list: items, **body}


def _events(body: Object, shapes: Shapes) -> Object:
    items = []
    for event in body.pop("events"):
        inner = event["evaluation"]
        item: dict[str, Any] = {"eventId": event["eventId"]} if shapes.events_have_id else {}
        item[shapes.events_type] = event["eventType"]
        if shapes.events_time != "evaluationDate":
            item[shapes.events_time] = event["timestamp"]
            if shapes.events_time == "date":
                inner.pop("evaluationDate")
        if shapes.events_user == "evaluation":
            inner["user"] = event["user"]
        else:
            item["user"] = event["user"]
        item[shapes.events_evaluation] = inner
        items.append(item)
    return {shapes.events_list: items, **body}


_PRACTICE = (
    "proficiency", "highestProficiency", "eventualProficiency",
    "timeSpent", "expectedDuration", "lastPracticed", "added",
)  # fmt: skip


def _results(body: Object, shapes: Shapes) -> Object:
    for item in body["groupDrillableMemberResults"]:
        if shapes.proficiency == "number":
            for name in _PRACTICE[:3]:
                if name in item:
                    item[name] = item[name]["overall"]
        if shapes.practice != "inline":
            practice = {name: item.pop(name) for name in _PRACTICE if name in item}
            (item if shapes.practice == "practice" else item["drillable"])["practice"] = practice
    return body


def _test_results(body: Object, shapes: Shapes) -> Object:
    items = body.pop("memberTestResults")
    attempts = [attempt for item in items for attempt in item["testResults"]]
    for attempt in attempts[::2]:
        for name in shapes.attempts_leave_out:
            attempt.pop(name, None)
    if shapes.test_results_items == "flat":
        items = [attempt | {"user": item["user"]} for item in items for attempt in item["testResults"]]
    return body | {shapes.test_results_list: items}


def _catalogs(body: Object, shapes: Shapes) -> Object:
    return {shapes.catalogs_list: body.pop("catalogs"), **body}


def _content(body: Object, shapes: Shapes) -> Object:
    items = body.pop("playables")
    return {**body, shapes.content_list: items}


_FORMS: dict[str, Callable[[Object, Shapes], Json]] = {
    "accounts": _accounts,
    "group_members": _members,
    "objectives": _objectives,
    "objective_evaluations": _evaluations,
    "objective_events": _events,
    "results": _results,
    "test_results": _test_results,
    "catalogs": _catalogs,
    "catalog_content": _content,
}


def _timestamps(value: Json, form: str) -> Json:
    """Every timestamp in another precision; ``mixed`` goes by its last digit but one."""
    if isinstance(value, dict):
        return {name: item if name == "lastOnPage" else _timestamps(item, form) for name, item in value.items()}
    if isinstance(value, list):
        return [_timestamps(item, form) for item in value]
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        return value
    if form == "mixed":
        form = ("seconds", "milliseconds", "minutes")[int(value[15]) % 3]
    if form == "minutes":
        return value[:16] + "Z"
    if form == "milliseconds":
        return value if "." in value else value[:-1] + ".000Z"
    return value[:19] + "Z"
