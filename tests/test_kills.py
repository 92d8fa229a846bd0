"""The short form of ``benchmarks/kills.py``: a few nights killed at random moments end as undisturbed ones."""

from __future__ import annotations

import random

from benchmarks.kills import MOMENT, round_of_kills, undisturbed
from drillster_pipeline.sandbox import Faults, Sandbox


def test_nights_that_are_killed_at_random_moments_end_as_undisturbed_ones() -> None:
    chance = random.Random()
    with Sandbox(accounts=40, seed=5, now=MOMENT, faults=Faults(latency=0.02)) as sandbox:
        expected, whole, seconds = undisturbed(sandbox)
        kills = 0
        for _ in range(10):
            kills += round_of_kills(sandbox, expected, whole, seconds, chance)
            if kills >= 5:
                break
    assert kills >= 3
