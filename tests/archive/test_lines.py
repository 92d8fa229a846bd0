from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.archive.records import PageRecord, UnitFooter, body_bytes, line_bytes, parse_line

texts = st.text(max_size=30)
units = st.dictionaries(st.sampled_from(["group_id", "account_id", "objective_id"]), texts)
bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | st.just("body"), inner, max_size=4),
    max_leaves=10,
)
ends = st.none() | st.builds(
    UnitFooter,
    st.integers(0, 1000),
    st.none() | st.integers(0, 1000),
    expected=st.none() | st.integers(0, 1000),
    status=st.sampled_from([200, 403, 404, 503]),
    cut=st.booleans(),
    moved=st.booleans(),
)


def encoded(body: object, *, ascii_only: bool) -> bytes:
    return json.dumps(body, ensure_ascii=ascii_only, separators=(",", ":")).encode("utf-8", "surrogatepass")


@given(units, st.integers(0, 50), texts, bodies, st.integers(1, 9), ends, st.booleans())
def test_a_line_comes_back_as_it_went_in(
    unit: dict[str, str], page: int, moment: str, body: object, attempt: int, end: UnitFooter | None, ascii_only: bool
) -> None:
    line = line_bytes(unit, page, moment, encoded(body, ascii_only=ascii_only), attempt=attempt, footer=end)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert parse_line(line[:-1]) == PageRecord(unit, page, moment, body, attempt, end)


@given(units, texts, bodies, ends)
def test_the_head_of_a_line_is_read_without_its_body(
    unit: dict[str, str], moment: str, body: object, end: UnitFooter | None
) -> None:
    line = line_bytes(unit, 1, moment, encoded({"body": body}, ascii_only=True), attempt=1, footer=end)
    assert parse_line(line, body=False) == PageRecord(unit, 1, moment, None, 1, end)


def test_what_looks_like_the_start_of_a_body_may_stand_in_an_id() -> None:
    unit = {"group_id": ',"body":{', "account_id": '","body":"'}
    line = line_bytes(unit, 1, "now", b'{"a":1}', attempt=1, footer=None)
    assert parse_line(line, body=False).unit == unit
    assert parse_line(line).body == {"a": 1}


@given(st.recursive(st.text(st.characters(exclude_categories=())), lambda inner: st.lists(inner, max_size=3)))
def test_a_body_that_was_changed_is_utf_8_and_says_the_same(body: object) -> None:
    content = body_bytes(body)
    content.decode()
    assert b"\n" not in content
    assert json.loads(content) == json.loads(json.dumps(body))


def test_half_a_surrogate_pair_is_kept() -> None:
    body = json.dumps("\ud83d", ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert parse_line(line_bytes({}, 1, "now", body, attempt=1, footer=None)).body == "\ud83d"
