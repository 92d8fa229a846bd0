"""What the server makes of a frame that is sent to it as bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from drillster_pipeline.tables.schema import Column, Type
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.dialects import binary_copy as binary
from drillster_pipeline.warehouse.model import column_type


def moments(*values: datetime | None) -> pd.Series[Any]:
    found = [np.datetime64("NaT", "us") if one is None else np.datetime64(one.replace(tzinfo=None)) for one in values]
    return pd.Series(pd.DatetimeIndex(np.array(found, dtype="datetime64[us]")).tz_localize("UTC"))


FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
COLUMNS = {
    Type.TEXT: (pd.Series(["", None, "é😀"], dtype="str"), ["", None, "é😀"]),
    Type.JSON: (pd.Series(['{"a": 1}', None, "[]"], dtype="str"), ['{"a": 1}', None, "[]"]),
    Type.INTEGER: (pd.Series([-(2**63), None, 2**63 - 1], dtype="Int64"), [-(2**63), None, 2**63 - 1]),
    Type.SMALLINT: (pd.Series([-(2**15), None, 2**15 - 1], dtype="Int16"), [-(2**15), None, 2**15 - 1]),
    Type.FLOAT: (pd.Series([-0.1, None, 1e300], dtype="Float64"), [-0.1, None, 1e300]),
    Type.BOOLEAN: (pd.Series([True, None, False], dtype="boolean"), [True, None, False]),
    Type.TIMESTAMP: (moments(FIRST, None, LAST), [FIRST, None, LAST]),
    Type.DATE: (
        pd.Series([date(1, 1, 1), None, date(9999, 12, 31)], dtype=object),
        [date(1, 1, 1), None, date(9999, 12, 31)],
    ),
}


def received(warehouse: Warehouse, columns: list[tuple[Type, Iterable[Any]]], first_row: int = 1) -> list[Any]:
    """The rows that the server has after a COPY of these columns."""
    declared = [Column(name=f"c{place}", type=kind, description="") for place, (kind, _) in enumerate(columns)]
    frame = pd.DataFrame(
        {column.name: values for column, (_, values) in zip(declared, columns, strict=True)}, copy=False
    )
    table = sa.Table(
        "received",
        sa.MetaData(),
        sa.Column("number", sa.BigInteger),
        *(sa.Column(column.name, column_type(column, in_key=False)) for column in declared),
        prefixes=["TEMPORARY"],
    )
    with warehouse.engine.connect() as connection:
        table.create(connection)
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy("COPY received FROM STDIN (FORMAT BINARY)") as copy:
            for block in binary.binary_copy(declared, frame, first_row):
                copy.write(block)
        found = [tuple(row) for row in connection.execute(sa.select(table).order_by(table.c.number))]
        connection.rollback()
    return found


def test_every_type_has_a_value_for_its_ends_and_one_for_nothing(postgresql_warehouse: Warehouse) -> None:
    assert set(COLUMNS) == set(Type)
    found = received(postgresql_warehouse, [(kind, series) for kind, (series, _) in COLUMNS.items()], first_row=7)
    assert found == list(zip((7, 8, 9), *(values for _, values in COLUMNS.values()), strict=True))


@pytest.mark.parametrize("kind", COLUMNS, ids=lambda kind: kind.value)
def test_a_column_may_hold_nothing_at_all(postgresql_warehouse: Warehouse, kind: Type) -> None:
    series = COLUMNS[kind][0].iloc[[1, 1]].reset_index(drop=True)
    assert received(postgresql_warehouse, [(kind, series)]) == [(1, None), (2, None)]


def test_a_float_that_is_no_number_arrives_as_nothing(postgresql_warehouse: Warehouse) -> None:
    series = pd.Series(pd.arrays.FloatingArray(np.array([math.nan, 1.5]), np.array([False, False])))
    assert received(postgresql_warehouse, [(Type.FLOAT, series)]) == [(1, None), (2, 1.5)]


def test_a_nul_is_left_out_and_never_shifts_a_row(postgresql_warehouse: Warehouse) -> None:
    series = pd.Series(["a\0b", None, "\0", "c\0"], dtype="str")
    following = pd.Series(range(4), dtype="Int64")
    found = received(postgresql_warehouse, [(Type.TEXT, series), (Type.INTEGER, following)])
    assert found == [(1, "ab", 0), (2, None, 1), (3, "", 2), (4, "c", 3)]


def test_one_long_text_does_not_make_all_rows_wide(postgresql_warehouse: Warehouse) -> None:
    texts = [f"é{number}" for number in range(5_000)]
    texts[1_234] = "x" * 3_000_000
    columns = [Column(name="c", type=Type.TEXT, description="")]
    blocks = list(binary.binary_copy(columns, pd.DataFrame({"c": pd.Series(texts, dtype="str")}), 1))
    assert sum(map(len, blocks)) < 3_300_000
    # Halved down to that one row: in a matrix as wide as it, all rows together would take 15 GB.
    assert 12 < len(blocks) < 20
    found = received(postgresql_warehouse, [(Type.TEXT, pd.Series(texts, dtype="str"))])
    assert found == list(enumerate(texts, 1))
