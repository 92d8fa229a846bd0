from __future__ import annotations

import datetime as dt
import json
import logging
from email.utils import format_datetime

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from drillster_pipeline.api.auth import (
    DEFAULT_LIFETIME,
    LONGEST_LIFETIME,
    TokenEndpoint,
    lifetime,
    parse_grant,
    skew_between,
)
from drillster_pipeline.api.responses import error_id
from drillster_pipeline.api.transport import RawResponse
from drillster_pipeline.errors import AnswerError, SettingsError

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def test_an_assertion_is_for_the_token_url_and_valid_for_five_minutes_at_most(settings, rsa_key):
    endpoint = TokenEndpoint(settings, now=lambda: NOW)
    assertions = [endpoint.assertion() for _ in range(5)]
    url = f"{settings.base_url}/daas/oauth/token"
    options = {"verify_exp": False, "verify_iat": False}
    claims = [jwt.decode(one, rsa_key.public_key(), ["RS256"], options, audience=url) for one in assertions]
    now = NOW.timestamp()
    for each in claims:
        assert (each["iss"], each["sub"], each["aud"]) == (*[settings.service_account_id] * 2, url)
        assert 30 <= now - each["iat"] <= 60
        assert 0 < each["exp"] - now < 300
        assert each["exp"] - each["iat"] <= 300
    assert len({each["jti"] for each in claims}) == 5
    assert jwt.get_unverified_header(assertions[0]) == {"alg": "RS256", "typ": "JWT"}


def test_a_damaged_key_is_a_wrong_setting_and_is_not_quoted(settings, private_key, caplog):
    caplog.set_level(logging.DEBUG)
    damaged = private_key.replace("A", "B")
    with pytest.raises(SettingsError, match="DRILLSTER_PRIVATE_KEY") as raised:
        TokenEndpoint(settings.model_copy(update={"private_key": SecretStr(damaged)}))
    assert raised.value.__cause__ is raised.value.__context__ is None
    assert not any(line in f"{raised.value!r} {caplog.text}" for line in damaged.splitlines())


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (7199, 7199),
        (0.5, 0.5),
        (" 3600 ", 3600),
        ("3599.5", 3599.5),
        *(
            (value, DEFAULT_LIFETIME)
            for value in (None, 0, -1, "0", "", "an hour", "nan", True, [3600], {}, 10**400, -(10**400))
        ),
        *((value, LONGEST_LIFETIME) for value in (2_591_999, "inf", "1e400")),
    ],
)
def test_a_lifetime_is_read_from_any_value(expires_in, seconds):
    assert lifetime(expires_in) == seconds


def response(body: object) -> RawResponse:
    return RawResponse(200, {}, json.dumps(body).encode())


def test_a_token_is_read_with_and_without_its_type():
    grant = parse_grant(response({"access_token": "abc.def", "expires_in": "60", "token_type": "Bearer", "x": [1]}))
    assert (grant.access_token, grant.lifetime, grant.is_stated) == ("abc.def", 60, True)
    grant = parse_grant(response({"access_token": "abc"}))
    assert (grant.access_token, grant.is_stated) == ("abc", False)


@pytest.mark.parametrize(
    "body",
    [
        *({}, [], "token", None),
        *({"access_token": token} for token in ("", 7, "a b", "a\r\nX-Injected: 1", "tökén")),
        *({"access_token": "secret-token", "token_type": kind} for kind in ("mac", {"a": 1})),
    ],
    ids=repr,
)
def test_json_without_a_usable_token_is_a_broken_contract(body):
    with pytest.raises(AnswerError, match="DRILLSTER_BASE_URL") as raised:
        parse_grant(response(body))
    assert "secret-token" not in str(raised.value)
    assert raised.value.exit_code == 6


@pytest.mark.parametrize(
    ("body", "identifier"),
    [
        (b'{"error":"invalid_grant","error_description":"Bad assertion eyJhbGciOi"}', "invalid_grant"),
        (b'{"id":"not_authenticated","description":"User was not authenticated"}', "not_authenticated"),
        (b'{"error":"x","id":"y"}', "x"),
        (b'{"error":{"id":"x"},"id":"not_found"}', "not_found"),
        *((b'{"error":"%s"}' % text, None) for text in (b"0c9d5a7b1e3f", b"Noor de Wit", b"n@example.org", b"a" * 65)),
        *((body, None) for body in (b'{"error":7}', b"[]", b'"invalid_grant"', b"<html>", b"\xff\xfe", b"[" * 60_000)),
        (b'{"error":"invalid_grant"}' + b" " * 70_000, None),
    ],
)
def test_only_a_plain_identifier_is_taken_from_an_error(body, identifier):
    assert error_id(body) == identifier


@given(ahead=st.floats(-4000, 4000), there=st.floats(0, 5), back=st.floats(0, 5), fraction=st.floats(0, 0.999))
def test_the_difference_between_the_clocks_is_within_its_stated_error(ahead, there, back, fraction):
    sent = NOW + dt.timedelta(seconds=fraction)
    written = sent - dt.timedelta(seconds=ahead) + dt.timedelta(seconds=there)
    headers = {"Date": format_datetime(written, usegmt=True)}
    skew = skew_between(headers, sent, sent + dt.timedelta(seconds=there + back))
    assert skew is not None
    assert abs(skew.ahead - ahead) <= skew.within + 0.02
    assert skew_between({"Date": "yesterday"}, sent, sent) is None
