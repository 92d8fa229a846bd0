from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from drillster_pipeline.api.retry import Backoff, Cancelled, CancelToken
from drillster_pipeline.errors import ApiUnavailable, AuthenticationError

from .conftest import CLIENT_ID, CLIENT_SECRET, SERVICE_ACCOUNT, TOKEN_PATH, together
from .scripted import Reply, json_reply

DENIED = json_reply({"error": "invalid_client"}, 401)
TWO_HOURS = 7200.0


# The request


def test_the_request_is_a_form_with_client_and_assertion(source, drillster):
    source.token()
    (request,) = drillster.requests
    assert (request.method, request.path, request.query) == ("POST", TOKEN_PATH, {})
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert {**request.form, "assertion": ""} == {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "",
    }
    assert "authorization" not in request.headers
    (claims,) = drillster.claims
    assert claims["iss"] == claims["sub"] == SERVICE_ACCOUNT


# Life and renewal


def test_one_token_serves_until_its_renewal(source, drillster, fake_time):
    first = source.token()
    fake_time.seconds += TWO_HOURS - 320
    assert source.token() is first
    assert drillster.grants == source.grants == 1


@pytest.mark.parametrize(
    ("lifetime", "early", "late"),
    [(7200, 300, 30), (3600, 300, 30), (600, 120, 30), (60, 12, 3), (3, 0.6, 0.15), (1, 0.2, 0.05)],
)
def test_the_renewal_window_scales_with_the_lifetime(source, drillster, fake_time, lifetime, early, late):
    drillster.expires_in = lifetime
    token = source.token()
    assert token.expires_at - fake_time.seconds == pytest.approx(lifetime)
    assert token.expires_at - token.renew_at == pytest.approx(early)
    assert token.expires_at - token.mandatory_at == pytest.approx(late)


@pytest.mark.parametrize(("lifetime", "most"), [(7200, 12), (600, 181), (60, 1800), (3, 36_000)])
def test_a_day_of_requests_takes_no_more_renewals_than_the_lifetime_needs(source, drillster, fake_time, lifetime, most):
    drillster.expires_in = lifetime
    token = source.token()
    begin, hours = fake_time.seconds, (24 if lifetime > 100 else 0.5)
    while fake_time.seconds < begin + hours * 3600:
        fake_time.seconds += lifetime / 40
        token = source.token()
        assert fake_time.seconds < token.expires_at
    needed = hours * 3600 / lifetime
    assert needed * 0.95 <= source.grants <= needed * 1.3 + 1
    assert source.grants <= most + 1


def test_a_life_counts_from_the_attempt_that_succeeded(source, drillster, fake_time):
    replies = iter([Reply(status=503, headers={"Retry-After": "7"}), None])
    drillster.grant = lambda request: next(replies) or drillster.issue(request)
    began = fake_time.seconds
    assert source.token().expires_at == began + 7 + 7199


def test_processes_that_begin_together_do_not_renew_together(make_tokens, fake_time):
    renewals = {
        make_tokens(clock=fake_time.clock, random=lambda chance=chance: chance).token().renew_at
        for chance in (0.0, 0.5, 1.0)
    }
    assert len(renewals) == 3
    assert max(renewals) - min(renewals) == pytest.approx(30)


# Many threads


def test_sixteen_cold_threads_cost_one_grant(make_tokens, drillster):
    drillster.grant = lambda request: (time.sleep(0.2), drillster.issue(request))[1]
    source = make_tokens()
    tokens = together(16, source.token)
    assert {token.value for token in tokens} == {"token-1"}
    assert drillster.grants == source.grants == 1


def test_one_thread_renews_early_while_the_others_go_on_with_the_old_token(make_tokens, drillster, fake_time):
    source = make_tokens(clock=fake_time.clock, random=lambda: 0.0)
    source.token()
    renewing, go_on = threading.Event(), threading.Event()

    def slow(request):
        renewing.set()
        assert go_on.wait(10)
        return drillster.issue(request)

    drillster.grant = slow
    fake_time.seconds += 7199 - 299
    with ThreadPoolExecutor(1) as threads:
        renewer = threads.submit(source.token)
        assert renewing.wait(10)
        others = together(15, source.token)
        assert {token.value for token in others} == {"token-1"}
        go_on.set()
        assert renewer.result().value == "token-2"
    assert source.token().value == "token-2"
    assert drillster.grants == 2


def test_nobody_uses_a_token_that_may_expire_on_its_way(make_tokens, drillster, fake_time):
    source = make_tokens(clock=fake_time.clock, random=lambda: 0.0)
    source.token()
    drillster.grant = lambda request: (time.sleep(0.1), drillster.issue(request))[1]
    fake_time.seconds += 7199 - 29
    assert {token.value for token in together(16, source.token)} == {"token-2"}
    assert drillster.grants == 2


def test_threads_that_waited_for_a_failed_request_share_its_outcome(make_tokens, drillster):
    drillster.grant = lambda _: (time.sleep(0.2), Reply(status=503))[1]
    source = make_tokens(backoff=Backoff(attempts=1))

    def outcome():
        with pytest.raises(ApiUnavailable) as raised:
            source.token()
        return raised.value

    errors = together(8, outcome)
    assert drillster.grants == 1
    assert len({id(error) for error in errors}) == 8
    with pytest.raises(ApiUnavailable):  # who comes later asks anew
        source.token()
    assert drillster.grants == 2


