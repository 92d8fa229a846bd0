from __future__ import annotations

import pytest

from drillster_pipeline.api.metrics import Meter, Progress


def at(meter: Meter, now: float, **counts: int) -> Progress:
    return meter.progress(now, **{"requests": 0, "retries": 0, "waiting": 0} | counts)


def test_groups_are_done_when_all_of_their_units_are() -> None:
    meter = Meter(100.0)
    meter.groups_named(3)
    meter.group_listed(2)
    for _ in range(2):
        meter.opened("g1")
    meter.opened("g1", member=True)
    meter.opened(None)
    meter.finished("g1")
    assert (at(meter, 101.0).groups_done, at(meter, 101.0).groups_known) == (0, 3)
    meter.finished("g1")
    meter.finished("g1", member=True)
    meter.finished(None)
    found = at(meter, 102.0, requests=8)
    assert (found.groups_done, found.members_done, found.members_known) == (1, 1, 2)
    assert found.requests_per_second == pytest.approx(4.0)


def test_members_are_known_from_the_counts_of_the_groups_before_they_are_listed() -> None:
    meter = Meter(0.0)
    meter.group_listed(40)
    meter.group_listed(None)
    assert at(meter, 1.0).members_known == 40
    for _ in range(50):
        meter.opened("g", member=True)
    assert at(meter, 1.0).members_known == 50


def test_what_is_left_is_told_once_enough_is_known() -> None:
    meter = Meter(0.0)
    for _ in range(19):
        meter.finished(None)
    assert at(meter, 10.0, waiting=40).seconds_left is None
    meter.finished(None)
    assert at(meter, 10.0, waiting=40).seconds_left == pytest.approx(20.0)


def test_progress_is_shown_in_words() -> None:
    meter = Meter(0.0)
    meter.groups_named(12)
    meter.group_listed(1200)
    for _ in range(340):
        meter.opened("g", member=True)
        meter.finished("g", member=True)
    assert str(at(meter, 75.0, requests=2500, retries=3, waiting=1700)) == (
        "1 of 12 groups, 340 of 1,200 members; 2,500 requests (33/s, 3 retried) in 1 min 15 s, about 9 min 37 s left"
    )
