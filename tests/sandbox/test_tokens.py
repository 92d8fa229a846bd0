from __future__ import annotations

import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.drillster import Faults

from .caller import Caller, Start


def test_a_grant_is_a_token_object_without_refresh_token(caller: Caller) -> None:
    answer = caller.grant()
    token = answer.json()
    assert answer.status_code == 200
    assert set(token) == {"access_token", "expires_in", "jti", "scope", "token_type"}
    assert (token["token_type"], token["scope"], token["expires_in"]) == ("bearer", "ROLE_USER", 7200)
    claims = jwt.decode(token["access_token"], options={"verify_signature": False})
    assert set(claims) == {"sub", "exp", "jti", "client_id", "scope"}
    assert claims["sub"] == caller.sandbox.credentials.service_account_id
    assert claims["jti"] == token["jti"]
    assert claims["scope"] == ["ROLE_USER"]
    assert jwt.get_unverified_header(token["access_token"])["alg"] == "RS256"
    assert answer.headers["Cache-Control"].startswith("no-cache, no-store")
    assert caller.sandbox.grants == 1


REFUSED_FORMS = {
    "no grant type": ({"grant_type": ...}, 400, "invalid_request"),
    "another grant type": ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
    "no assertion": ({"assertion": ...}, 400, "invalid_request"),
    "no client id": ({"client_id": ...}, 400, "invalid_request"),
    "no client secret": ({"client_secret": ...}, 400, "invalid_request"),
    "wrong client id": ({"client_id": "0" * 32}, 401, "invalid_client"),
    "wrong client secret": ({"client_secret": "0" * 32}, 401, "invalid_client"),
    "an assertion that is no token": ({"assertion": "a.b.c"}, 400, "invalid_grant"),
}


