from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.api.clock_skew import skew_between

MOMENT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@given(
    ahead=st.floats(-4000, 4000),
    there=st.floats(0, 5),
    back=st.floats(0, 5),
    fraction=st.floats(0, 0.999),
)
def test_the_truth_lies_within(ahead: float, there: float, back: float, fraction: float) -> None:
    """Whatever the way there and back took, and whatever the header rounds away."""
    asked = MOMENT + timedelta(seconds=fraction)
    written = asked - timedelta(seconds=ahead) + timedelta(seconds=there)
    skew = skew_between({"Date": format_datetime(written, usegmt=True)}, asked, asked + timedelta(seconds=there + back))
    assert skew is not None
    assert abs(skew.ahead - ahead) <= skew.within + 0.02


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_without_a_date_nothing_is_known(headers: dict[str, str]) -> None:
    assert skew_between(headers, MOMENT, MOMENT) is None
