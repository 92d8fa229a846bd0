"""The forms in which Drillster may answer where its documentation leaves that open (API notes, section 14).

The defaults are what is documented, or what is most likely. Most forms are one change of the JSON value that the
sandbox answers; those of pages are in :mod:`.endpoints`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from drillster_pipeline.sandbox.endpoints import LISTS

NONE: frozenset[str] = frozenset()
Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """One switch for each thing that is not known.

    Where a field is a set of resources, these are the names of the crawl (``accounts``, ``group_members``, …), or
    ``*`` for all of them.
    """

    optional_fields: bool = True
    """False: only what is required is given of accounts, groups, members, objectives, evaluations and results."""

    # Pages
    without_total: frozenset[str] = NONE
    """No total, neither in the pagination nor beside the list."""
    without_more_available: frozenset[str] = NONE
    without_pagination: frozenset[str] = NONE
    """No pagination object at all (the list goes on all the same, if the requested size is smaller)."""
    inclusive: frozenset[str] = NONE
    """The next page starts at the cursor, not after it."""
    null_cursor_on_empty: bool = False
    """An empty page has ``"lastOnPage": null``; otherwise it leaves it out."""
    cursors: Literal["documented", "id", "timestamp", "index"] = "documented"
    """What ``lastOnPage`` is. Documented are milliseconds (accounts), timestamps (members) and ids (all others).
    ``id`` changes accounts and members, ``timestamp`` evaluations and events, ``index`` all."""
    accounts_order: Literal["oldest_first", "newest_first"] = "oldest_first"
    groups_total: Literal["pagination", "top"] = "pagination"
    """``top``: no pagination, a ``total`` beside the list, and (as in 2.1) paging by ``resultStart``."""
    members_paging: Literal["cursor", "all"] = "cursor"

    # Accounts, groups and members
    accounts_items: Literal["wrapped", "bare"] = "wrapped"
    accounts_list: str = "accounts"
    group_has_tests: bool = True
    group_has_members: bool = False
    """``group/{id}`` and its drillables carry an empty list ``members``, as the example in the documentation does."""
    invitee_status: bool = True
    """An invitee has ``status`` (and ``invited``); without it, only the lack of ``joined`` shows what they are."""
    invitee_results: Literal["empty", "missing"] = "empty"
    """``missing``: 404 for the results of somebody who has not joined."""

    # Objectives, evaluations and events
    objectives_content: Literal["playables", "drills"] = "playables"
    objectives_list: Literal["wrapped", "array"] = "wrapped"
    evaluations_list: Literal["evaluations", "objectiveEvaluations", "array"] = "evaluations"
    events_type: Literal["eventType", "type"] = "eventType"
    events_user: Literal["item", "evaluation"] = "item"
    events_evaluation: Literal["evaluation", "objectiveEvaluation"] = "evaluation"
    events_list: str = "events"

    # Results, tests and catalogs
    test_results_items: Literal["grouped", "flat"] = "grouped"
    test_results_list: str = "memberTestResults"
    catalogs_list: str = "catalogs"
    content_list: str = "playables"
    content_version: Literal["2.1.1", "3", "both"] = "both"
    """Under which version ``catalog/{id}/content`` answers; 404 under the other."""

    # Everything
    errors: Literal["object", "oauth", "html", "nothing"] = "object"
    permission_status: Literal[401, 403] = 403

    def applies(self, names: frozenset[str], resource: str) -> bool:
        """Whether a set of resources has this one."""
        return resource in names or "*" in names


_PLAIN = Shapes()
_ALL = frozenset({"*"})


def alternatives() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each switch in each of its other positions, with a name."""
    hints = get_type_hints(Shapes)
    for one in fields(Shapes):
        usual = getattr(_PLAIN, one.name)
        if isinstance(usual, bool | frozenset):
            values: Iterable[Any] = [not usual] if isinstance(usual, bool) else [_ALL]
        else:
            values = get_args(hints[one.name]) or ["items"]
        for value in values:
            if value != usual:
                shown = ",".join(sorted(value)) if isinstance(value, frozenset) else value
                yield f"{one.name}={shown}", {one.name: value}


