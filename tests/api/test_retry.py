from __future__ import annotations

import datetime as dt
import random
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.api.retry import RETRY_AFTER_CAP, Backoff, RetryState, retry_after

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def retrying(fake_time, *, chance=0.0, **budget):
    return RetryState(Backoff(**budget), clock=fake_time.clock, random=lambda: chance)


def attempts_until_the_end(fake_time, state, **failure):
    """When attempts are made, in seconds from the first, if all fail at once."""
    began, made = fake_time.seconds, []
    while True:
        made.append(fake_time.seconds - began)
        wait = state.add_failure("status 503", **failure)
        if wait is None:
            return made
        fake_time.sleep(wait)


def test_delays_double_up_to_the_cap(fake_time):
    state = retrying(fake_time, chance=1.0, first=0.2, cap=20)
    assert [state.add_failure("x") for _ in range(9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20, 20]


@pytest.mark.parametrize("seed", range(5))
def test_by_whatever_chance_attempts_go_on_for_two_minutes_and_end_within_three(fake_time, seed):
    state = RetryState(Backoff(), clock=fake_time.clock, random=random.Random(seed).random)
    assert 160 <= attempts_until_the_end(fake_time, state)[-1] <= 180


@pytest.mark.parametrize("requested", [1, 40, RETRY_AFTER_CAP])
def test_waits_that_the_server_requests_are_not_of_the_budget_up_to_a_quarter_of_an_hour(fake_time, requested):
    made = attempts_until_the_end(fake_time, retrying(fake_time, chance=0.5), minimum=requested)
    assert 300 < made[-1] <= 900 or requested == 1
    assert len(made) > 5


def test_time_in_which_nothing_could_be_tried_is_not_of_the_budget(fake_time):
    state = retrying(fake_time, seconds=10, longest=100)
    state.excuse(1_000)  # before the first failure
    fake_time.seconds += 1_000
    assert state.add_failure("x") == 0
    fake_time.seconds += 80
    state.excuse(75)
    assert state.add_failure("x") == 0
    fake_time.seconds += 6
    assert state.add_failure("x") is None


def test_no_excuse_lasts_for_ever(fake_time):
    state = retrying(fake_time, seconds=10, longest=100)
    state.add_failure("x")
    fake_time.seconds += 101
    state.excuse(101)
    assert state.add_failure("x") is None


def test_a_server_that_requests_a_wait_gets_it_and_the_random_delay_on_top(fake_time):
    state = retrying(fake_time, chance=1.0, first=0.2)
    assert state.add_failure("x", minimum=5) == pytest.approx(5.2)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((value, 0) for value in ("", "0", "-5", "1.5", "1e3", "٣", "²", "soon")),
        *((value, RETRY_AFTER_CAP) for value in ("120", "121", "21600", "9" * 5000)),
        (" 7 ", 7),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", 30),
        ("Tue Nov 24 12:00:30 2026", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("Tue, 24 Nov 2026 18:00:00 GMT", RETRY_AFTER_CAP),
        ("Tue, 99 Nov 2026 18:00:00 GMT", 0),
        ("Tue, 24 Nov 2026 12:00:30 +9999999", 0),
    ],
)
def test_retry_after_is_read_in_every_form(value, seconds):
    assert retry_after({"Retry-After": value}, NOW) == seconds


@given(st.text() | st.text("0123456789 :,GMTNov+-") | st.datetimes().map(format_datetime))
def test_no_retry_after_is_an_error(value):
    assert 0 <= retry_after({"Retry-After": value}, NOW) <= RETRY_AFTER_CAP


def test_a_date_is_compared_with_the_date_of_the_answer():
    headers = {"Date": "Mon, 01 Jan 2035 00:00:00 GMT", "Retry-After": "Mon, 01 Jan 2035 00:00:30 GMT"}
    assert retry_after(headers, NOW) == 30
