from __future__ import annotations

import random

import pytest

from drillster_pipeline.diagnostics.amounts import Amount, lasting, scaled, size, total


def test_all_that_there_is_leaves_no_doubt() -> None:
    assert scaled([3, 4, 5], 3) == Amount(12)


def test_of_none_nothing_is_known_and_of_one_little() -> None:
    assert scaled([], 9) == Amount(0)
    assert (scaled([4], 5).low, scaled([4], 5).likely, scaled([4], 5).high) == (4, 20, 36)


def test_the_range_holds_the_truth_about_as_often_as_it_says() -> None:
    chance = random.Random(5)
    right = 0
    for _ in range(400):
        everything = [chance.randint(0, 40) for _ in range(200)]
        amount = scaled(chance.sample(everything, 40), 200)
        right += amount.low <= sum(everything) <= amount.high
    assert 0.90 < right / 400 < 0.99


def test_spreads_add_up_as_squares() -> None:
    assert total([Amount(1, 3), Amount(2, 4)]) == Amount(3, 5)
    assert total([]) == Amount(0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0001, "<1 ms"),
        (0.34, "340 ms"),
        (4.25, "4.2 s"),
        (89, "89 s"),
        (600, "10 min"),
        (9000, "2.5 h"),
        (3e5, "3 days"),
    ],
)
def test_durations_are_for_people(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(12, "12 bytes"), (1400, "1.4 kB"), (357_000, "357 kB"), (8.03e10, "80.3 GB"), (5e12, "5.0 TB")],
)
def test_sizes_are_for_people(number: float, words: str) -> None:
    assert size(number) == words