_REQUIRED: dict[str, frozenset[str]] = {
    "accounts": frozenset({"type", "id", "name"}),
    "groups": frozenset({"id", "name", "description"}),
    "group": frozenset({"id", "name", "description", "tests"}),
    "group_members": frozenset({"member", "joined"}),
    "objectives": frozenset({"id", "type", "playables", "minimumProficiency"}),
    "objective_evaluations": frozenset({"user", "met"}),
    "results": frozenset({"drillable", "proficiency", "timeSpent", "expectedDuration"}),
}
"""What remains of an item when optional fields are left out."""


def items_of(resource: str, body: Json) -> list[Json]:
    """The items of a documented answer, or the answer itself where it is no list."""
    return body[LISTS[resource]] if resource in LISTS else [body]


def reshape(resource: str, body: Json, shapes: Shapes) -> Json:
    """A documented answer in the form of the shapes. The body may be changed in place."""
    if not shapes.optional_fields and resource in _REQUIRED:
        for item in items_of(resource, body):
            _keep(item.get("account", item), _REQUIRED[resource])
    _pagination(resource, body, shapes)
    for one in fields(Shapes):
        resources, change = _CHANGES.get(one.name, ((), None))
        value = getattr(shapes, one.name)
        if change is not None and resource in resources and value != getattr(_PLAIN, one.name):
            body = change(body, value)
    return body


def _pagination(resource: str, body: Json, shapes: Shapes) -> None:
    if shapes.applies(shapes.without_total, resource):
        for place in (body, body.get("pagination", {})):
            place.pop("total", None)
            place.pop("count", None)
    if shapes.applies(shapes.without_pagination, resource):
        body.pop("pagination", None)
    if shapes.applies(shapes.without_more_available, resource):
        body.get("pagination", {}).pop("moreAvailable", None)


def _keep(item: Json, names: frozenset[str]) -> None:
    for name in item.keys() - names:
        del item[name]


def _renamed(old: str) -> Callable[[Json, str], Json]:
    """The list under another name; ``array``: the bare list."""
    return lambda body, new: body[old] if new == "array" else {new if k == old else k: v for k, v in body.items()}


def _each(resource: str, change: Callable[[Json, Any], Json]) -> Callable[[Json, Any], Json]:
    """A change to each item, which may be another afterwards."""
    name = LISTS[resource]
    return lambda body, value: body | {name: [change(item, value) for item in body[name]]}


def _without(*names: str) -> Callable[[Json, Any], Json]:
    return lambda item, _: {name: value for name, value in item.items() if name not in names}


def _invitee(item: Json, *names: str) -> Json:
    return item if "joined" in item else _without(*names)(item, None)


def _drills(item: Json, _: str) -> Json:
    if item["type"] == "TEST":
        return item
    return {name: value for name, value in item.items() if name != "playables"} | {
        "drills": [{"id": one["id"], "name": one["name"]} for one in item["playables"]]
    }


def _event_user(item: Json, _: str) -> Json:
    return _without("user")(item, None) | {"evaluation": item["evaluation"] | {"user": item["user"]}}


def _flat(body: Json, _: str) -> Json:
    people = body["memberTestResults"]
    flat = [attempt | {"user": item["user"]} for item in people for attempt in item["testResults"]]
    return body | {"memberTestResults": flat}


_CHANGES: dict[str, tuple[tuple[str, ...], Callable[[Json, Any], Json]]] = {
    "accounts_items": (("accounts",), _each("accounts", lambda item, _: item["account"])),
    "accounts_list": (("accounts",), _renamed("accounts")),
    "group_has_tests": (("group",), _without("tests")),
    "group_has_members": (("group", "group_drillables"), lambda body, _: body | {"members": []}),
    "invitee_status": (("group_members",), _each("group_members", lambda item, _: _invitee(item, "status"))),
    "objectives_content": (("objectives",), _each("objectives", _drills)),
    "objectives_list": (("objectives",), lambda body, _: body["objectives"]),
    "evaluations_list": (("objective_evaluations",), _renamed("evaluations")),
    "events_type": (("objective_events",), _each("objective_events", _renamed("eventType"))),
    "events_user": (("objective_events",), _each("objective_events", _event_user)),
    "events_evaluation": (("objective_events",), _each("objective_events", _renamed("evaluation"))),
    "events_list": (("objective_events",), _renamed("events")),
    "test_results_items": (("test_results",), _flat),
    "test_results_list": (("test_results",), _renamed("memberTestResults")),
    "catalogs_list": (("catalogs",), _renamed("catalogs")),
    "content_list": (("catalog_content",), _renamed("playables")),
}
"""The resources that a form is about, and its change. They are made in the order of the fields of Shapes."""
