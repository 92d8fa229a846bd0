"""When a date is overdue in the warehouse."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from drillster_pipeline.dates import STALE_AFTER
from drillster_pipeline.pipeline.gaps import expected_date, why_stale
from tests.support.installation import DAY, NOW, Installation

DUE = NOW + STALE_AFTER
BEFORE = DAY - timedelta(days=1)


@pytest.mark.parametrize(
    ("late", "pending", "first", "expected"),
    [
        (timedelta(minutes=-1), None, BEFORE, BEFORE),
        (timedelta(), None, BEFORE, DAY),
        (timedelta(), DAY, BEFORE, BEFORE),
        (timedelta(), None, DAY + timedelta(days=1), None),
    ],
    ids=["not due yet", "due", "a run is about to load it", "before the first export date"],
)
def test_a_date_is_expected_six_hours_after_the_schedule(
    tmp_path: Path, late: timedelta, pending: date | None, first: date, expected: date | None
) -> None:
    with Installation(tmp_path, now=DUE + late, DRILLSTER_FIRST_EXPORT_DATE=str(first)) as installation:
        assert expected_date(installation.context, pending=pending) == expected


def test_a_warehouse_that_lacks_a_date_is_stale(loaded: Installation) -> None:
    assert why_stale(loaded.context, DAY) is None
    loaded.query("UPDATE loads SET export_date = :day", day=str(BEFORE))
    assert (why_stale(loaded.context, DAY) or "").startswith(f"The newest complete load describes {BEFORE}.")
    loaded.query("DELETE FROM loads")
    assert (why_stale(loaded.context, DAY) or "").startswith("No load is complete yet.")
    assert why_stale(loaded.context, BEFORE) is None  # perhaps it was installed today
