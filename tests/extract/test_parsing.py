from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.extract.parsing import (
    STRING,
    ParseError,
    as_id,
    as_login,
    as_seconds,
    cast,
    cleaned,
    timestamps,
)
from drillster_pipeline.tables.schema import Column, Type, boolean, date, integer, key, percentage, text, timestamp

from .pages import EXPORT_DATE, utc

PROFICIENCY = percentage("proficiency", "A percentage.")
COUNT = integer("count", "A count.")
YEAR = Column(name="year", type=Type.SMALLINT, description="Any small number.")
PROGRESS = Column(name="progress", type=Type.FLOAT, minimum=0, maximum=1, description="A share.")
MET = boolean("met", "A flag.")
NAME = text("name", "A text.")
AT = timestamp("at", "A moment.")
DAY = date("day", "A day.", nullable=False)
WRONG_TYPE, RANGE, SIZE = "! expected", "! out of range", "! a number beyond 64 bits"


def typed(column: Column, *values: Any) -> list[Any]:
    """Values as they come out, None for missing ones, and reasons for those that do not fit."""
    one = cast(column, values)
    return [
        f"! {one.wrong[place].problem}" if place in one.wrong else None if pd.isna(value) else value
        for place, value in enumerate(one.array)
    ]


@pytest.mark.parametrize(
    ("column", "pairs"),
    [
        (PROFICIENCY, [(61, 61), (0, 0), (100, 100), (61.0, 61), ("90", 90), (None, None), ("", None)]),
        (PROFICIENCY, [(66.7, 67), (83.33, 83), (61.5, 62), (62.5, 63), (0.49999999999999994, 0), (99.5, 100)]),
        (PROFICIENCY, [(101, RANGE), (-1, RANGE), ("-1", RANGE), (100.4, RANGE), (-0.3, RANGE), (1e300, RANGE)]),
        (PROFICIENCY, [(one, WRONG_TYPE) for one in ("66.7", "ninety", " 90", "90.0", "٩٠", True, {"a": 1}, [61])]),
        (PROFICIENCY, [(math.nan, WRONG_TYPE), (math.inf, WRONG_TYPE)]),
        (COUNT, [((1 << 63) - 1, (1 << 63) - 1), (1 << 63, SIZE), (10**30, SIZE), (1e300, SIZE), (-1, RANGE)]),
        (COUNT, [(61.5, WRONG_TYPE), ("9" * 30, WRONG_TYPE)]),
        (YEAR, [("1984", 1984), (-32_768, -32_768), (32_768, RANGE), (1980.5, WRONG_TYPE)]),
        (PROGRESS, [(1, 1.0), ("0.5", 0.5), (1.01, RANGE), (-0.1, RANGE), (math.nan, RANGE), (math.inf, RANGE)]),
        (PROGRESS, [(10**400, SIZE), (True, WRONG_TYPE), ("half", WRONG_TYPE)]),
        (MET, [(True, True), (False, False), (None, None), (1, WRONG_TYPE), ("true", WRONG_TYPE)]),
        (
            NAME,
            [("", ""), ("Zoë 👩‍⚕️ مرحبا", "Zoë 👩‍⚕️ مرحبا"), ("x" * 10_000, "x" * 10_000), ("nan", "nan"), (None, None)],
        ),
        (NAME, [("a\0b\0", "ab"), ("cut \ud83d", "cut \ufffd"), (5, WRONG_TYPE), (False, WRONG_TYPE)]),
        (DAY, [(EXPORT_DATE, EXPORT_DATE), (None, "! missing")]),
    ],
)
def test_a_value_is_typed_or_refused_and_its_neighbours_are_left_alone(column: Column, pairs: list[Any]) -> None:
    values, expected = zip(*pairs, strict=True)
    for found in (typed(column, *values), [typed(column, value)[0] for value in values]):
        for one, wanted in zip(found, expected, strict=True):
            assert str(one).startswith(wanted) if str(wanted).startswith("!") else one == wanted
            assert isinstance(one, bool | np.bool_) == isinstance(wanted, bool)


