from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.extract.parsing import timestamps as moments

from .pages import utc


def read(*values: Any) -> list[datetime | str | None]:
    """Moments as datetimes, reasons where a value could not be read, None where there is none."""
    found, wrong = moments(values)
    return [
        wrong[place].problem if place in wrong else None if np.isnat(value) else value.item().replace(tzinfo=UTC)
        for place, value in enumerate(found)
    ]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-11T16:54:11Z", utc(2024, 1, 11, 16, 54, 11)),
        ("2024-01-11T16:54Z", utc(2024, 1, 11, 16, 54)),
        ("2016-02-23T15:36:57.814Z", utc(2016, 2, 23, 15, 36, 57, 814_000)),
        ("2016-02-23T15:36:57.8Z", utc(2016, 2, 23, 15, 36, 57, 800_000)),
        ("2016-02-23T15:36:57.814159Z", utc(2016, 2, 23, 15, 36, 57, 814_159)),
        ("2016-02-23T15:36:57.814159999Z", utc(2016, 2, 23, 15, 36, 57, 814_159)),
        ("2016-02-23T15:36:57.81415926535897Z", utc(2016, 2, 23, 15, 36, 57, 814_159)),
        ("2024-01-11T16:54:11+02:00", utc(2024, 1, 11, 14, 54, 11)),
        ("2024-01-11T16:54:11.5-0530", utc(2024, 1, 11, 22, 24, 11, 500_000)),
        ("2024-01-11T16:54+01", utc(2024, 1, 11, 15, 54)),
        ("2024-01-11T16:54:11.123456789+02:00", utc(2024, 1, 11, 14, 54, 11, 123_456)),
        ("2024-01-11T16:54:11", utc(2024, 1, 11, 16, 54, 11)),
        ("2024-01-11", utc(2024, 1, 11)),
        ("2024-02-29T00:00:00Z", utc(2024, 2, 29)),
        ("0001-01-01T00:00:00Z", utc(1, 1, 1)),
        ("9999-12-31T23:59:59.999999Z", utc(9999, 12, 31, 23, 59, 59, 999_999)),
        ("9999-12-31T23:59:59.9999999Z", utc(9999, 12, 31, 23, 59, 59, 999_999)),
    ],
)
def test_a_timestamp_of_any_documented_form_is_utc(text: str, moment: datetime) -> None:
    assert read(text) == [moment]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "today",
        "NaT",
        "nan",
        "None",
        "2024",
        "2024-01",
        "20240111",
        "20240111T165411Z",
        "2024-1-1T16:54:11Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-01-11T24:00:00Z",
        "2024-01-11T16:60:00Z",
        "2024-01-11T16:54:60Z",
        "2024-01-11 16:54:11Z",
        " 2024-01-11T16:54:11Z",
        "2024-01-11T16:54:11Z\n",
        "2024-01-11T16:54Z\n2024-01-11T16:54Z",
        "2024-01-11T16:54:11.Z",
        "2024-01-11T16:54:11,5Z",
        "2024-01-11T16:54:11+25:00",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
        "-2024-01-11T00:00:00Z",
        "٢٠٢٤-01-11T16:54:11Z",
        1_700_000_000_000,
        1.5,
        True,
        {"date": "2024-01-11"},
        ["2024-01-11"],
    ],
)
def test_anything_else_is_refused_with_a_reason_and_not_its_neighbours(value: Any) -> None:
    before, refused, after = read("2024-01-11T16:54:11Z", value, "9999-12-31T23:59:59.999999Z")
    assert (before, after) == (utc(2024, 1, 11, 16, 54, 11), utc(9999, 12, 31, 23, 59, 59, 999_999))
    assert isinstance(refused, str)
    assert "timestamp" in refused


def test_a_reason_does_not_hold_the_value() -> None:
    assert read("Noor de Wit") == ["expected a timestamp, found other text"]
    assert read(7) == ["expected a timestamp, found a number"]


def test_what_is_left_out_stays_out() -> None:
    assert read(None, None) == [None, None]
    assert read(None, "2024-01-11T16:54Z", None) == [None, utc(2024, 1, 11, 16, 54), None]
    assert read() == []


def test_one_value_with_nanoseconds_does_not_change_how_others_are_read() -> None:
    assert read("2024-01-11T16:54:11.123456789Z", "9999-12-31T00:00:00Z", None) == [
        utc(2024, 1, 11, 16, 54, 11, 123_456),
        utc(9999, 12, 31),
        None,
    ]


def test_moments_of_our_own_are_taken_as_they_are() -> None:
    later = datetime(2024, 1, 11, 16, 54, tzinfo=timezone(timedelta(hours=2)))
    assert read(later, later) == [utc(2024, 1, 11, 14, 54)] * 2
    assert read(later, "2024-01-11T16:54Z", None) == [utc(2024, 1, 11, 14, 54), utc(2024, 1, 11, 16, 54), None]


zones = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
stamps = st.datetimes(utc(1, 1, 3).replace(tzinfo=None), utc(9999, 12, 29).replace(tzinfo=None), timezones=zones)


@given(st.lists(st.tuples(stamps, st.sampled_from(["seconds", "milliseconds", "microseconds"])), max_size=12))
def test_whatever_python_writes_is_read_back(written: list[tuple[datetime, Any]]) -> None:
    texts = [stamp.isoformat(timespec=precision).replace("+00:00", "Z") for stamp, precision in written]
    expected = [datetime.fromisoformat(text) for text in texts]
    assert read(*texts) == [one.replace(tzinfo=one.tzinfo or UTC).astimezone(UTC) for one in expected]


@given(st.lists(st.text(alphabet="0123456789-+:.TZ \n", max_size=32), max_size=6))
def test_whatever_is_read_python_reads_the_same(texts: list[str]) -> None:
    for text, found in zip(texts, read(*texts), strict=True):
        if isinstance(found, datetime):
            one = datetime.fromisoformat(text)
            assert found == one.replace(tzinfo=one.tzinfo or UTC)
