"""The short form of ``benchmarks/scaling.py``: a night asks for what the formula of docs/scaling.md says."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from benchmarks.scaling import Night, measure, report


@pytest.mark.skipif(sys.platform == "win32", reason="measures with getrusage")
def test_a_night_asks_for_what_the_formula_says() -> None:
    night = measure(40)
    assert night.requests == night.expected_requests > 90
    assert night.rows > 500


def test_the_table_goes_on_along_the_line_that_was_measured() -> None:
    small = Night(
        learners=100,
        memberships=130,
        groups=8,
        objectives=30,
        expected_requests=300,
        requests=300,
        received_mb=1.0,
        archive_mb=0.1,
        rows=4_000,
        cpu_seconds=4.0,
        peak_mib=190.0,
        warehouse_mb=0.5,
    )
    large = replace(small, learners=200, requests=500, cpu_seconds=5.0, rows=8_000)
    last = report([small, large]).splitlines()[-1]
    # 100 requests and the first 3 s are there without any learner.
    assert last.startswith("| 1,000,000 | 2,000,100 | 6.9 h | 2.8 h |")
