"""What goes into the extraction and what comes out of it: pages of answers, and batches of typed rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from drillster_pipeline.response_shapes import Json
from drillster_pipeline.tables.schema import Table


@dataclass(frozen=True, slots=True)
class Page:
    """One archived answer: ``unit`` holds the path parameters that it was asked with, ``number`` counts from 1."""

    unit: Mapping[str, str]
    number: int
    captured_at: datetime
    body: Json


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that does not fit the contract.

    ``reason`` names the columns and what was wrong, never a value. ``record`` is the row as it was read (column
    to value, all of it JSON, personal columns masked). ``key`` holds the values of the table's key as text
    (dates in ISO 8601), or None where one of them could not be read: then nobody knows which row this was.
    ``required`` holds the other columns that may not be NULL, all of them text, or None where one could not be read.
    """

    table: str
    reason: str
    record: dict[str, Any]
    key: tuple[str, ...] | None
    required: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one table.

    ``frame`` has the table's ``columns`` in order, typed (Int64, Int16, Float64, boolean, str,
    datetime64[us, UTC], ``date`` objects; missing values are NA in the way of each dtype), after them ``row_hash``
    for entities, and ``source_rank``. ``rows_read`` counts rejects, and repeated rows that the frame leaves out.
    """

    table: Table
    frame: pd.DataFrame
    rejects: tuple[Reject, ...]
    rows_read: int
    rounded: Mapping[str, int] = field(default_factory=dict)
    """By column: values that had a fraction, and are in the frame without it."""
