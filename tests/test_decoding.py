"""What is decoded is what ``json.loads`` makes of it, in value and type, or refused as it refuses."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.response_shapes import decoded

NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(1 << 66), 1 << 66),
    st.floats(),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS.filter(lambda number: not isinstance(number, str)), st.text())
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def outcome(of: Any, content: bytes) -> Any:
    try:
        return of(content)
    except (ValueError, RecursionError):
        return ValueError


def check(content: bytes) -> None:
    """``repr`` distinguishes what ``==`` does not: 1, 1.0 and True; 0.0 and -0.0; the order of an object's members."""
    assert repr(outcome(decoded, content)) == repr(outcome(json.loads, content))


@given(value=VALUES, ascii_only=st.booleans(), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]))
def test_any_value(value: Any, ascii_only: bool, encoding: str) -> None:
    check(json.dumps(value, ensure_ascii=ascii_only).encode(encoding, "surrogatepass"))


@given(number=NUMBERS)
def test_any_number(number: Any) -> None:
    check(f'{{"n":[{number}]}}'.encode())


@given(value=VALUES, place=st.integers(0, 200), other=st.binary(max_size=3))
def test_a_text_that_was_damaged(value: Any, place: int, other: bytes) -> None:
    whole = json.dumps(value).encode()
    check(whole[:place] + other + whole[place + len(other) :])


def test_values_that_decoders_differ_in() -> None:
    contents = [b"9223372036854775807", b"-9223372036854775809", b"18446744073709551615", b"18446744073709551616"]
    contents += [b'{"id":123456789012345678901234567890}', b'["1234567890123456789"]', b"1e999", b"-0", b"-0.0", b"NaN"]
    contents += [b'"\\ud800"', b'"\xed\xa0\x80"', b'{"a":1,"b":2,"a":3}', b"[" * 5_000 + b"]" * 5_000, b"", b" "]
    for content in contents:
        check(content)