@pytest.mark.parametrize(("changes", "status", "error"), REFUSED_FORMS.values(), ids=REFUSED_FORMS)
def test_a_form_that_lacks_something_is_refused(caller: Caller, changes: dict, status: int, error: str) -> None:
    answer = caller.grant(**changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert caller.sandbox.grants == 0


def now(seconds: float) -> int:
    return int(time.time() + seconds)


REFUSED_CLAIMS = {
    "issuer is somebody else": lambda: {"iss": "someone"},
    "subject is somebody else": lambda: {"sub": "someone"},
    "no issuer": lambda: {"iss": ...},
    "no subject": lambda: {"sub": ...},
    "audience is another address": lambda: {"aud": "https://www.drillster.com/daas/oauth/token"},
    "no audience": lambda: {"aud": ...},
    "expired": lambda: {"exp": now(-1)},
    "no expiry": lambda: {"exp": ...},
    "expires too far ahead": lambda: {"exp": now(3700)},
    "expiry is no number": lambda: {"exp": "soon"},
    "issued in the future": lambda: {"iat": now(30)},
    "not valid yet": lambda: {"nbf": now(30)},
}


@pytest.mark.parametrize("changes", REFUSED_CLAIMS.values(), ids=REFUSED_CLAIMS)
def test_a_claim_that_is_wrong_is_an_invalid_grant(caller: Caller, changes) -> None:
    answer = caller.grant(assertion=caller.assertion(**changes()))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


ACCEPTED_CLAIMS = {
    "no issue time": lambda: {"iat": ...},
    "no identifier": lambda: {"jti": ...},
    "issued a little in the future": lambda: {"iat": now(3)},
    "issued a while ago": lambda: {"iat": now(-120)},
    "expires in an hour": lambda: {"exp": now(3590)},
}


@pytest.mark.parametrize("changes", ACCEPTED_CLAIMS.values(), ids=ACCEPTED_CLAIMS)
def test_a_claim_that_may_differ_is_accepted(caller: Caller, changes) -> None:
    assert caller.grant(assertion=caller.assertion(**changes())).status_code == 200


def test_a_signature_of_another_key_is_refused(caller: Caller) -> None:
    stranger = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    answer = caller.grant(assertion=caller.assertion(key=stranger))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_another_algorithm_is_refused(caller: Caller, algorithm: str) -> None:
    assert caller.grant(assertion=caller.assertion(algorithm=algorithm)).json()["error"] == "invalid_grant"


def test_an_unsigned_assertion_is_refused(caller: Caller) -> None:
    unsigned = jwt.encode(caller.claims(), None, algorithm="none")
    assert caller.grant(assertion=unsigned).json()["error"] == "invalid_grant"


def test_an_assertion_works_once(caller: Caller) -> None:
    assertion = caller.assertion()
    assert caller.grant(assertion=assertion).status_code == 200
    assert caller.grant(assertion=assertion).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("scheme", ["Bearer", "OAuth"])
def test_both_schemes_open_the_door(caller: Caller, scheme: str) -> None:
    assert caller.call("organization", headers={"Authorization": f"{scheme} {caller.token}"}).status_code == 200


def tampered(token: str) -> str:
    return token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB")


BAD_HEADERS = {
    "none": (lambda _: {}, "not_authenticated"),
    "lower case": (lambda token: {"Authorization": f"bearer {token}"}, "not_authenticated"),
    "upper case": (lambda token: {"Authorization": f"OAUTH {token}"}, "not_authenticated"),
    "another scheme": (lambda token: {"Authorization": f"Basic {token}"}, "not_authenticated"),
    "no token": (lambda _: {"Authorization": "Bearer "}, "not_authenticated"),
    "unknown token": (lambda _: {"Authorization": "Bearer abc"}, "invalid_token"),
    "tampered token": (lambda token: {"Authorization": f"Bearer {tampered(token)}"}, "invalid_token"),
}


@pytest.mark.parametrize(("headers", "error"), BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_without_a_good_token_the_door_stays_shut(caller: Caller, headers, error: str) -> None:
    answer = caller.call("organization", headers=headers(caller.token))
    assert (answer.status_code, answer.json()["id"]) == (401, error)
    assert set(answer.json()) == {"id", "description"}


def test_a_token_expires_by_the_real_clock_whatever_moment_is_shown(caller: Caller) -> None:
    caller.sandbox.faults = Faults(token_lifetime=1.0)
    caller.sandbox.now = caller.sandbox.now.replace(year=2031)
    caller.fresh_token()
    assert caller.call("organization").status_code == 200
    deadline = time.monotonic() + 10
    while (answer := caller.call("organization")).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (answer.status_code, answer.json()["id"]) == (401, "token_expired")


def test_the_stated_lifetime_can_be_anything(caller: Caller) -> None:
    for stated, expected in {None: None, "7199": "7199", 0: 0, -5: -5, 10**12: 10**12, 1.5: 1.5}.items():
        caller.sandbox.faults = Faults(stated_lifetime=stated)
        assert caller.grant().json().get("expires_in") == expected
    caller.sandbox.faults = Faults(token_lifetime=3.9)
    assert caller.grant().json()["expires_in"] == 3


def test_a_skewed_clock_judges_assertions_tokens_and_dates(caller: Caller) -> None:
    caller.sandbox.faults = Faults(clock_skew=-120.0)
    assert caller.grant().json()["error"] == "invalid_grant"
    assert caller.grant(assertion=caller.assertion(iat=now(-125))).status_code == 200
    caller.sandbox.faults = Faults(clock_skew=3 * 3600.0)
    assert caller.grant().json()["error"] == "invalid_grant"
    assert caller.call("organization").json()["id"] == "token_expired"


def test_tokens_can_be_revoked(caller: Caller) -> None:
    caller.sandbox.revoke_tokens()
    assert caller.call("organization").json()["id"] == "invalid_token"
    caller.fresh_token()
    assert caller.call("organization").status_code == 200


def test_the_token_endpoint_takes_forms_by_post_only(caller: Caller) -> None:
    assert caller.session.get(caller.token_url, timeout=20).status_code == 405
    as_json = caller.session.post(caller.token_url, json=caller.form(), timeout=20)
    assert (as_json.status_code, as_json.json()["error"]) == (400, "invalid_request")
    twice = caller.session.post(caller.token_url, data=[*caller.form().items(), ("client_id", "x")], timeout=20)
    assert twice.json()["error"] == "invalid_request"


def test_the_audience_goes_by_the_address_that_was_called(start: Start) -> None:
    caller = start()
    local = caller.sandbox.base_url.replace("127.0.0.1", "localhost") + "/daas/oauth/token"
    form = caller.form(assertion=caller.assertion(aud=local))
    assert caller.session.post(local, data=form, timeout=20).status_code == 200
