from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.extract.parsing import ParseError as Misfit
from drillster_pipeline.extract.parsing import as_code as upper
from drillster_pipeline.extract.parsing import as_id as identity
from drillster_pipeline.extract.parsing import as_login as login_moment
from drillster_pipeline.extract.parsing import as_object as inner
from drillster_pipeline.extract.parsing import as_seconds as seconds

from .pages import utc


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("PT48H", 172_800),
        ("PT0S", 0),
        ("PT1H30M", 5_400),
        ("P1DT2H3M4S", 93_784),
        ("P2W", 1_209_600),
        ("P1D", 86_400),
        ("PT0.5H", 1_800),
        ("PT1.6S", 2),
        ("PT90M", 5_400),
        (None, None),
    ],
)
def test_a_duration_is_whole_seconds(duration: str | None, expected: int | None) -> None:
    assert seconds(duration) == expected


@pytest.mark.parametrize(
    "duration",
    ["", "P", "PT", "P1DT", "P1Y", "P1M", "PT1H ", "48H", "-PT1H", "PT-1H", "pt1h", "PT1M1H", "PT1,5S", "P" * 99],
)
def test_what_is_no_duration_of_known_length_is_a_misfit(duration: str) -> None:
    found = seconds(duration)
    assert isinstance(found, Misfit)
    assert duration not in found.problem or len(duration) <= 2


@pytest.mark.parametrize("value", [48, 1.5, True, [], {}])
def test_a_duration_without_a_unit_is_a_misfit(value: Any) -> None:
    assert isinstance(seconds(value), Misfit)


@given(st.integers(0, 9_999), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_days_hours_minutes_and_seconds_add_up(days: int, hours: int, minutes: int, rest: int) -> None:
    assert seconds(f"P{days}DT{hours}H{minutes}M{rest}S") == ((days * 24 + hours) * 60 + minutes) * 60 + rest


@given(st.text(max_size=80))
def test_no_text_at_all_breaks_the_reading_of_durations(text: str) -> None:
    found = seconds(text)
    assert isinstance(found, Misfit | int)


@pytest.mark.parametrize(("value", "expected"), [("x1", "x1"), (17, "17"), (0, "0"), ("", None), (None, None)])
def test_an_id_is_text(value: Any, expected: str | None) -> None:
    assert identity(value) == expected


@pytest.mark.parametrize("value", [True, 1.5, [], {}, 1 << 70])
def test_what_cannot_be_an_id_is_a_misfit(value: Any) -> None:
    assert isinstance(identity(value), Misfit)


def test_milliseconds_of_a_last_login_are_told_from_anything_else() -> None:
    assert login_moment(1_700_000_000_123) == utc(2023, 11, 14, 22, 13, 20, 123_000)
    assert login_moment(1_700_000_000) == 1_700_000_000, "seconds, or milliseconds of 1970: nobody can tell"
    assert login_moment("2025-05-02T06:41:00Z") == "2025-05-02T06:41:00Z"
    assert login_moment(True) is True
    assert login_moment(None) is None


@pytest.mark.parametrize("value", ["x", 5, [], True])
def test_what_is_read_from_something_that_is_no_object_is_a_misfit(value: Any) -> None:
    found = inner(value).get("anything")
    assert isinstance(found, Misfit)
    assert found.problem.startswith("expected an object, found ")
    assert inner(found).get("deeper") == found


def test_what_is_read_from_an_object_that_was_left_out_is_left_out_too() -> None:
    assert inner(None).get("anything") is None


def test_words_of_an_enumeration_are_in_upper_case() -> None:
    assert upper("accepted") == "ACCEPTED"
    assert isinstance(upper(5), Misfit)
