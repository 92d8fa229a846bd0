from __future__ import annotations

import datetime as dt
import json
import logging
from email.utils import format_datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

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

URL = "https://www.drillster.com/daas/oauth/token"
NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def endpoint(pem: str) -> TokenEndpoint:
    return TokenEndpoint(
        URL,
        client_id="c",
        client_secret="s3cret",
        service_account_id="iqKp",
        private_key=pem,
        answer_seconds=1,
        clock=lambda: 0.0,
        now=lambda: NOW,
    )


def claims(assertion: str, key) -> dict[str, object]:
    options = {"verify_exp": False, "verify_iat": False}
    return jwt.decode(assertion, key.public_key(), algorithms=["RS256"], audience=URL, options=options)


def test_an_assertion_is_of_the_service_account_for_the_token_url_and_valid_for_five_minutes_at_most(
    rsa_key, private_key
):
    assertions = [endpoint(private_key).assertion() for _ in range(20)]
    found = [claims(assertion, rsa_key) for assertion in assertions]
    now = NOW.timestamp()
    for each in found:
        assert (each["iss"], each["sub"], each["aud"]) == ("iqKp", "iqKp", URL)
        assert 30 <= now - each["iat"] <= 60
        assert 0 < each["exp"] - now < 300
        assert each["exp"] - each["iat"] <= 300
    assert len({each["jti"] for each in found}) == 20
    assert jwt.get_unverified_header(assertions[0]) == {"alg": "RS256", "typ": "JWT"}


def pem(key, form=PrivateFormat.PKCS8, encryption=None) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


@pytest.mark.parametrize(
    "written",
    [
        pem,
        lambda key: pem(key, PrivateFormat.TraditionalOpenSSL),
        lambda key: pem(key).replace("\n", "\\n"),
        lambda key: pem(key).replace("\n", "\r\n"),
        lambda key: f"\n\n  {pem(key)}\n ",
    ],
    ids=["PKCS 8", "PKCS 1", "line breaks written as backslash n", "Windows line ends", "space around"],
)
def test_a_key_is_read_however_it_is_written(written, rsa_key):
    assert claims(endpoint(written(rsa_key)).assertion(), rsa_key)["sub"] == "iqKp"


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (lambda _: "", "cannot be read"),
        (lambda key: pem(key)[:400], "cannot be read"),
        (lambda key: pem(key).replace("A", "B"), "cannot be read"),
        (lambda key: pem(key, encryption=BestAvailableEncryption(b"x")), "passphrase"),
        (
            lambda key: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "cannot be read",
        ),
        (lambda _: pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
    ],
    ids=["nothing", "cut", "changed", "with a passphrase", "the public half", "another kind"],
)
def test_a_bad_key_is_a_wrong_setting_and_is_not_quoted(written, complaint, rsa_key, caplog):
    caplog.set_level(logging.DEBUG)
    text = written(rsa_key)
    with pytest.raises(SettingsError, match=complaint) as raised:
        endpoint(text)
    assert "DRILLSTER_PRIVATE_KEY" in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None
    shown = f"{raised.value!r} {raised.value} {caplog.text}"
    assert not any(line in shown for line in text.splitlines() if line)


def response(body: object) -> RawResponse:
    return RawResponse(200, {}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (7199, 7199),
        (0.5, 0.5),
        (" 3600 ", 3600),
        ("3599.5", 3599.5),
        *(
            (value, DEFAULT_LIFETIME)
            for value in (None, 0, -1, "0", "", "an hour", "nan", True, [3600], {}, -(10**400))
        ),
        *((value, LONGEST_LIFETIME) for value in (2_591_999, 10**400, "inf", "1e400")),
    ],
)
def test_a_lifetime_is_read_from_any_value(expires_in, seconds):
    assert lifetime(expires_in) == seconds


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_a_lifetime_is_always_usable(expires_in):
    assert 0 < lifetime(expires_in) <= LONGEST_LIFETIME


def test_a_token_is_read_with_and_without_its_type():
    grant = parse_grant(response({"access_token": "abc.def", "expires_in": "60", "token_type": "Bearer", "x": [1]}))
    assert (grant.access_token, grant.lifetime, grant.is_stated) == ("abc.def", 60, True)
    assert parse_grant(response({"access_token": "abc"})).access_token == "abc"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[" * 100_000, b"\xff\xfe\x00"])
def test_an_answer_that_is_not_json_gives_no_grant(body):
    assert parse_grant(RawResponse(200, {}, body)) is None


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
        *(
            (body, None)
            for body in (
                b'{"id":"Qm3vX0sTTeG1rJ8nB5yL2w"}',
                b'{"error":"0c9d5a7b1e3f4d2860c9d5a7b1e3f4d2"}',
                b'{"error":"Noor de Wit may not do this"}',
                b'{"error":"noor@example.org"}',
                b'{"error":"' + b"a" * 65 + b'"}',
                b'{"error":7}',
                b"[]",
                b'"invalid_grant"',
                b"<html><body>invalid_grant</body></html>",
                b"\xff\xfe",
                b"[" * 60_000,
                b'{"error":"invalid_grant"}' + b" " * 70_000,
            )
        ),
    ],
)
def test_only_a_plain_identifier_is_taken_from_an_error(body, identifier):
    assert error_id(body) == identifier


@given(ahead=st.floats(-4000, 4000), there=st.floats(0, 5), back=st.floats(0, 5), fraction=st.floats(0, 0.999))
def test_the_difference_between_the_clocks_is_within_what_is_said_of_it(ahead, there, back, fraction):
    sent = NOW + dt.timedelta(seconds=fraction)
    written = sent - dt.timedelta(seconds=ahead) + dt.timedelta(seconds=there)
    skew = skew_between(
        {"Date": format_datetime(written, usegmt=True)}, sent, sent + dt.timedelta(seconds=there + back)
    )
    assert skew is not None
    assert abs(skew.ahead - ahead) <= skew.within + 0.02


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_without_a_date_the_difference_is_not_known(headers):
    assert skew_between(headers, NOW, NOW) is None
