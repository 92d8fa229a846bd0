from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.api.retry import Cancelled, CancelToken
from drillster_pipeline.api.throttle import Throttle


def make(*, concurrency=4, rate=None, cancel=None, clock=time.monotonic):
    return Throttle(concurrency, rate, cancel or CancelToken(), clock)


def fake(fake_time, **options):
    """A throttle whose waits only move its clock."""
    return make(cancel=CancelToken(sleep=fake_time.sleep), clock=fake_time.clock, **options)


def test_no_more_are_in_flight_than_allowed():
    throttle = make(concurrency=3)
    lock, flying, most = threading.Lock(), 0, 0

    def work(_):
        nonlocal flying, most
        throttle.enter()
        with lock:
            flying += 1
            most = max(most, flying)
        time.sleep(0.001)
        with lock:
            flying -= 1
        throttle.leave(overload=False)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, range(120)))
    assert most == 3


@pytest.mark.parametrize("pause", [0, 0.2])
def test_requests_are_spread_evenly_at_the_rate_also_after_a_pause(fake_time, pause):
    throttle = fake(fake_time, rate=50)
    throttle.pause(pause)
    began, sent = fake_time.seconds, []
    for _ in range(20):
        throttle.enter()
        sent.append(fake_time.seconds - began)
        throttle.leave(overload=False)
    assert sent == pytest.approx([pause + number / 50 for number in range(20)])


def test_a_pause_that_comes_while_a_thread_waits_counts_too():
    throttle = make(rate=20)
    throttle.enter()
    throttle.leave()
    began = time.monotonic()
    timer = threading.Timer(0.01, throttle.pause, [0.2])
    timer.start()
    throttle.enter()
    assert time.monotonic() - began >= 0.2
    timer.join()


def limit_after(throttle, outcomes):
    for overload in outcomes:
        throttle.enter()
        throttle.leave(overload=overload)
    return throttle.limit


def test_a_server_that_is_too_busy_gets_fewer_requests(fake_time):
    """It serves six at a time and refuses the rest: soon few are refused, and it is still kept busy."""
    chance = random.Random(7)
    throttle = fake(fake_time, concurrency=32)
    refused, limits = [], []
    for _ in range(4000):
        refused.append(chance.random() >= 6 / throttle.limit)
        limits.append(limit_after(throttle, [refused[-1]]))
    late = slice(1000, None)
    assert sum(refused[late]) / len(refused[late]) < 0.25
    assert 5 < sum(limits[late]) / len(limits[late]) < 9
    assert limit_after(throttle, [False] * 4000) == 32


@given(st.lists(st.booleans() | st.none(), max_size=300), st.integers(1, 32))
def test_the_limit_stays_between_one_and_the_concurrency(outcomes, concurrency):
    throttle = make(concurrency=concurrency)
    for outcome in outcomes:
        assert 1 <= limit_after(throttle, [outcome]) <= concurrency


def test_a_turn_that_was_cancelled_is_given_back(fake_time):
    def stop(_):
        raise Cancelled

    throttle = make(concurrency=1, cancel=CancelToken(sleep=stop), clock=fake_time.clock)
    throttle.pause(1)
    with pytest.raises(Cancelled):
        throttle.enter()
    fake_time.seconds += 2
    assert throttle.enter() == 0
