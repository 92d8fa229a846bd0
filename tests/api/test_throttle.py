from __future__ import annotations

import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillster_pipeline.api.retry import Cancelled, CancelToken
from drillster_pipeline.api.throttle import Throttle
from tests.conftest import examples


def make(fake_time=None, *, concurrency=4, rate=None, cancel=None):
    if fake_time is None:
        return Throttle(
            concurrency=concurrency, requests_per_second=rate, cancel=cancel or CancelToken(), clock=time.monotonic
        )
    cancel = cancel or CancelToken(sleep=fake_time.sleep)
    return Throttle(concurrency=concurrency, requests_per_second=rate, cancel=cancel, clock=fake_time.clock)


def test_no_more_are_in_flight_than_allowed():
    throttle = make(concurrency=3)
    lock, flying, most = threading.Lock(), 0, 0

    def work():
        nonlocal flying, most
        for _ in range(20):
            throttle.enter()
            with lock:
                flying += 1
                most = max(most, flying)
            time.sleep(0.001)
            with lock:
                flying -= 1
            throttle.leave(overload=False)

    with ThreadPoolExecutor(12) as threads:
        for future in [threads.submit(work) for _ in range(12)]:
            future.result()
    assert most == 3


def test_requests_are_spread_evenly_at_the_rate(fake_time):
    throttle = make(fake_time, rate=10)
    sent = []
    for _ in range(20):
        throttle.enter()
        sent.append(fake_time.seconds)
        throttle.leave(overload=False)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert gaps == pytest.approx([0.1] * 19)


def test_the_rate_holds_across_threads_also_after_a_hold():
    throttle = make(concurrency=8, rate=50)
    throttle.pause(0.2)
    began = time.monotonic()
    sent = []

    def work():
        for _ in range(4):
            throttle.enter()
            sent.append(time.monotonic())
            throttle.leave(overload=False)

    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(work) for _ in range(8)]:
            future.result()
    # A thread may be woken late, which moves single requests but not the whole row.
    assert min(sent) - began >= 0.2
    assert max(sent) - began >= 0.2 + 31 / 50
    sent.sort()
    assert all(later - earlier > 0.05 for earlier, later in zip(sent, sent[10:], strict=False))


def test_a_hold_stops_everybody(fake_time):
    throttle = make(fake_time)
    throttle.pause(30)
    assert throttle.enter() == pytest.approx(30)


def test_a_hold_that_comes_while_waiting_counts_too():
    throttle = make(rate=5)
    throttle.enter()
    throttle.leave()
    began = time.monotonic()
    timer = threading.Timer(0.05, throttle.pause, [0.5])
    timer.start()
    throttle.enter()
    assert time.monotonic() - began >= 0.5
    timer.join()


def flown(throttle, outcomes):
    for overload in outcomes:
        throttle.enter()
        throttle.leave(overload=overload)
    return throttle.limit


def test_overload_narrows_and_success_widens(fake_time):
    throttle = make(fake_time, concurrency=16)
    narrowed = flown(throttle, [True] * 50)
    assert narrowed < 4
    assert narrowed < flown(throttle, [False] * 200) < 16
    assert flown(throttle, [False] * 2000) == 16


def test_a_server_that_is_too_busy_is_left_room(fake_time):
    """It serves six at a time and refuses the rest: soon few are refused, and it is still kept busy."""
    chance = random.Random(7)
    throttle = make(fake_time, concurrency=32)
    refused, limits = [], []
    for _ in range(4000):
        refused.append(chance.random() >= 6 / throttle.limit)
        limits.append(flown(throttle, [refused[-1]]))
    late = slice(1000, None)
    assert sum(refused[late]) / len(refused[late]) < 0.25
    assert 5 < sum(limits[late]) / len(limits[late]) < 9


@given(st.lists(st.booleans() | st.none(), max_size=300), st.integers(1, 32))
@settings(max_examples=examples(50))
def test_the_limit_stays_between_one_and_the_concurrency(outcomes, concurrency):
    throttle = make(concurrency=concurrency)
    for overload in outcomes:
        throttle.enter()
        throttle.leave(overload=overload)
        assert 1 <= throttle.limit <= concurrency


@pytest.mark.parametrize("why", ["place", "rate", "hold"])
def test_whoever_waits_for_a_turn_can_be_called_off(why):
    cancel = CancelToken()
    throttle = make(concurrency=1 if why == "place" else 4, rate=0.01 if why == "rate" else None, cancel=cancel)
    if why == "hold":
        throttle.pause(60)
    else:
        throttle.enter()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(throttle.enter)
        time.sleep(0.1)
        assert not waiting.done()
        cancel.cancel()
        assert isinstance(waiting.exception(timeout=5), Cancelled)


def test_a_turn_that_was_called_off_is_given_back():
    stopped, going = CancelToken(), CancelToken()
    throttle = make(concurrency=1, cancel=stopped)
    throttle.pause(0.3)
    stopped.cancel()
    with pytest.raises(Cancelled):
        throttle.enter()
    throttle._cancel = going
    assert throttle.enter() > 0
