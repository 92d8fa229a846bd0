"""Access tokens: their life, their renewal by many threads, and token requests that fail."""

from __future__ import annotations

import datetime as dt
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from drillster_pipeline.api.retry import Backoff, Cancelled, CancelToken
from drillster_pipeline.errors import ApiUnavailable, AuthenticationError, SettingsError
from tests.support.scripted import Reply, json_reply, play

from .conftest import CLIENT_ID, CLIENT_SECRET, TOKEN_PATH, together

DENIED = json_reply({"error": "invalid_client"}, 401)


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


# Life and renewal


@pytest.mark.parametrize(("lifetime", "early", "late"), [(7200, 300, 30), (600, 120, 30), (1, 0.2, 0.05)])
def test_the_renewal_window_scales_with_the_lifetime(source, drillster, fake_time, lifetime, early, late):
    drillster.expires_in = lifetime
    token = source.token()
    assert token.expires_at - fake_time.seconds == pytest.approx(lifetime)
    assert token.expires_at - token.renew_at == pytest.approx(early)
    assert token.expires_at - token.mandatory_at == pytest.approx(late)


@pytest.mark.parametrize("lifetime", [7200, 60])
def test_no_more_renewals_are_made_than_the_lifetime_needs(source, drillster, fake_time, lifetime):
    drillster.expires_in = lifetime
    for _ in range(400):
        token = source.token()
        assert fake_time.seconds < token.expires_at
        fake_time.seconds += lifetime / 40
    assert 9 <= source.grants <= 14


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


@pytest.mark.parametrize("has_token", [False, True], ids=["cold", "with a token that may expire on its way"])
def test_sixteen_threads_without_a_usable_token_cost_one_grant(make_tokens, drillster, fake_time, has_token):
    source = make_tokens(clock=fake_time.clock, random=lambda: 0.0)
    if has_token:
        source.token()
        fake_time.seconds += 7199 - 29
    drillster.grant = lambda request: (time.sleep(0.1), drillster.issue(request))[1]
    assert {token.value for token in together(16, source.token)} == {f"token-{1 + has_token}"}
    assert drillster.grants == source.grants == 1 + has_token


def test_one_thread_renews_early_while_the_others_use_the_old_token(make_tokens, drillster, fake_time):
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


def test_threads_that_waited_for_a_failed_request_share_its_outcome(make_tokens, drillster):
    drillster.grant = lambda _: (time.sleep(0.1), Reply(status=503))[1]
    source = make_tokens(backoff=Backoff(attempts=1))

    def outcome():
        with pytest.raises(ApiUnavailable) as raised:
            source.token()
        return raised.value

    errors = together(8, outcome)
    assert drillster.grants == 1
    assert len({id(error) for error in errors}) == 8
    with pytest.raises(ApiUnavailable):  # a later one requests anew
        source.token()
    assert drillster.grants == 2


# Early renewals that fail


def test_a_failed_early_renewal_costs_no_budget(make_tokens, drillster, fake_time):
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
    assert fake_time.slept == []  # no thread waits for a renewal that is not needed yet
    drillster.grant = None
    fake_time.seconds = old.renew_at + 200
    assert source.token().value == "token-2"


def test_a_failing_early_renewal_is_not_repeated_at_once(source, drillster, fake_time):
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


def test_a_refused_token_is_no_fallback(source, drillster):
    refused = source.token()
    drillster.grant = lambda _: Reply(status=503)
    with pytest.raises(ApiUnavailable):
        source.renew(refused)


# Stopping


def test_a_capture_that_stops_leaves_the_source_to_the_others(make_tokens, drillster):
    hanging = threading.Event()

    def hang(_):
        hanging.wait(10)
        return Reply(status=503)

    drillster.grant = hang
    source = make_tokens()
    ours, theirs = CancelToken(), CancelToken()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(source.token, cancel=ours)
        while not drillster.grants:
            time.sleep(0.01)
        waiting = threads.submit(source.token, cancel=theirs)
        drillster.grant = None
        ours.cancel()
        assert isinstance(first.exception(timeout=5), Cancelled)
        assert waiting.result(timeout=5).value == "token-1"
        hanging.set()


# Refusals


