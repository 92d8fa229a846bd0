from __future__ import annotations

import datetime as dt
import logging

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from drillster_pipeline.api.assertion import Signer
from drillster_pipeline.errors import SettingsError

URL = "https://www.drillster.com/daas/oauth/token"
NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def claims(signer: Signer, key: rsa.RSAPrivateKey) -> dict[str, object]:
    options = {"verify_exp": False, "verify_iat": False}
    return jwt.decode(signer.sign(NOW), key.public_key(), algorithms=["RS256"], audience=URL, options=options)


def signer(pem: str) -> Signer:
    return Signer(private_key=pem, service_account_id="iqKp", audience=URL)


def test_the_service_account_speaks_for_itself_to_the_exact_token_url(rsa_key, private_key):
    said = claims(signer(private_key), rsa_key)
    assert (said["iss"], said["sub"], said["aud"]) == ("iqKp", "iqKp", URL)


def test_an_assertion_is_back_dated_and_ends_within_five_minutes(rsa_key, private_key):
    said = claims(signer(private_key), rsa_key)
    now = NOW.timestamp()
    assert 30 <= now - said["iat"] <= 60
    assert 0 < said["exp"] - now < 300
    assert said["exp"] - said["iat"] <= 300


def test_no_assertion_is_used_twice(rsa_key, private_key):
    same = signer(private_key)
    assert len({claims(same, rsa_key)["jti"] for _ in range(20)}) == 20


def test_the_header_says_rs256_and_nothing_of_the_key(private_key):
    assert jwt.get_unverified_header(signer(private_key).sign(NOW)) == {"alg": "RS256", "typ": "JWT"}


def pem(key, form=PrivateFormat.PKCS8, encryption=None) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(pem, id="PKCS 8"),
        pytest.param(lambda key: pem(key, PrivateFormat.TraditionalOpenSSL), id="PKCS 1"),
        pytest.param(lambda key: pem(key).replace("\n", "\\n"), id="line breaks written as backslash n"),
        pytest.param(lambda key: pem(key).replace("\n", "\r\n"), id="Windows line ends"),
        pytest.param(lambda key: f"\n\n  {pem(key)}\n ", id="space around"),
    ],
)
def test_a_key_is_read_however_it_is_written(written, rsa_key):
    assert claims(signer(written(rsa_key)), rsa_key)["sub"] == "iqKp"


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        pytest.param(lambda _: "", "cannot be read", id="nothing"),
        pytest.param(lambda _: "secret-that-is-no-key", "cannot be read", id="no PEM"),
        pytest.param(lambda key: pem(key)[:400], "cannot be read", id="cut"),
        pytest.param(lambda key: pem(key).replace("A", "B"), "cannot be read", id="changed"),
        pytest.param(
            lambda key: pem(key, encryption=BestAvailableEncryption(b"x")), "passphrase", id="with a passphrase"
        ),
        pytest.param(
            lambda key: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "public key",
            id="the public half",
        ),
        pytest.param(lambda _: pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key", id="another kind"),
    ],
)
def test_a_bad_key_is_a_wrong_setting_and_is_not_quoted(written, complaint, rsa_key, caplog):
    caplog.set_level(logging.DEBUG)
    text = written(rsa_key)
    with pytest.raises(SettingsError, match=complaint) as raised:
        signer(text)
    assert "DRILLSTER_PRIVATE_KEY" in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    shown = f"{raised.value!r} {raised.value} {caplog.text}"
    assert not any(line in shown for line in text.splitlines() if line)


def test_a_signer_does_not_show_its_key(private_key):
    assert repr(signer(private_key)) == "Signer(private_key=***)"
