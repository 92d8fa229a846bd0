from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.api.grant import DEFAULT_LIFETIME, LONGEST_LIFETIME, granted, lifetime, refusal
from drillster_pipeline.api.responses import error_id
from drillster_pipeline.api.transport import RawResponse
from drillster_pipeline.errors import AnswerError


def reply(answer: object) -> RawResponse:
    return RawResponse(200, {}, json.dumps(answer).encode())


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (7199, 7199),
        (3, 3),
        (0.5, 0.5),
        ("3600", 3600),
        (" 3600 ", 3600),
        ("3599.5", 3599.5),
        (None, DEFAULT_LIFETIME),
        (0, DEFAULT_LIFETIME),
        (-1, DEFAULT_LIFETIME),
        ("0", DEFAULT_LIFETIME),
        ("", DEFAULT_LIFETIME),
        ("an hour", DEFAULT_LIFETIME),
        ("nan", DEFAULT_LIFETIME),
        (True, DEFAULT_LIFETIME),
        ([3600], DEFAULT_LIFETIME),
        ({}, DEFAULT_LIFETIME),
        (2_591_999, LONGEST_LIFETIME),
        (10**400, LONGEST_LIFETIME),
        (-(10**400), DEFAULT_LIFETIME),
        ("inf", LONGEST_LIFETIME),
        ("1e400", LONGEST_LIFETIME),
    ],
)
def test_a_lifetime_is_read_from_whatever_is_given(expires_in, seconds):
    assert lifetime(expires_in) == seconds


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_a_lifetime_is_always_usable(expires_in):
    assert 0 < lifetime(expires_in) <= LONGEST_LIFETIME


def test_a_token_object_is_taken_apart():
    grant = granted(reply({"access_token": "abc.def", "expires_in": "60", "token_type": "Bearer", "unknown": [1]}))
    assert (grant.access_token, grant.lifetime) == ("abc.def", 60)


def test_the_type_of_the_token_may_be_left_out():
    assert granted(reply({"access_token": "abc"})).access_token == "abc"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[" * 100_000, b"\xff\xfe\x00"])
def test_what_is_not_json_may_be_mended_by_another_attempt(body):
    assert granted(RawResponse(200, {}, body)) is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param("token", id="a text"),
        pytest.param(None, id="null"),
        pytest.param({"access_token": ""}, id="an empty token"),
        pytest.param({"access_token": 7}, id="a number"),
        pytest.param({"access_token": "a b"}, id="a space in the token"),
        pytest.param({"access_token": "a\r\nX-Injected: 1"}, id="a line break in the token"),
        pytest.param({"access_token": "tökén"}, id="not ASCII"),
        pytest.param({"access_token": "secret-token", "token_type": "mac"}, id="another type"),
        pytest.param({"access_token": "secret-token", "token_type": {}}, id="a type that is none"),
    ],
)
def test_json_without_a_usable_token_is_a_broken_contract(answer):
    with pytest.raises(AnswerError, match="DRILLSTER_BASE_URL") as raised:
        granted(reply(answer))
    assert "secret-token" not in str(raised.value)
    assert raised.value.exit_code == 6


@pytest.mark.parametrize(
    ("body", "identifier"),
    [
        (b'{"error":"invalid_grant","error_description":"Bad assertion eyJhbGciOi"}', "invalid_grant"),
        (b'{"id":"not_authenticated","description":"User was not authenticated"}', "not_authenticated"),
        (b'{"error":"x","id":"y"}', "x"),
        (b'{"error":{"id":"x"},"id":"not_found"}', "not_found"),
        (b'{"id":"Qm3vX0sTTeG1rJ8nB5yL2w"}', None),
        (b'{"error":"0c9d5a7b1e3f4d2860c9d5a7b1e3f4d2"}', None),
        (b'{"error":"Noor de Wit may not do this"}', None),
        (b'{"error":"noor@example.org"}', None),
        (b'{"error":"' + b"a" * 65 + b'"}', None),
        (b'{"error":7}', None),
        (b'{"error":""}', None),
        (b"[]", None),
        (b'"invalid_grant"', None),
        (b"<html><body>invalid_grant</body></html>", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"[" * 60_000, None),
        (b'{"error":"invalid_grant"}' + b" " * 70_000, None),
    ],
)
def test_only_a_plain_identifier_is_taken_from_an_error(body, identifier):
    assert error_id(body) == identifier


def test_a_refusal_names_everything_to_check_and_first_what_the_code_points_to():
    by_client = refusal(401, "invalid_client", 2.0)
    by_grant = refusal(400, "invalid_grant", 2.0)
    for message in (by_client, by_grant):
        for setting in ("CLIENT_ID", "CLIENT_SECRET", "SERVICE_ACCOUNT_ID", "PRIVATE_KEY"):
            assert f"DRILLSTER_{setting}" in message
        assert "2 s ahead" in message
    assert by_client.index("CLIENT_SECRET") < by_client.index("PRIVATE_KEY")
    assert by_grant.index("PRIVATE_KEY") < by_grant.index("CLIENT_SECRET")
    assert "401 invalid_client" in by_client


def test_a_clock_that_is_far_off_is_the_first_suspect():
    message = refusal(400, "invalid_grant", -412.4)
    assert "412 s behind" in message
    assert message.index("clock") < message.index("PRIVATE_KEY")


def test_without_a_date_the_clock_is_named_all_the_same():
    assert "clock" in refusal(400, None, None)