# Early renewals that fail


def test_a_failed_early_renewal_is_nobodys_spent_budget(make_tokens, drillster, fake_time):
    """One thread tries early and fails; one that needs a token meanwhile, and waits for the first, tries on its own."""
    source = make_tokens(clock=fake_time.clock, sleep=fake_time.sleep, random=lambda: 0.0)
    old = source.token()
    trying, waiting = threading.Event(), threading.Event()

    def fail(_):
        drillster.grant = None  # later requests are granted
        trying.set()
        assert waiting.wait(10)
        return Reply(status=503)

    drillster.grant = fail
    fake_time.seconds = old.renew_at + 1
    with ThreadPoolExecutor(2) as threads:
        early = threads.submit(source.token)
        assert trying.wait(10)
        needed = threads.submit(source.renew, old)
        time.sleep(0.1)  # it waits for the early one now
        waiting.set()
        assert early.result() is old
        assert needed.result().value == "token-2"


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(DENIED, id="refused"),
        pytest.param(Reply(status=503), id="unavailable"),
        pytest.param(Reply(reset=True), id="reset"),
        pytest.param(Reply(body=b"<html>"), id="not JSON"),
        pytest.param(json_reply({}), id="no token"),
        pytest.param(Reply(status=302, headers={"Location": "https://login.example.org/"}), id="redirect"),
    ],
)
def test_the_old_token_serves_when_it_cannot_be_renewed_early(source, drillster, fake_time, failure):
    old = source.token()
    drillster.grant = lambda _: failure
    fake_time.seconds = old.renew_at + 1
    assert source.token() is old
    assert drillster.grants == 2
    assert fake_time.slept == []  # nobody waits for a renewal that is not needed yet
    drillster.grant = None
    fake_time.seconds = old.renew_at + 200
    assert source.token().generation == 2


def test_a_failing_early_renewal_is_not_hammered(source, drillster, fake_time):
    old = source.token()
    drillster.grant = lambda _: Reply(status=503)
    fake_time.seconds = old.renew_at
    while fake_time.seconds < old.mandatory_at:
        assert source.token() is old
        fake_time.seconds += 0.5
    assert 3 <= drillster.grants - 1 <= 15


def test_the_old_token_serves_until_it_expires(source, drillster, fake_time):
    old = source.token()
    drillster.grant = lambda _: DENIED
    fake_time.seconds = old.mandatory_at + 1
    assert source.token() is old
    fake_time.seconds = old.expires_at
    with pytest.raises(AuthenticationError):
        source.token()


# After a 401


def test_renewing_what_somebody_has_renewed_costs_no_request(source, drillster):
    refused = source.token()
    source.renew(refused)
    assert source.renew(refused).value == "token-2"
    assert drillster.grants == 2


def test_sixteen_refused_threads_cost_one_renewal(make_tokens, drillster):
    source = make_tokens()
    refused = source.token()
    drillster.grant = lambda request: (time.sleep(0.1), drillster.issue(request))[1]
    assert {token.value for token in together(16, lambda: source.renew(refused))} == {"token-2"}
    assert drillster.grants == 2


def test_a_refused_token_is_no_fallback(source, drillster):
    refused = source.token()
    drillster.grant = lambda _: Reply(status=503)
    with pytest.raises(ApiUnavailable):
        source.renew(refused)


# Stopping


def test_closing_the_source_wakes_whoever_waits_for_a_token(make_tokens, drillster):
    drillster.grant = lambda _: Reply(status=503, headers={"Retry-After": "50"})
    source = make_tokens()
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(source.token) for _ in range(4)]
        while not drillster.grants:
            time.sleep(0.01)
        began = time.monotonic()
        source.close()
        kinds = Counter(type(future.exception(timeout=10)) for future in waiting)
    assert kinds == {Cancelled: 4}
    assert time.monotonic() - began < 5


def test_one_walk_that_stops_leaves_the_source_to_the_others(make_tokens, drillster):
    hanging = threading.Event()

    def hang(_):
        hanging.wait(10)
        return Reply(status=503)

    drillster.grant = hang
    source = make_tokens()
    ours, theirs = CancelToken(), CancelToken()
    with ThreadPoolExecutor(2) as threads:
        asking = threads.submit(source.token, cancel=ours)
        while not drillster.grants:
            time.sleep(0.01)
        waiting = threads.submit(source.token, cancel=theirs)
        drillster.grant = None
        ours.cancel()
        assert isinstance(asking.exception(timeout=5), Cancelled)
        assert waiting.result(timeout=5).value == "token-1"
        hanging.set()


# What is shown


def test_a_token_is_frozen_and_does_not_show_itself(source):
    token = source.token()
    with pytest.raises(dataclasses.FrozenInstanceError):
        token.value = "x"
    for shown in (repr(token), str(token), f"{token}", repr([token])):
        assert "token-1" not in shown
        assert "generation=1" in shown
