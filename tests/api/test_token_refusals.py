"""Token requests that are refused, and those that another attempt mends."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from drillster_pipeline.errors import ApiUnavailable, AuthenticationError, SettingsError

from .conftest import together
from .scripted import Play, Reply, json_reply

DENIED = json_reply({"error": "invalid_client"}, 401)
TWO_HOURS = 7200.0


# Refusals


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":"invalid_client","error_description":"CLIENT SECRET"}', " invalid_client"),
        (b'{"id":"not_authenticated","description":"CLIENT SECRET"}', " not_authenticated"),
        (b"<html>CLIENT SECRET</html>", ""),
        (b"", ""),
    ],
)
def test_a_refusal_says_what_to_check(source, drillster, status, body, said):
    drillster.grant = lambda _: Reply(status=status, body=body)
    with pytest.raises(AuthenticationError) as raised:
        source.token()
    message = str(raised.value)
    assert f"({status}{said})" in message
    assert "DRILLSTER_CLIENT_SECRET" in message
    assert "CLIENT SECRET" not in message
    assert raised.value.exit_code == 2
    assert drillster.grants == 1


def test_a_refusal_tells_the_skew_of_the_clock(source, drillster, fake_time):
    date = (fake_time.now() + dt.timedelta(minutes=7)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    drillster.grant = lambda _: json_reply({"error": "invalid_grant"}, 400, Date=date)
    with pytest.raises(AuthenticationError, match="420 s behind Drillster's"):
        source.token()


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


def test_a_remembered_refusal_holds_for_renewals_too(source, drillster):
    refused = source.token()
    drillster.grant = lambda _: DENIED
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            source.renew(refused)
    assert drillster.grants == 2


@pytest.mark.parametrize("status", [404, 405, 410])
def test_an_address_without_a_token_endpoint_is_a_wrong_setting(source, drillster, status):
    drillster.grant = lambda _: Reply(status=status, body=b"<html>")
    with pytest.raises(SettingsError, match="DRILLSTER_BASE_URL") as raised:
        source.token()
    assert not isinstance(raised.value, AuthenticationError)


@pytest.mark.parametrize("location", ["https://login.example.org/?assertion=abc", "/daas/oauth/token", "", "http://["])
def test_a_token_request_is_never_redirected(source, drillster, location):
    drillster.grant = lambda _: Reply(status=307, headers={"Location": location})
    with pytest.raises(SettingsError, match="DRILLSTER_BASE_URL") as raised:
        source.token()
    assert "assertion=abc" not in str(raised.value)
    assert len(drillster.requests) == 1


def test_a_redirect_names_the_host_it_points_to(source, drillster):
    drillster.grant = lambda _: Reply(status=301, headers={"Location": "https://eu.drillster.example/x/y?z"})
    with pytest.raises(SettingsError, match=r"redirects to eu\.drillster\.example \(301\)") as raised:
        source.token()
    assert "/x/y" not in str(raised.value)


# Failures that another attempt mends


@pytest.mark.parametrize(
    "failure",
    [
        *(pytest.param(Reply(status=status), id=str(status)) for status in (408, 429, 500, 502, 503, 504, 520)),
        pytest.param(Reply(reset=True), id="reset"),
        pytest.param(Reply(pieces=[]), id="closed without an answer"),
        pytest.param(Reply(body=b"<html>soon back</html>"), id="HTML"),
        pytest.param(Reply(body=b""), id="empty"),
        pytest.param(Reply(pieces=[b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"]), id="cut"),
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


def test_an_answer_that_takes_too_long_is_tried_again(make_tokens, drillster):
    replies = iter([Reply(wait=1.0), None])
    drillster.grant = lambda request: next(replies) or drillster.issue(request)
    assert make_tokens(answer_seconds=0.2).token().value == "token-1"


def test_a_token_endpoint_that_stays_away_is_unavailable(source, drillster, fake_time):
    drillster.grant = Play(Reply(status=503), Reply(reset=True))
    with pytest.raises(
        ApiUnavailable, match=r"8 attempts in .* connection lost \(7 times\), status 503 \(once\)"
    ) as raised:
        source.token()
    assert raised.value.exit_code == 4
    assert raised.value.endpoint == "daas/oauth/token"
    assert drillster.grants == 8


@pytest.mark.parametrize(
    ("value", "waited"), [("3", 3), ("40", 40), ("0", 0), ("-1", 0), ("soon", 0), ("9" * 5000, 120)]
)
def test_retry_after_is_honoured_and_capped(source, drillster, fake_time, value, waited):
    replies = iter([Reply(status=429, headers={"Retry-After": value}), None])
    drillster.grant = lambda request: next(replies) or drillster.issue(request)
    source.token()
    assert sum(fake_time.slept) == waited


def test_an_outage_of_the_token_endpoint_is_waited_out_for_as_long_as_one_of_the_api(make_tokens, drillster, fake_time):
    drillster.grant = lambda _: Reply(status=503)
    source = make_tokens(backoff=None, clock=fake_time.clock, sleep=fake_time.sleep, random=lambda: 1.0)
    began = fake_time.seconds
    with pytest.raises(ApiUnavailable):
        source.token()
    assert 120 < fake_time.seconds - began <= 180
