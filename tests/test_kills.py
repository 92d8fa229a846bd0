"""The short form of ``benchmarks/kills.py``: work that is killed at random moments ends as undisturbed work does."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from benchmarks.kills import MOMENT, Grounds, round_of_kills, undisturbed
from tests.drillster import Faults, Sandbox


@pytest.fixture(scope="module")
def grounds() -> Iterator[Grounds]:
    with (
        Sandbox(accounts=40, seed=5, now=MOMENT, faults=Faults(latency=0.02)) as sandbox,
        Grounds(sandbox, "sqlite") as made,
    ):
        yield made


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_runs_that_are_killed_at_random_moments_end_as_undisturbed_ones(grounds: Grounds) -> None:
    chance = random.Random(2026)
    peace = undisturbed(grounds, "run")
    kills = 0
    for _ in range(10):
        kills += round_of_kills(grounds, "run", peace, chance)
        if kills >= 5:
            break
    assert kills >= 3
