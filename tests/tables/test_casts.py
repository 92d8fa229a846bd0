from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.extract.parsing import STRING, cast, cleaned
from drillster_pipeline.tables.schema import Column, Type, boolean, integer, key, percentage, text, timestamp

from .pages import EXPORT_DATE

PROFICIENCY = percentage("proficiency", "A percentage.")
COUNT = integer("count", "A count.")
YEAR = Column(name="year", type=Type.SMALLINT, description="Any small number.")
PROGRESS = Column(name="progress", type=Type.FLOAT, minimum=0, maximum=1, description="A share.")
MET = boolean("met", "A flag.")
NAME = text("name", "A text.")
DAY = Column(name="day", type=Type.DATE, nullable=False, description="A day.")


def typed(column: Column, *values: Any) -> list[Any]:
    """Values as they come out, None for missing ones, and reasons for those that do not fit."""
    one = cast(column, values)
    return [
        f"! {one.wrong[place].problem}" if place in one.wrong else None if pd.isna(value) else value
        for place, value in enumerate(one.array)
    ]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (PROFICIENCY, 61, 61),
        (PROFICIENCY, 0, 0),
        (PROFICIENCY, 100, 100),
        (PROFICIENCY, 61.0, 61),
        (PROFICIENCY, "90", 90),
        (PROFICIENCY, None, None),
        (PROFICIENCY, 101, "! out of range, which is 0 to 100"),
        (PROFICIENCY, -1, "! out of range, which is 0 to 100"),
        (PROFICIENCY, "-1", "! out of range, which is 0 to 100"),
        (PROFICIENCY, 66.7, 67),
        (PROFICIENCY, 83.33, 83),
        (PROFICIENCY, 61.5, 62),
        (PROFICIENCY, 62.5, 63),
        (PROFICIENCY, 0.49999999999999994, 0),
        (PROFICIENCY, 99.5, 100),
        (PROFICIENCY, 100.4, "! out of range, which is 0 to 100"),
        (PROFICIENCY, -0.3, "! out of range, which is 0 to 100"),
        (PROFICIENCY, 1e300, "! out of range, which is 0 to 100"),
        (PROFICIENCY, "66.7", "! expected an integer, found text"),
        (COUNT, 61.5, "! expected an integer, found a number"),
        (YEAR, 1980.5, "! expected an integer, found a number"),
        (PROFICIENCY, True, "! expected an integer, found a boolean"),
        (PROFICIENCY, "ninety", "! expected an integer, found text"),
        (PROFICIENCY, "", None),
        (PROFICIENCY, " 90", "! expected an integer, found text"),
        (PROFICIENCY, "90.0", "! expected an integer, found text"),
        (PROFICIENCY, "٩٠", "! expected an integer, found text"),
        (PROFICIENCY, {"overall": 1}, "! expected an integer, found an object"),
        (PROFICIENCY, [61], "! expected an integer, found a list"),
        (PROFICIENCY, math.nan, "! expected an integer, found a number"),
        (PROFICIENCY, math.inf, "! expected an integer, found a number"),
        (COUNT, (1 << 63) - 1, (1 << 63) - 1),
        (COUNT, 1 << 63, "! a number beyond 64 bits"),
        (COUNT, 10**30, "! a number beyond 64 bits"),
        (COUNT, 1e300, "! a number beyond 64 bits"),
        (COUNT, "9" * 40, "! expected an integer, found text"),
        (COUNT, -1, "! out of range, which is 0 or more"),
        (YEAR, -32_768, -32_768),
        (YEAR, 32_768, "! out of range, which is -32768 to 32767"),
        (PROGRESS, 0.25, 0.25),
        (PROGRESS, 1, 1.0),
        (PROGRESS, "0.5", 0.5),
        (PROGRESS, 1.01, "! out of range, which is 0 to 1"),
        (PROGRESS, math.nan, "! out of range, which is 0 to 1"),
        (PROGRESS, math.inf, "! out of range, which is 0 to 1"),
        (PROGRESS, 10**400, "! a number beyond 64 bits"),
        (PROGRESS, True, "! expected a number, found a boolean"),
        (PROGRESS, "half", "! expected a number, found text"),
        (MET, True, True),
        (MET, False, False),
        (MET, None, None),
        (MET, 1, "! expected true or false, found a number"),
        (MET, "true", "! expected true or false, found text"),
        (NAME, "", ""),
        (NAME, 'Zoë 👩‍⚕️ "quoted" مرحبا', 'Zoë 👩‍⚕️ "quoted" مرحبا'),
        (NAME, "x" * 10_000, "x" * 10_000),
        (NAME, "a\0b\0", "ab"),
        (NAME, "cut \ud83d", "cut \ufffd"),
        (NAME, "nan", "nan"),
        (NAME, None, None),
        (NAME, 5, "! expected text, found a number"),
        (NAME, False, "! expected text, found a boolean"),
        (NAME, math.nan, "! expected text, found a number"),
        (DAY, EXPORT_DATE, EXPORT_DATE),
        (DAY, None, "! missing"),
    ],
)
def test_a_value_is_typed_or_refused(column: Column, value: Any, expected: Any) -> None:
    (found,) = typed(column, value)
    assert found == expected
    assert isinstance(found, bool | np.bool_) == isinstance(expected, bool)


