"""What may be wrong with a response: its bytes, its pages, or any part of its JSON."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st

from drillster_pipeline.resources import RESOURCES

ENDPOINTS = {each.path: each for resource in RESOURCES.values() for each in (resource, resource.detail) if each}
"""All endpoints by path template."""


class Reply(NamedTuple):
    """A response to change."""

    body: bytes
    status: int = 200
    encoding: str = "identity"


@dataclass(frozen=True)
class Mutation:
    """One change to the responses of an endpoint."""

    endpoint: str
    """A path template, such as ``group/{group_id}/members``."""
    kind: str
    place: int = 0
    value: Any = None
    share: int = 1
    """One of so many units is changed."""
    until: int = 0
    """How often each address is changed; 0: always."""

    def applies(self, endpoint: str, number: int, times: int) -> bool:
        """Whether a response is changed: the ``times``-th of the address with this number."""
        return endpoint == self.endpoint and number % self.share == 0 and (not self.until or times <= self.until)

    def apply(self, reply: Reply, query: Mapping[str, str]) -> Reply:
        """The changed response; the same where there is nothing to change."""
        if self.kind in BYTES:
            return BYTES[self.kind](reply.body)
        try:
            body = json.loads(reply.body)
        except (ValueError, RecursionError):
            return reply
        if self.kind in PAGES:
            if isinstance(body, dict):
                PAGES[self.kind](body, query, self.value)
        else:
            change(body, self)
        # Half a surrogate pair can only be written as an escape.
        return reply._replace(body=json.dumps(body, allow_nan=True).encode())


# -- bytes


def _with_field(text: bytes) -> Callable[[bytes], Reply]:
    """An object with one field more, written as given; within the first object where the response is a list."""

    def apply(body: bytes) -> Reply:
        start = body.find(b"{") + 1
        if not start:
            return Reply(body)
        comma = b"" if body[start:].lstrip().startswith(b"}") else b","
        return Reply(body[:start] + text + comma + body[start:])

    return apply


def _nested(depth: int) -> Callable[[bytes], Reply]:
    return _with_field(b'"deep": ' + b"[" * depth + b"]" * depth)


BYTES: Mapping[str, Callable[[bytes], Reply]] = {
    "BOM": lambda body: Reply(b"\xef\xbb\xbf" + body),
    "UTF-16": lambda body: Reply(body.decode("utf-8", "replace").encode("utf-16")),
    "invalid UTF-8": lambda body: Reply(body.replace(b'"id"', b'"\xff"', 1)),
    "a stray byte": lambda body: Reply(body[:-1] + b"\xc3" + body[-1:]),
    "nothing": lambda _: Reply(b""),
    "blanks": lambda _: Reply(b" \n "),
    "HTML": lambda _: Reply(b"<!doctype html><title>Noor de Wit</title>"),
    "half": lambda body: Reply(body[: len(body) // 2]),
    "twice": lambda body: Reply(body + body),
    "line breaks": lambda body: Reply(body.replace(b",", b",\r\n ")),
    "gzip": lambda body: Reply(gzip.compress(body), encoding="gzip"),
    "half a gzip": lambda body: Reply(gzip.compress(body)[:-9], encoding="gzip"),
    "no gzip": lambda body: Reply(body, encoding="gzip"),
    "NaN": _with_field(b'"proficiency": NaN'),
    "Infinity": _with_field(b'"total": -Infinity'),
    "1e999": _with_field(b'"total": 1e999'),
    "a huge number": _with_field(b'"total": ' + b"9" * 5_000),
    "a large number": _with_field(b'"total": ' + b"9" * 400),
    "too deep": _nested(100_000),
    "as deep as can be read": _nested(930),
    "deep": _with_field(b'"deep": ' + b'{"a":' * 400 + b"1" + b"}" * 400),
    "a name twice": _with_field(b'"id": "first", "id": "second"'),
    "a list twice": _with_field(b'"accounts": [], "members": [], "groups": []'),
    "a NUL": _with_field(b'"na\\u0000me": "a\\u0000b"'),
    "half an emoji": _with_field(b'"\\ud83d": "\\ud83d"'),
    **{text: lambda _, text=text: Reply(text.encode()) for text in ("null", '"down"', "[]", "{}")},  # type: ignore[misc]  # a default in a lambda
    "an error with 200": lambda _: Reply(b'{"id": "not_found", "description": "gone"}'),
    "204": lambda _: Reply(b"", 204),
    "400 of the size": lambda _: Reply(b'{"id": "invalid_result_size"}', 400),
    "400 of the cursor": lambda _: Reply(b'{"id": "invalid_result_from"}', 400),
    **{
        str(status): lambda _, status=status: Reply(b'{"id": "not_permitted"}', status)  # type: ignore[misc]  # the same
        for status in (400, 403, 404, 500)
    },
}


# -- pages


def _pagination(body: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(body.get("pagination"), dict):
        body["pagination"] = {}
    found: dict[str, Any] = body["pagination"]
    return found


def _each_list(of: Callable[[list[Any], Any], list[Any]]) -> Callable[[dict[str, Any], Any, Any], None]:
    def apply(body: dict[str, Any], _query: Any, value: Any) -> None:
        body.update({name: of(items, value) for name, items in body.items() if isinstance(items, list)})

    return apply


def _runaway(body: dict[str, Any], query: Mapping[str, str], _value: Any) -> None:
    at = query.get("resultFrom", "0")
    _pagination(body).update(moreAvailable=True, lastOnPage=str(int(at) + 1) if at.isdigit() else "1")


def _empty(body: dict[str, Any], query: Mapping[str, str], value: Any) -> None:
    if "resultFrom" not in query and "resultStart" not in query:
        _each_list(lambda *_: [])(body, query, value)
        _pagination(body).update(moreAvailable=True, lastOnPage="0")


def _top_total(body: dict[str, Any], _query: Any, value: Any) -> None:
    body.pop("pagination", None)
    body["total"] = value


def _no_counts(body: dict[str, Any], _query: Any, _value: Any) -> None:
    for group in body["groups"] if isinstance(body.get("groups"), list) else [body]:
        if isinstance(group, dict):
            group["counts"] = {"members": 0, "drillables": 0, "tests": 0}


PAGES: Mapping[str, Callable[[dict[str, Any], Mapping[str, str], Any], None]] = {
    "a cursor that loops": lambda body, _, __: _pagination(body).update(moreAvailable=True, lastOnPage="0"),
    "a cursor without end": _runaway,
    "no flag": lambda body, _, __: _pagination(body).pop("moreAvailable", None),
    "an empty page first": _empty,
    "total": lambda body, _, value: _pagination(body).update(total=value),
    "top total": _top_total,
    "cursor": lambda body, _, value: _pagination(body).update(moreAvailable=True, lastOnPage=value),
    "more": lambda body, _, value: _pagination(body).update(moreAvailable=value),
    "items twice": _each_list(lambda items, _: items + items),
    "the last one missing": _each_list(lambda items, _: items[:-1]),
    "take": _each_list(lambda items, number: items[: number if isinstance(number, int) else 1]),
    "counts": _no_counts,
}


# -- parts

_CHANGES = ("replace", "replace an id", "leave out", "rename", "wrap", "enlist", "empty", "repeat", "swap")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: its holder and its name or number there."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inside:
        yield value, name
        yield from _places(one)


def change(body: Any, mutation: Mutation) -> None:
    """Change one part of a JSON value, in place."""
    places = [place for place in _places(body) if mutation.kind != "replace an id" or place[1] == "id"]
    if not places:
        return
    holder, last = places[mutation.place % len(places)]
    old, value = holder[last], mutation.value
    match mutation.kind:
        case "replace" | "replace an id":
            holder[last] = value
        case "leave out":
            del holder[last]
        case "rename" if isinstance(holder, dict):
            holder[value if isinstance(value, str) else "renamed"] = holder.pop(last)
        case "wrap":
            holder[last] = {"value": old}
        case "enlist":
            holder[last] = [old]
        case "empty":
            holder[last] = type(old)()
        case "repeat" if isinstance(holder, list):
            holder.append(old)
        case "swap" if isinstance(holder, list):
            holder.reverse()
        case _:
            holder[last] = None if mutation.place % 3 else old


ODD_TEXTS = (
    "", ".", "..", "/", "../..", "%2e%2e", "a\0b", "\ud800", "é🙂", "x" * 10_001, "y" * 70_000, "\x1f", "\n", "null",
    "-1", "0", "9" * 30, "9" * 5_000, "1e9", "true", "٣", "²", "TEST", "DRILL", "MEMBER", "self",
    "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-01T24:00:00Z", "2026-13-01T00:00:00Z",
    "2026-01-01T00:00:00+24:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2026-02-28T23:59:60Z",
    "2026-01-01T00:00:00.1234567891Z", "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "P1Y2M",
    "PT" + "9" * 400 + "H",
)  # fmt: skip
ODD_NUMBERS = (
    0, -1, 1, 101, 1 << 15, 1 << 31, 1 << 63, -(1 << 63) - 1, 10**30, 10**400, 1.5, -0.0, 1e308, float("inf"), 10**9,
)  # fmt: skip
scalars = st.sampled_from((None, True, False, *ODD_NUMBERS, *ODD_TEXTS)) | st.text(max_size=4) | st.integers()
values = st.recursive(
    scalars,
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(("id", "name", "user", "total", "")) | st.text(max_size=4), inside, max_size=3
        )
    ),
    max_leaves=5,
)
_endpoints = st.sampled_from(sorted(ENDPOINTS))
_reach = {"share": st.sampled_from((1, 1, 2, 3)), "until": st.sampled_from((0, 0, 0, 1, 2))}
part_changes = st.builds(Mutation, _endpoints, st.sampled_from(_CHANGES), st.integers(0, 400), values, **_reach)
byte_changes = st.builds(Mutation, _endpoints, st.sampled_from(sorted(BYTES)), **_reach)
page_changes = st.builds(Mutation, _endpoints, st.sampled_from(sorted(PAGES)), st.just(0), scalars, **_reach)
mutations = st.lists(part_changes | part_changes | byte_changes | page_changes, min_size=1, max_size=4)
