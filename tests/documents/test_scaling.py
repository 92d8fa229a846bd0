"""A run sends as many requests as the formula of docs/scaling.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scaling import counts, formula
from tests.drillster import Sandbox, Size
from tests.support.installation import Installation


@pytest.mark.slow
def test_a_run_sends_as_many_requests_as_the_formula_says(tmp_path: Path) -> None:
    with Sandbox(size=Size(accounts=40), seed=7) as sandbox, Installation(tmp_path, sandbox) as installation:
        installation.load_both()
        found = counts(tmp_path / "warehouse.sqlite", installation.day)
        assert len(sandbox.requests) == formula(found) > 90
        assert found["rows"] > 500