@pytest.mark.parametrize(
    ("status", "body", "minutes", "first", "last"),
    [
        (400, b'{"error":"invalid_client","error_description":"CLIENT SECRET"}', 0, "CLIENT_SECRET", "PRIVATE_KEY"),
        (401, b'{"id":"not_authenticated","description":"CLIENT SECRET"}', 0, "(401 not_authenticated)", "PRIVATE_KEY"),
        (403, b"<html>CLIENT SECRET</html>", 0, "(403)", "PRIVATE_KEY"),
        (400, b'{"error":"invalid_grant"}', 0, "(400 invalid_grant)", "PRIVATE_KEY"),
        (400, b'{"error":"invalid_grant"}', 0, "PRIVATE_KEY", "CLIENT_SECRET"),
        (400, b'{"error":"invalid_grant"}', 7, "(it is 420 s behind Drillster's)", "PRIVATE_KEY"),
    ],
)
def test_a_refusal_names_everything_to_check_and_first_what_the_code_or_the_clock_points_to(
    source, drillster, fake_time, status, body, minutes, first, last
):
    date = (fake_time.now() + dt.timedelta(minutes=minutes)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    drillster.grant = lambda _: Reply(status=status, body=body, headers={"Date": date})
    with pytest.raises(AuthenticationError) as raised:
        source.token()
    message = str(raised.value)
    assert message.index(first) < message.index(last)
    names = ("CLIENT_ID", "CLIENT_SECRET", "SERVICE_ACCOUNT_ID", "PRIVATE_KEY")
    assert all(f"DRILLSTER_{name}" in message for name in names)
    assert "clock" in message
    assert "CLIENT SECRET" not in message
    assert raised.value.exit_code == 2
    assert drillster.grants == 1


def test_a_refusal_is_remembered_for_a_while(make_tokens, drillster, fake_time):
    source = make_tokens(clock=fake_time.clock)
    drillster.grant = lambda _: (time.sleep(0.05), DENIED)[1]

    def outcome():
        with pytest.raises(AuthenticationError) as raised:
            source.token()
        return str(raised.value)

    messages = together(16, outcome)
    messages.append(outcome())
    assert drillster.grants == 1
    assert len(set(messages)) == 1
    fake_time.seconds += 61
    drillster.grant = None
    assert source.token().value == "token-1"


@pytest.mark.parametrize(
    ("status", "location"),
    [(404, ""), (405, ""), (410, ""), (307, "https://login.example.org/?assertion=abc"), (307, "/daas/oauth/token")],
)
def test_an_address_without_a_token_endpoint_is_a_wrong_setting_and_redirects_are_not_followed(
    source, drillster, status, location
):
    drillster.grant = lambda _: Reply(status=status, body=b"<html>", headers={"Location": location})
    with pytest.raises(SettingsError, match="DRILLSTER_BASE_URL") as raised:
        source.token()
    assert not isinstance(raised.value, AuthenticationError)
    assert "assertion=abc" not in str(raised.value)
    assert len(drillster.requests) == 1


# Failures after which another attempt succeeds


@pytest.mark.parametrize(
    "failure",
    [
        *(pytest.param(Reply(status=status), id=str(status)) for status in (429, 500, 520)),
        pytest.param(Reply(reset=True), id="reset"),
        pytest.param(Reply(body=b"<html>soon back</html>"), id="HTML"),
        pytest.param(json_reply({"error": "temporarily_unavailable"}, 400), id="temporarily_unavailable"),
        pytest.param(json_reply({"error": "server_error"}, 400), id="server_error"),
    ],
)
def test_the_token_endpoint_is_tried_again(source, drillster, fake_time, failure):
    replies = iter([failure, failure, None])
    drillster.grant = lambda request: next(replies) or drillster.issue(request)
    assert source.token().value == "token-1"
    assert drillster.grants == 3
    assert len(fake_time.slept) <= 2


def test_a_token_endpoint_that_stays_away_is_unavailable(source, drillster, fake_time):
    drillster.grant = play(Reply(status=503), Reply(reset=True))
    with pytest.raises(
        ApiUnavailable, match=r"8 attempts in .* connection lost \(7 times\), status 503 \(once\)"
    ) as raised:
        source.token()
    assert raised.value.exit_code == 4
    assert raised.value.endpoint == "daas/oauth/token"
    assert drillster.grants == 8