@pytest.mark.parametrize(
    ("column", "value", "dtype"),
    [
        (NAME, "a", STRING),
        (PROFICIENCY, 1, "Int16"),
        (COUNT, 1, "Int64"),
        (PROGRESS, 0.5, "Float64"),
        (MET, True, "boolean"),
        (AT, "2024-01-11T16:54Z", "datetime64[us, UTC]"),
    ],
)
def test_a_dtype_follows_from_the_declaration_alone(column: Column, value: Any, dtype: Any) -> None:
    for some in ([value, None], [value], [], [None, None], [value, {}]):
        assert cast(column, some).array.dtype == dtype


def test_a_key_is_neither_missing_nor_empty_and_what_does_not_fit_is_not_called_missing() -> None:
    one = cast(key("group_id", "The group."), ["g", None, "", 5], of_key=True)
    problems = {place: error.problem for place, error in one.wrong.items()}
    assert problems == {1: "missing", 2: "is empty", 3: "expected text, found a number"}


storable = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"))


@pytest.mark.parametrize(
    ("column", "values"),
    [(NAME, storable), (COUNT, st.integers(0, (1 << 63) - 1)), (PROGRESS, st.floats(0, 1)), (MET, st.booleans())],
)
@given(data=st.data())
def test_what_fits_comes_back_as_it_was(column: Column, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    drawn = data.draw(st.lists(st.none() | values))
    assert typed(column, *drawn) == drawn


@given(st.text(alphabet=st.characters()))
def test_cleaned_text_can_always_be_stored_and_is_not_changed_again(value: str) -> None:
    once = cleaned(value)
    assert "\0" not in once
    assert once.encode().decode() == once == cleaned(once)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(utc(2024, 1, 1)),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(), inside, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from([PROFICIENCY, COUNT, YEAR, PROGRESS, MET, NAME, AT]), st.lists(anything))
def test_any_column_of_json_is_typed_or_refused_value_by_value(column: Column, values: list[Any]) -> None:
    one = cast(column, values)
    assert len(one.array) == len(values)
    for place, value in enumerate(values):
        alone = cast(column, [value])
        assert one.wrong.get(place) == alone.wrong.get(0)
        assert pd.isna(one.array[place]) == pd.isna(alone.array[0])
        assert pd.isna(one.array[place]) or one.array[place] == alone.array[0]


def read(*values: Any) -> list[datetime | str | None]:
    """Timestamps as datetimes, reasons where a value could not be read, None where there is none."""
    found, wrong = timestamps(values)
    return [
        wrong[place].problem if place in wrong else None if np.isnat(value) else value.item().replace(tzinfo=UTC)
        for place, value in enumerate(found)
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024-01-11T16:54:11Z", utc(2024, 1, 11, 16, 54, 11)),
        ("2024-01-11T16:54Z", utc(2024, 1, 11, 16, 54)),
        ("2016-02-23T15:36:57.8Z", utc(2016, 2, 23, 15, 36, 57, 800_000)),
        ("2016-02-23T15:36:57.814159Z", utc(2016, 2, 23, 15, 36, 57, 814_159)),
        ("2016-02-23T15:36:57.81415926535897Z", utc(2016, 2, 23, 15, 36, 57, 814_159)),
        ("2024-01-11T16:54:11+02:00", utc(2024, 1, 11, 14, 54, 11)),
        ("2024-01-11T16:54:11.5-0530", utc(2024, 1, 11, 22, 24, 11, 500_000)),
        ("2024-01-11T16:54+01", utc(2024, 1, 11, 15, 54)),
        ("2024-01-11T16:54:11", utc(2024, 1, 11, 16, 54, 11)),
        ("2024-01-11", utc(2024, 1, 11)),
        ("2024-02-29T00:00:00Z", utc(2024, 2, 29)),
        ("0001-01-01T00:00:00Z", utc(1, 1, 1)),
        ("9999-12-31T23:59:59.9999999Z", utc(9999, 12, 31, 23, 59, 59, 999_999)),
        (datetime(2024, 1, 11, 16, 54, tzinfo=timezone(timedelta(hours=2))), utc(2024, 1, 11, 14, 54)),
        (None, None),
    ],
)
def test_a_timestamp_of_any_documented_form_is_utc_whatever_is_next_to_it(written: Any, expected: Any) -> None:
    assert read(written) == [expected]
    assert read("2024-01-11T16:54Z", written, None) == [utc(2024, 1, 11, 16, 54), expected, None]


