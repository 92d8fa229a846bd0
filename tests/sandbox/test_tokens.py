"""The token endpoint, and the tokens that it issues."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.drillster import Faults

from .caller import NOW, Caller, Start


def test_a_grant_is_a_token_object_without_refresh_token(caller: Caller) -> None:
    answer = caller.grant()
    token = answer.json()
    assert set(token) == {"access_token", "expires_in", "jti", "scope", "token_type"}
    assert (token["token_type"], token["scope"], token["expires_in"]) == ("bearer", "ROLE_USER", 7200)
    claims = jwt.decode(token["access_token"], options={"verify_signature": False})
    assert claims["sub"] == caller.sandbox.credentials.service_account_id
    assert claims["jti"] == token["jti"]
    assert jwt.get_unverified_header(token["access_token"])["alg"] == "RS256"
    assert caller.sandbox.grants == 1


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        *(({name: ...}, 400, "invalid_request") for name in ("grant_type", "assertion", "client_id", "client_secret")),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"client_id": ["x", "y"]}, 400, "invalid_request"),
        *(({name: "0" * 32}, 401, "invalid_client") for name in ("client_id", "client_secret")),
        ({"assertion": "a.b.c"}, 400, "invalid_grant"),
    ],
    ids=str,
)
def test_a_wrong_form_is_refused(caller: Caller, changes: dict[str, Any], status: int, error: str) -> None:
    answer = caller.grant(**changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert caller.sandbox.grants == 0


@pytest.mark.parametrize(
    "changes",
    [
        *({name: value} for name in ("iss", "sub", "aud", "exp") for value in (..., "somebody else")),
        *({"exp": seconds} for seconds in (-1, 3700)),
        *({name: 30} for name in ("iat", "nbf")),
        {"key": rsa.generate_private_key(public_exponent=65_537, key_size=2048)},
        {"algorithm": "RS512"},
    ],
    ids=lambda changes: "another key" if "key" in changes else str(changes),
)
def test_a_wrong_assertion_is_an_invalid_grant(caller: Caller, changes: dict[str, Any]) -> None:
    answer = caller.grant(assertion=caller.assertion(**from_now(changes)))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_the_token_of_an_end_user_is_for_their_account_and_not_for_the_data_of_the_organization(caller: Caller) -> None:
    accounts = caller.sandbox.organization.at(NOW).accounts().all()
    user = next(one["account"] for one in accounts if one["relationTypes"] == ["ACCOUNT"])
    answer = caller.grant(assertion=caller.assertion(sub=user["id"]))
    caller.token = answer.json()["access_token"]
    assert caller.get("user") == user
    answer = caller.call("groups")
    assert (answer.status_code, answer.json()["id"]) == (403, "not_permitted")


def test_an_account_that_the_organization_does_not_manage_gets_no_token(caller: Caller) -> None:
    seen = caller.sandbox.organization.at(NOW)
    staff = [one["account"]["id"] for one in seen.accounts().all() if one["relationTypes"] == ["ADMIN"]]
    members = [one.stay for group in seen.present_groups() for one in seen.memberships(group)]
    guests = [stay.id for stay in members if stay.guest_of is not None]
    gone = [stay.id for chair in seen.model.chairs for stay in chair if stay.gone <= seen.moment]
    for others in (set(staff) - {caller.sandbox.credentials.service_account_id}, guests, gone):
        answer = caller.grant(assertion=caller.assertion(sub=min(others)))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert "does not manage this account" in answer.json()["error_description"]


@pytest.mark.parametrize("changes", [{"iat": ...}, {"jti": ...}, {"iat": 3}, {"iat": -120}, {"exp": 3590}], ids=str)
def test_a_claim_that_may_differ_is_accepted(caller: Caller, changes: dict[str, Any]) -> None:
    assert caller.grant(assertion=caller.assertion(**from_now(changes))).status_code == 200


def from_now(changes: dict[str, Any]) -> dict[str, Any]:
    """Numbers are seconds from now."""
    return {name: int(time.time() + value) if isinstance(value, int) else value for name, value in changes.items()}


def test_an_assertion_works_once(caller: Caller) -> None:
    assertion = caller.assertion()
    assert caller.grant(assertion=assertion).status_code == 200
    assert caller.grant(assertion=assertion).json()["error"] == "invalid_grant"


def test_the_token_endpoint_takes_forms_by_post_only(caller: Caller) -> None:
    assert caller.session.get(caller.token_url, timeout=20).status_code == 405
    as_json = caller.session.post(caller.token_url, json=caller.form(), timeout=20)
    assert (as_json.status_code, as_json.json()["error"]) == (400, "invalid_request")


def test_the_audience_is_the_address_that_was_called(caller: Caller) -> None:
    local = caller.sandbox.base_url.replace("127.0.0.1", "localhost") + "/daas/oauth/token"
    form = caller.form(assertion=caller.assertion(aud=local))
    assert caller.session.post(local, data=form, timeout=20).status_code == 200


HEADERS: dict[str, tuple[str | None, int, str | None]] = {
    "Bearer": ("Bearer {}", 200, None),
    "OAuth": ("OAuth {}", 200, None),
    "none": (None, 401, "not_authenticated"),
    "lower case": ("bearer {}", 401, "not_authenticated"),
    "another scheme": ("Basic {}", 401, "not_authenticated"),
    "no token": ("Bearer ", 401, "not_authenticated"),
    "unknown token": ("Bearer abc", 401, "invalid_token"),
    "tampered token": ("Bearer {}A", 401, "invalid_token"),
}


@pytest.mark.parametrize(("header", "status", "error"), HEADERS.values(), ids=HEADERS)
def test_the_api_requires_a_valid_token(caller: Caller, header: str | None, status: int, error: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.format(caller.token)}
    answer = caller.call("organization/self", headers=headers)
    assert (answer.status_code, answer.json()["id"] if error else None) == (status, error)
    assert caller.call("version", headers={}).json() == {"version": "2-1-1.601"}, "which needs no token"


def test_a_token_expires_by_the_real_clock_whatever_moment_is_shown(caller: Caller) -> None:
    caller.sandbox.now = caller.sandbox.now.replace(year=2031)
    assert caller.call("organization").status_code == 200
    caller.sandbox.faults = Faults(clock_skew=7200.0)
    assert caller.call("organization").json()["id"] == "token_expired"


def test_credentials_of_one_sandbox_do_not_open_another(caller: Caller, start: Start, tmp_path: Any) -> None:
    other = start(seed=2, key_file=tmp_path / "other.pem")
    headers = {"Authorization": f"Bearer {caller.token}"}
    assert other.call("organization", headers=headers).status_code == 401
    assert other.grant(client_id=caller.sandbox.credentials.client_id).status_code == 401
    assertion = other.assertion(key=caller.sandbox.credentials.private_key)
    assert other.grant(assertion=assertion).json()["error"] == "invalid_grant"
