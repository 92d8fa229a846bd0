"""In which of its possible forms an answer came: the documentation leaves many open, and all of them are read.

What is ``documented`` stands on a page of the documentation or in an example of it (that of an older version where
there is no newer one); an ``alternative`` is read as well; ``unknown`` is read by guessing, and should be reported.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.response_shapes import Json, field_name

from .shapes import precision_of

Standing = Literal["documented", "alternative", "unknown"]
_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Form:
    """One thing that may come in several forms, and the one that was met."""

    aspect: str
    met: str
    standing: Standing = "documented"

    def as_json(self) -> dict[str, str]:
        """See docs/check.md."""
        return {"aspect": self.aspect, "met": self.met, "standing": self.standing}


def list_form(resource: str, body: Json) -> Form:
    """Where the items are."""
    shape = RESOURCES[resource]
    if isinstance(body, list):
        # The 2.0 page of group objectives gives one; that of evaluations was never seen.
        usual = resource in {"objectives", "objective_evaluations"}
        return Form("items", "a bare list", "documented" if usual else "alternative")
    for name in shape.list_names:
        if body.get(name) is not None:
            return Form("items", f"under `{name}`", "documented" if name == shape.list_names[0] else "alternative")
    lists = [name for name, value in body.items() if isinstance(value, list) and name not in shape.other_lists]
    if lists:
        return Form("items", f"under `{field_name(lists[0])}`", "unknown")
    return Form("items", "left out, as there are none", "alternative")


def total_form(resource: str, body: Json) -> Form:
    """Where the number of all items is named."""
    inside = body if isinstance(body, dict) else {}
    pagination = inside.get("pagination")
    if isinstance(pagination, dict) and pagination.get("total") is not None:
        return Form("total", "`pagination.total`")
    for name in ("total", "count"):
        if inside.get(name) is not None:
            return Form("total", f"`{name}`")
    # Optional in an object Pagination, and the example of a group's drillables has none.
    is_usual = isinstance(pagination, dict) or resource == "group_drillables"
    return Form("total", "not named", "documented" if is_usual else "alternative")


def paging_form(body: Json) -> Form:
    """How the list goes on."""
    pagination = body.get("pagination") if isinstance(body, dict) else None
    if not isinstance(pagination, dict):
        if isinstance(body, list):
            return Form("paging", "all at once, or by place (`resultStart`)", "alternative")
        return Form("paging", "by place (`resultStart`)")
    cursor, more = pagination.get("lastOnPage"), pagination.get("moreAvailable")
    if cursor is None and more is None:
        return Form("paging", "by place (`resultStart`), with an object `pagination`", "alternative")
    kind = f"by cursor ({_cursor(cursor)})" if cursor is not None else "by cursor (none on this page)"
    if more is None:
        return Form("paging", f"{kind}, without `moreAvailable`", "alternative")
    return Form("paging", kind)


def _cursor(value: Json) -> str:
    """Of what kind a cursor is, without what it is."""
    text = str(value)
    if precision_of(text):
        return "a timestamp"
    if text.isdecimal():
        return "milliseconds" if len(text) >= 12 else "a place in the list"
    return "an id"


def timestamp_form(bodies: Iterable[Json]) -> Form | None:
    """How precise timestamps are (all three are in examples of the documentation); None where there are none."""
    met = sorted({precision for body in bodies for precision in _precisions(body, 0)})
    return Form("timestamps", f"in {', '.join(met)}") if met else None


def _precisions(value: Json, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    # A cursor that is a timestamp is finer than all others.
    inside: Iterable[Json] = value if isinstance(value, list) else ()
    if isinstance(value, dict):
        inside = [inner for name, inner in value.items() if name != "lastOnPage"]
    for inner in inside:
        yield from _precisions(inner, depth + 1)
    if precision := precision_of(value):
        yield precision


def item_forms(resource: str, items: Iterable[Json]) -> list[Form]:
    """The forms of the items of a resource: for each aspect those that were met, the documented one first."""
    found = []
    objects = [item for item in items if isinstance(item, dict)]
    for aspect, choices in _ASPECTS.get(resource, {}).items():
        met = Counter(label for item in objects if (label := _first(item, choices)) is not None)
        labels = [label for label, _, _ in choices if met[label]]
        standings = {standing for label, standing, _ in choices if met[label]}
        if labels:
            standing: Standing = "alternative" if "alternative" in standings else "documented"
            found.append(Form(aspect, ", or ".join(labels), standing))
    return found


Test = Callable[[Mapping[str, Any]], bool]
Choice = tuple[str, Standing, Test]


def _first(item: Mapping[str, Any], choices: tuple[Choice, ...]) -> str | None:
    return next((label for label, _, fits in choices if fits(item)), None)


def _object(name: str) -> Test:
    return lambda item: isinstance(item.get(name), dict)


def _there(name: str) -> Test:
    return lambda item: item.get(name) is not None


def _inside(item: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((item[name] for name in names if isinstance(item.get(name), dict)), {})


def _any(_: Mapping[str, Any]) -> bool:
    return True


_DIGITS = re.compile(r"[0-9]+")


def _as_text(name: str) -> Test:
    return lambda item: isinstance(item.get(name), str) and _DIGITS.fullmatch(item[name]) is not None


def _evaluation(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return _inside(item, "evaluation", "objectiveEvaluation")


def _practice(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return _inside(item, "practice") or _inside(_inside(item, "drillable"), "practice") or item


def _is_invitee(item: Mapping[str, Any]) -> bool:
    return item.get("joined") is None


_ASPECTS: Mapping[str, Mapping[str, tuple[Choice, ...]]] = {
    "accounts": {
        "an item": (
            ("a User inside `account`", "documented", _object("account")),
            ("a bare User", "alternative", _any),
        )
    },
    "catalogs": {
        "an item": (
            ("a bare catalog", "documented", lambda item: not isinstance(item.get("catalog"), dict)),
            ("inside `catalog`", "alternative", _any),
        )
    },
    "groups": {
        "counts": (
            ("there", "documented", _object("counts")),
            ("left out", "alternative", _any),
        )
    },
    "group_members": {
        "an item": (
            ("a User inside `member`", "documented", _object("member")),
            ("a User inside `user`", "alternative", _object("user")),
            ("a bare User", "alternative", _any),
        ),
        "invitees": (
            ("with an id", "documented", lambda item: _is_invitee(item) and bool(_inside(item, "member").get("id"))),
            ("with `status`", "documented", lambda item: _is_invitee(item) and item.get("status") is not None),
            ("told by the lack of `joined` alone", "alternative", _is_invitee),
        ),
    },
    "objectives": {
        "content": (
            ("under `playables`", "documented", _there("playables")),
            ("under `drills`", "alternative", _there("drills")),
            ("left out", "alternative", _any),
        ),
        "numbers": (
            ("as text", "alternative", _as_text("minimumProficiency")),
            ("as numbers", "documented", _there("minimumProficiency")),
        ),
        "name": (
            ("there", "documented", _there("name")),
            ("left out", "alternative", _any),
        ),
    },
    "objective_evaluations": {
        "evaluationDate": (
            ("there", "documented", _there("evaluationDate")),
            ("left out", "alternative", _any),
        ),
        "reviewDate": (
            ("left out: that of the objective counts", "documented", lambda item: item.get("reviewDate") is None),
            ("there", "alternative", _any),
        ),
    },
    "objective_events": {
        "type": (
            ("under `eventType`", "documented", _there("eventType")),
            ("under `type`", "alternative", _there("type")),
        ),
        "time": (
            ("under `timestamp`", "documented", _there("timestamp")),
            ("under `date`", "alternative", _there("date")),
            ("the evaluation's `evaluationDate`", "alternative", lambda item: "evaluationDate" in _evaluation(item)),
        ),
        "evaluation": (
            ("under `evaluation`", "documented", _object("evaluation")),
            ("under `objectiveEvaluation`", "alternative", _object("objectiveEvaluation")),
        ),
        "user": (
            ("on the item", "documented", _object("user")),
            ("inside the evaluation", "alternative", lambda item: isinstance(_evaluation(item).get("user"), dict)),
        ),
        "eventId": (
            ("there", "documented", _there("eventId")),
            ("left out: made of its other fields", "alternative", _any),
        ),
    },
    "results": {
        "measures": (
            ("inside `practice`", "alternative", _object("practice")),
            (
                "inside `drillable.practice`",
                "alternative",
                lambda item: bool(_inside(_inside(item, "drillable"), "practice")),
            ),
            ("on the item", "documented", _any),
        ),
        "proficiency": (
            ("an object", "documented", lambda item: isinstance(_practice(item).get("proficiency"), dict)),
            ("a number", "alternative", lambda item: _practice(item).get("proficiency") is not None),
        ),
    },
    "test_results": {
        "an item": (
            ("a member with `testResults`", "documented", _there("testResults")),
            ("an attempt", "alternative", lambda item: not {"id", "started", "completed", "score"}.isdisjoint(item)),
            ("a member with a list under another name, or with none", "alternative", _any),
        )
    },
}
