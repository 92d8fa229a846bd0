"""What may go wrong with an answer: in its bytes, in its pages, or in any part of what it says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.api.scripted import Reply

ENDPOINTS = (
    "organization",
    "accounts",
    "catalogs",
    "catalog",
    "catalog_content",
    "groups",
    "group",
    "group_members",
    "group_staff",
    "group_drillables",
    "objectives",
    "objective_evaluations",
    "results",
    "test_results",
    "objective_events",
)


@dataclass(frozen=True)
class Mutation:
    """One change to the answers of an endpoint."""

    endpoint: str
    kind: str
    place: int = 0
    value: Any = None
    share: int = 1
    """Of how many units one is met."""
    until: int = 0
    """How often each address is met; 0: always."""

    def meets(self, endpoint: str, number: int, times: int) -> bool:
        """Whether an answer is met: the ``times``-th of an address whose number is this."""
        return endpoint == self.endpoint and number % self.share == 0 and (not self.until or times <= self.until)

    def apply(self, reply: Reply, query: Mapping[str, str]) -> Reply:
        """The answer after the change; as it was where there is nothing to change."""
        if self.kind in BYTES:
            return BYTES[self.kind](reply)
        try:
            body = json.loads(reply.body)
        except (ValueError, RecursionError):
            return reply
        if self.kind in PAGES:
            if isinstance(body, dict):
                PAGES[self.kind](body, query, self.value)
        else:
            body = _changed(body, self)
        # Half a surrogate pair can only be written as an escape.
        return replace(reply, body=json.dumps(body, allow_nan=True).encode())


# -- bytes

_DEEP = 100_000


def _headed(reply: Reply, body: bytes, **headers: str) -> Reply:
    return replace(reply, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def _with_field(text: bytes) -> Callable[[Reply], Reply]:
    """An object with one field more, written as given; within the first object where the answer is a list."""

    def apply(reply: Reply) -> Reply:
        start = reply.body.find(b"{") + 1
        if not start:
            return reply
        rest = reply.body[start:]
        comma = b"" if rest.lstrip().startswith(b"}") else b","
        return replace(reply, body=reply.body[:start] + text + comma + rest)

    return apply


BYTES: Mapping[str, Callable[[Reply], Reply]] = {
    "BOM": lambda reply: replace(reply, body=b"\xef\xbb\xbf" + reply.body),
    "UTF-16": lambda reply: replace(reply, body=reply.body.decode("utf-8", "replace").encode("utf-16")),
    "invalid UTF-8": lambda reply: replace(reply, body=reply.body.replace(b'"id"', b'"\xff"', 1)),
    "a stray byte": lambda reply: replace(reply, body=reply.body[:-1] + b"\xc3" + reply.body[-1:]),
    "nothing": lambda reply: replace(reply, body=b""),
    "blanks": lambda reply: replace(reply, body=b" \n "),
    "HTML": lambda reply: replace(reply, body=b"<!doctype html><title>Wilhelmina</title>"),
    "half": lambda reply: replace(reply, body=reply.body[: len(reply.body) // 2]),
    "twice": lambda reply: replace(reply, body=reply.body + reply.body),
    "line breaks": lambda reply: replace(reply, body=reply.body.replace(b", ", b",\r\n ")),
    "gzip": lambda reply: _headed(reply, gzip.compress(reply.body), Content_Encoding="gzip"),
    "half a gzip": lambda reply: _headed(
        reply, (packed := gzip.compress(reply.body))[: len(packed) - 9], Content_Encoding="gzip"
    ),
    "no gzip": lambda reply: _headed(reply, reply.body, Content_Encoding="gzip"),
    "NaN": _with_field(b'"proficiency": NaN'),
    "Infinity": _with_field(b'"total": -Infinity'),
    "1e999": _with_field(b'"total": 1e999'),
    "a huge number": _with_field(b'"total": ' + b"9" * 5_000),
    "a large number": _with_field(b'"total": ' + b"9" * 400),
    "deep": _with_field(b'"deep": ' + b"[" * _DEEP + b"]" * _DEEP),
    "rather deep": _with_field(b'"deep": ' + b'{"a":' * 400 + b"1" + b"}" * 400),
    "deeper": _with_field(b'"deep": ' + b"[" * 700 + b"]" * 700),
    "as deep as can be read": _with_field(b'"deep": ' + b"[" * 930 + b"]" * 930),
    "a name twice": _with_field(b'"id": "first", "id": "second"'),
    "a list twice": _with_field(b'"accounts": [], "members": [], "groups": []'),
    "a NUL": _with_field(b'"na\\u0000me": "a\\u0000b"'),
    "half an emoji": _with_field(b'"\\ud83d": "\\ud83d"'),
    "null": lambda reply: replace(reply, body=b"null"),
    "a text": lambda reply: replace(reply, body=b'"down"'),
    "an empty list": lambda reply: replace(reply, body=b"[]"),
    "an empty object": lambda reply: replace(reply, body=b"{}"),
    "an error with 200": lambda reply: replace(reply, body=b'{"id": "not_found", "description": "gone"}'),
    "204": lambda reply: replace(reply, body=b"", status=204),
    "403": lambda reply: replace(reply, body=b'{"id": "not_permitted"}', status=403),
    "404": lambda reply: replace(reply, body=b'{"id": "not_found"}', status=404),
    "400": lambda reply: replace(reply, body=b'{"id": "odd"}', status=400),
    "400 size": lambda reply: replace(reply, body=b'{"id": "invalid_result_size"}', status=400),
    "400 from": lambda reply: replace(reply, body=b'{"id": "invalid_result_from"}', status=400),
    "500": lambda reply: replace(reply, body=b"", status=500),
    "cut": lambda reply: Reply(status=599, pieces=[b"HTTP/1.1 200 X\r\nContent-Length: 999\r\n\r\n", reply.body[:20]]),
}


# -- pages


def _pagination(body: dict[str, Any]) -> dict[str, Any]:
    found = body.get("pagination")
    if not isinstance(found, dict):
        body["pagination"] = found = {}
    return found


def _loop(body: dict[str, Any], _query: Mapping[str, str], _value: Any) -> None:
    _pagination(body).update(moreAvailable=True, lastOnPage="0")


def _runaway(body: dict[str, Any], query: Mapping[str, str], _value: Any) -> None:
    at = query.get("resultFrom", "0")
    _pagination(body).update(moreAvailable=True, lastOnPage=str(int(at) + 1) if at.isdigit() else "1")


def _no_flag(body: dict[str, Any], _query: Mapping[str, str], _value: Any) -> None:
    _pagination(body).pop("moreAvailable", None)


def _empty(body: dict[str, Any], query: Mapping[str, str], _value: Any) -> None:
    if "resultFrom" not in query and "resultStart" not in query:
        for name, value in body.items():
            if isinstance(value, list):
                body[name] = []
        _pagination(body).update(moreAvailable=True, lastOnPage="0")


def _total(body: dict[str, Any], _query: Mapping[str, str], value: Any) -> None:
    _pagination(body)["total"] = value


def _top_total(body: dict[str, Any], _query: Mapping[str, str], value: Any) -> None:
    body.pop("pagination", None)
    body["total"] = value


def _cursor(body: dict[str, Any], _query: Mapping[str, str], value: Any) -> None:
    _pagination(body).update(moreAvailable=True, lastOnPage=value)


def _more(body: dict[str, Any], _query: Mapping[str, str], value: Any) -> None:
    _pagination(body)["moreAvailable"] = value


def _doubled(body: dict[str, Any], _query: Mapping[str, str], _value: Any) -> None:
    for name, value in body.items():
        if isinstance(value, list):
            body[name] = value + value


def _short(body: dict[str, Any], _query: Mapping[str, str], _value: Any) -> None:
    for name, value in body.items():
        if isinstance(value, list):
            body[name] = value[:-1]


def _take(body: dict[str, Any], _query: Mapping[str, str], number: Any) -> None:
    for name, value in body.items():
        if isinstance(value, list):
            body[name] = value[: number if isinstance(number, int) else 1]


def _no_counts(body: dict[str, Any], _query: Mapping[str, str], _value: Any) -> None:
    groups = body["groups"] if isinstance(body.get("groups"), list) else [body]
    for group in groups:
        if isinstance(group, dict):
            group["counts"] = {"members": 0, "drillables": 0, "tests": 0}


PAGES: Mapping[str, Callable[[dict[str, Any], Mapping[str, str], Any], None]] = {
    "a cursor that loops": _loop,
    "a cursor without end": _runaway,
    "no flag": _no_flag,
    "an empty page first": _empty,
    "total": _total,
    "top total": _top_total,
    "cursor": _cursor,
    "more": _more,
    "items twice": _doubled,
    "the last one missing": _short,
    "take": _take,
    "counts": _no_counts,
}


# -- parts

_CHANGES = ("replace", "replace an id", "leave out", "rename", "wrap", "enlist", "empty", "repeat", "swap")


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inside:
        yield (*path, name)
        yield from _places(one, (*path, name))


def _changed(body: Any, mutation: Mutation) -> Any:
    places = [place for place in _places(body) if mutation.kind != "replace an id" or place[-1] == "id"]
    if not places:
        return body
    *path, last = places[mutation.place % len(places)]
    holder = body
    for name in path:
        holder = holder[name]
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
    return body


ODD_TEXTS = (
    "", ".", "..", "/", "../..", "%2e%2e", "a\0b", "\ud800", "é🙂", "x" * 10_001, "y" * 70_000, "\x1f", "\n", "null",
    "-1", "0", "9" * 30, "9" * 5_000, "id1", "id2", "id3", "1e9", "true", "٣", "²", "TEST", "DRILL", "MEMBER", "self",
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
_endpoints = st.sampled_from(ENDPOINTS)
_reach = {"share": st.sampled_from((1, 1, 2, 3)), "until": st.sampled_from((0, 0, 0, 1, 2))}
part_changes = st.builds(Mutation, _endpoints, st.sampled_from(_CHANGES), st.integers(0, 400), values, **_reach)
byte_changes = st.builds(Mutation, _endpoints, st.sampled_from(sorted(BYTES)), **_reach)
page_changes = st.builds(Mutation, _endpoints, st.sampled_from(sorted(PAGES)), st.just(0), scalars, **_reach)
mutations = st.lists(part_changes | part_changes | byte_changes | page_changes, min_size=1, max_size=4)
