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


@pytest.mark.parametrize(
    ("seconds", "left", "shown"),
    [
        (9.4, None, "in 9 s"),
        (75.0, 3605.0, "in 1 min 15 s, about 1 h 00 min left"),
        (7325.0, 59.0, "in 2 h 02 min, about 59 s left"),
    ],
)
def test_progress_is_shown_in_words(seconds: float, left: float | None, shown: str) -> None:
    progress = Progress(
        groups_done=1,
        groups_known=12,
        members_done=340,
        members_known=1200,
        requests=2500,
        retries=3,
        requests_per_second=123.4,
        seconds=seconds,
        seconds_left=left,
    )
    assert str(progress) == f"1 of 12 groups, 340 of 1,200 members; 2,500 requests (123/s, 3 retried) {shown}"
