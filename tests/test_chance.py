"""The suite is the same every time; only ``make fuzz`` leaves it to chance."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def drawn() -> list[list[int]]:
    found: list[list[int]] = []

    @given(st.lists(st.integers()))
    def example(numbers: list[int]) -> None:
        found.append(numbers)

    example()
    return found


@pytest.mark.skipif(not settings.default.derandomize, reason="make fuzz draws others each time")
def test_the_suite_draws_the_same_examples_whatever_was_imported_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = drawn()
    code = tmp_path / "numbered.py"
    code.write_text(f"NUMBERS = {[*range(1_000, 2_000)]}")
    numbered = ModuleType("numbered")
    numbered.__file__ = str(code)
    monkeypatch.setitem(sys.modules, "numbered", numbered)
    assert drawn() == before