@pytest.mark.parametrize("bad", ["x", True, 101, 10**30, {}, [], math.nan])
@pytest.mark.parametrize("column", [PROFICIENCY, PROGRESS])
def test_a_value_that_does_not_fit_leaves_its_neighbours_alone(column: Column, bad: Any) -> None:
    before, refused, nothing, after = typed(column, 0, bad, None, "1")
    assert (before, nothing, after) == (0, None, 1)
    assert str(refused).startswith("! ")


@pytest.mark.parametrize(
    ("column", "values", "dtype"),
    [
        (NAME, ["a", None], STRING),
        (PROFICIENCY, [1, None], "Int16"),
        (COUNT, [1, None], "Int64"),
        (PROGRESS, [0.5, None], "Float64"),
        (MET, [True, None], "boolean"),
        (timestamp("at", "A moment."), ["2024-01-11T16:54Z", None], "datetime64[us, UTC]"),
        (DAY, [EXPORT_DATE, EXPORT_DATE], object),
    ],
)
def test_a_dtype_follows_from_the_declaration_alone(column: Column, values: list[Any], dtype: Any) -> None:
    for some in (values, values[:1], [], [None, None], [values[0], {}]):
        if column is not DAY:
            assert cast(column, some).array.dtype == dtype
    assert cast(column, values).array.dtype == dtype


def test_a_key_is_neither_missing_nor_empty() -> None:
    one = cast(key("group_id", "The group."), ["g", None, ""], of_key=True)
    assert {place: problem.problem for place, problem in one.wrong.items()} == {1: "missing", 2: "is empty"}


def test_a_value_that_does_not_fit_is_not_called_missing_as_well() -> None:
    assert cast(key("group_id", "The group."), [5], of_key=True).wrong[0].problem == "expected text, found a number"


storable = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(st.none() | storable))
def test_text_that_a_database_can_hold_is_kept_as_it_came(values: list[str | None]) -> None:
    assert typed(NAME, *values) == values


@given(st.text(alphabet=st.characters()))
def test_cleaned_text_can_always_be_stored_and_is_not_changed_again(value: str) -> None:
    once = cleaned(value)
    assert "\0" not in once
    assert once.encode().decode() == once
    assert cleaned(once) == once


@given(st.lists(st.none() | st.integers(0, (1 << 63) - 1)))
def test_integers_come_back_however_they_were_written(values: list[int | None]) -> None:
    assert typed(COUNT, *values) == values
    assert typed(COUNT, *(None if value is None else str(value) for value in values)) == values


@given(st.lists(st.none() | st.floats(0, 1)))
def test_floats_come_back(values: list[float | None]) -> None:
    assert typed(PROGRESS, *values) == values


@given(st.lists(st.none() | st.booleans()))
def test_booleans_come_back(values: list[bool | None]) -> None:
    assert typed(MET, *values) == values


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(date(2024, 1, 1)),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(), inside, max_size=2),
    max_leaves=4,
)


@given(
    st.sampled_from([PROFICIENCY, COUNT, YEAR, PROGRESS, MET, NAME, timestamp("at", "A moment.")]), st.lists(anything)
)
def test_any_column_of_json_is_typed_or_refused_value_by_value(column: Column, values: list[Any]) -> None:
    one = cast(column, values)
    assert len(one.array) == len(values)
    alone = [cast(column, [value]) for value in values]
    assert set(one.wrong) == {place for place, single in enumerate(alone) if single.wrong}
    for place, single in enumerate(alone):
        if place in one.wrong:
            assert one.wrong[place] == single.wrong[0]
        else:
            assert pd.isna(one.array[place]) == pd.isna(single.array[0])
            assert pd.isna(one.array[place]) or one.array[place] == single.array[0]
