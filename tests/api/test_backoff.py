from __future__ import annotations

import datetime as dt
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.api.backoff import RETRY_AFTER_CAP, Backoff, Trouble, http_date, retry_after

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def test_delays_double_up_to_the_cap():
    backoff = Backoff(first=0.2, cap=20)
    longest = [backoff.delay(failures, lambda: 1.0) for failures in range(12)]
    assert longest[:8] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20]
    assert longest[-1] == 20


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_a_delay_is_drawn_from_zero_up(failures, chance):
    backoff = Backoff()
    assert 0 <= backoff.delay(failures, lambda: chance) <= backoff.cap
    assert backoff.delay(failures, lambda: 0.0) == 0


def trouble(fake_time, *, chance=0.0, **budget):
    return Trouble(Backoff(**budget), clock=fake_time.clock, random=lambda: chance)


def test_attempts_end(fake_time):
    met = trouble(fake_time, attempts=3)
    assert [met.met("status 503") for _ in range(3)] == [0.0, 0.0, None]


def test_time_ends_it_before_a_wait_that_would_outlast_it(fake_time):
    met = trouble(fake_time, seconds=10)
    assert met.met("x", at_least=8) == 8
    fake_time.seconds += 8
    assert met.met("x", at_least=8) is None


def test_time_counts_from_the_first_failure(fake_time):
    met = trouble(fake_time, seconds=10)
    fake_time.seconds += 1_000
    assert met.met("x", at_least=8) == 8


def test_a_server_that_asks_for_a_wait_gets_it_and_the_random_delay_on_top(fake_time):
    met = trouble(fake_time, chance=1.0, first=0.2)
    assert met.met("x", at_least=5) == pytest.approx(5.2)


def test_trouble_tells_what_kept_happening_how_often_and_for_how_long(fake_time):
    met = trouble(fake_time)
    for reason in ("status 503", "connection lost", "status 503"):
        met.met(reason)
        fake_time.seconds += 41.3
    assert str(met) == "3 attempts in 124 s: status 503 (2 times), connection lost (once)"


def test_a_single_attempt_is_not_plural(fake_time):
    met = trouble(fake_time)
    met.met("no answer in time")
    assert str(met) == "1 attempt in 0 s: no answer in time (once)"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("1", 1),
        (" 7 ", 7),
        ("120", 120),
        ("121", RETRY_AFTER_CAP),
        ("21600", RETRY_AFTER_CAP),
        ("9" * 5000, RETRY_AFTER_CAP),
        ("-5", 0),
        ("1.5", 0),
        ("1e3", 0),
        ("٣", 0),
        ("²", 0),
        ("soon", 0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", 30),
        ("Tue Nov 24 12:00:30 2026", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("Tue, 24 Nov 2026 18:00:00 GMT", RETRY_AFTER_CAP),
        ("Tue, 99 Nov 2026 18:00:00 GMT", 0),
        ("Tue, 24 Nov 2026 12:00:30 +9999999", 0),
    ],
)
def test_retry_after_is_read_in_every_form(value, seconds):
    assert retry_after(value, now=NOW) == seconds


@given(st.text() | st.text("0123456789 :,GMTNov+-"))
def test_no_retry_after_is_an_error(value):
    assert 0 <= retry_after(value, now=NOW) <= RETRY_AFTER_CAP


@given(st.integers(0, 600))
def test_a_date_and_the_seconds_until_it_mean_the_same(seconds):
    date = format_datetime(NOW + dt.timedelta(seconds=seconds), usegmt=True)
    assert retry_after(date, now=NOW) == retry_after(str(seconds), now=NOW)


def test_a_date_without_a_zone_is_utc():
    assert http_date("Tue, 24 Nov 2026 12:00:00 -0000") == NOW