@pytest.mark.parametrize(
    "value",
    [
        *("", "now", "today", "NaT", "nan", "None", "2024", "2024-01", "20240111", "20240111T165411Z", "2024-W01-1"),
        *("2024-1-1T16:54:11Z", "2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2024-01-11T24:00:00Z"),
        *("2024-01-11T16:60:00Z", "2024-01-11T16:54:60Z", "2024-01-11 16:54:11Z", " 2024-01-11T16:54:11Z"),
        *("2024-01-11T16:54:11Z\n", "2024-01-11T16:54Z\n2024-01-11T16:54Z", "2024-01-11T16:54:11.Z"),
        *("2024-01-11T16:54:11,5Z", "2024-01-11T16:54:11+25:00", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        *("0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "-2024-01-11T00:00:00Z", "٢٠٢٤-01-11T16:54:11Z"),
        *(1_700_000_000_000, 1.5, True, {"date": "2024-01-11"}, ["2024-01-11"]),
    ],
)
def test_anything_else_is_no_timestamp_and_the_reason_does_not_show_it(value: Any) -> None:
    before, refused, after = read("2024-01-11T16:54:11Z", value, "9999-12-31T23:59:59.999999Z")
    assert (before, after) == (utc(2024, 1, 11, 16, 54, 11), utc(9999, 12, 31, 23, 59, 59, 999_999))
    assert refused in {
        "expected a timestamp, found other text",
        "a timestamp outside the years 1 to 9999",
        *(f"expected a timestamp, found {kind}" for kind in ("a number", "a boolean", "an object", "a list")),
    }


zones = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
stamps = st.datetimes(utc(1, 1, 3).replace(tzinfo=None), utc(9999, 12, 29).replace(tzinfo=None), timezones=zones)


@given(st.lists(st.tuples(stamps, st.sampled_from(["seconds", "milliseconds", "microseconds"])), max_size=12))
def test_whatever_python_writes_is_read_back(written: list[tuple[datetime, Any]]) -> None:
    texts = [stamp.isoformat(timespec=precision).replace("+00:00", "Z") for stamp, precision in written]
    expected = [datetime.fromisoformat(text) for text in texts]
    assert read(*texts) == [one.replace(tzinfo=one.tzinfo or UTC).astimezone(UTC) for one in expected]


@given(st.lists(st.text(alphabet="0123456789-+:.TZ \n", max_size=32), max_size=6))
def test_whatever_is_read_python_reads_the_same(texts: list[str]) -> None:
    for written, found in zip(texts, read(*texts), strict=True):
        if isinstance(found, datetime):
            one = datetime.fromisoformat(written)
            assert found == one.replace(tzinfo=one.tzinfo or UTC)


def test_a_duration_is_seconds_to_the_nearest() -> None:
    durations = {"PT48H": 172_800, "PT0S": 0, "P1DT2H3M4S": 93_784, "P2W": 1_209_600, "PT0.5H": 1_800, "PT1.6S": 2}
    assert {text: as_seconds(text) for text in durations} == durations
    assert as_seconds(None) is None


@pytest.mark.parametrize(
    "value",
    ["", "P", "PT", "P1DT", "P1Y", "P1M", "PT1H ", "48H", "-PT1H", "pt1h", "PT1M1H", "PT1,5S", "P" * 99, 48, True, []],
)
def test_what_is_no_duration_of_known_length_is_an_error(value: Any) -> None:
    assert isinstance(as_seconds(value), ParseError)


@given(st.text(max_size=80))
def test_no_text_at_all_breaks_the_reading_of_durations(value: str) -> None:
    assert isinstance(as_seconds(value), ParseError | int)


def test_an_id_is_text_or_an_integer_of_64_bits() -> None:
    assert [as_id(value) for value in ("x1", 17, 0, "", None)] == ["x1", "17", "0", None, None]
    assert all(isinstance(as_id(value), ParseError) for value in (True, 1.5, [], {}, 1 << 70))


def test_milliseconds_of_a_last_login_are_distinguished_from_anything_else() -> None:
    assert as_login(1_700_000_000_123) == utc(2023, 11, 14, 22, 13, 20, 123_000)
    assert as_login(1_700_000_000) == 1_700_000_000, "seconds, or milliseconds of 1970: nobody can know"
    assert [as_login(value) for value in ("2025-05-02T06:41:00Z", True, None)] == ["2025-05-02T06:41:00Z", True, None]
