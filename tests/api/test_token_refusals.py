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


@pytest.mark.parametrize(
    ("code", "minutes", "first", "last"),
    [
        ("invalid_client", 0, "CLIENT_SECRET", "PRIVATE_KEY"),
        ("invalid_grant", 0, "PRIVATE_KEY", "CLIENT_SECRET"),
        ("invalid_grant", 7, "(it is 420 s behind Drillster's)", "PRIVATE_KEY"),
    ],
)
def test_a_refusal_names_everything_to_check_and_first_what_the_code_or_the_clock_points_to(
    source, drillster, fake_time, code, minutes, first, last
):
    date = (fake_time.now() + dt.timedelta(minutes=minutes)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    drillster.grant = lambda _: json_reply({"error": code}, 400, Date=date)
    with pytest.raises(AuthenticationError) as raised:
        source.token()
    message = str(raised.value)
    assert message.index(first) < message.index(last)
    assert all(f"DRILLSTER_{name}" in message for name in ("CLIENT_ID", "SERVICE_ACCOUNT_ID", "PRIVATE_KEY"))
    assert "clock" in message


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


def test_a_token_endpoint_that_stays_away_is_unavailable(source, drillster, fake_time):
    drillster.grant = Play(Reply(status=503), Reply(reset=True))
    with pytest.raises(
        ApiUnavailable, match=r"8 attempts in .* connection lost \(7 times\), status 503 \(once\)"
    ) as raised:
        source.token()
    assert raised.value.exit_code == 4
    assert raised.value.endpoint == "daas/oauth/token"
    assert drillster.grants == 8
