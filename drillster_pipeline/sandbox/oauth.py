"""The token endpoint: RFC 7523 section 2.1, as far as Drillster documents it (drillster-api.md, section 1)."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import parse_qs, unquote_plus
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from .credentials import Credentials
from .faults import Faults

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GRANT_PATH = "/daas/oauth/token"
_LEEWAY = 5.0
"""Seconds that an assertion's ``iat`` may be ahead of our clock."""
_KEPT_TOKENS = 50_000


class Refusal(Exception):
    """The grant is refused: RFC 6749, section 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description


@dataclass(slots=True)
class Access:
    """A token that was handed out."""

    jti: str
    expires_at: float
    """Seconds since 1970."""
    revoked: bool = False


class Grants:
    """Hands out access tokens, and knows those that it handed out. The server's event loop alone uses it."""

    def __init__(self, credentials: Credentials, account_key: rsa.RSAPublicKey, own_key: rsa.RSAPrivateKey) -> None:
        self._credentials = credentials
        self._account_key = account_key
        self._own_key = own_key
        self._tokens: dict[str, Access] = {}
        self._used: dict[str, float] = {}

    def access(self, token: str) -> Access | None:
        """What is known of an access token; None where it is none of ours."""
        return self._tokens.get(token)

    def revoke_all(self) -> None:
        """From now on, no token that was handed out is good for anything."""
        for access in list(self._tokens.values()):  # tests call this from a thread of theirs
            access.revoked = True

    def grant(
        self, form: bytes, headers: Mapping[str, str], *, audiences: frozenset[str], faults: Faults, now: float
    ) -> dict[str, Any]:
        """A Token object for a token request. Raises Refusal."""
        if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise Refusal(400, "invalid_request", "The body should be application/x-www-form-urlencoded.")
        fields = {name: values for name, values in parse_qs(form.decode("utf-8", "replace")).items() if values}
        if any(len(values) > 1 for values in fields.values()):
            raise Refusal(400, "invalid_request", "A parameter is repeated.")
        values = {name: found[0] for name, found in fields.items()}
        if "grant_type" not in values:
            raise Refusal(400, "invalid_request", "The required parameter grant_type is missing.")
        self._check_client(values, headers.get("authorization"))
        if values["grant_type"] != GRANT:
            raise Refusal(400, "unsupported_grant_type", "Only the JWT authorization grant is supported.")
        if "assertion" not in values:
            raise Refusal(400, "invalid_request", "The required parameter assertion is missing.")
        self._check_assertion(values["assertion"], audiences, faults, now)
        return self._issue(faults, now)

    def _check_client(self, values: Mapping[str, str], authorization: str | None) -> None:
        """By form parameters, or by HTTP Basic (RFC 6749, section 2.3.1)."""
        client_id, secret = values.get("client_id"), values.get("client_secret")
        if authorization is not None and authorization.startswith("Basic "):
            try:
                name, _, password = b64decode(authorization[6:], validate=True).decode().partition(":")
            except ValueError:
                raise Refusal(401, "invalid_client", "The client could not be authenticated.") from None
            if client_id not in (None, unquote_plus(name)) or secret is not None:
                raise Refusal(400, "invalid_request", "The client authenticates itself in two ways.")
            client_id, secret = unquote_plus(name), unquote_plus(password)
        if client_id is None or secret is None:
            raise Refusal(400, "invalid_request", "The required parameter client_id or client_secret is missing.")
        if (client_id, secret) != (self._credentials.client_id, self._credentials.client_secret):
            raise Refusal(401, "invalid_client", "The client could not be authenticated.")

    def _check_assertion(self, assertion: str, audiences: frozenset[str], faults: Faults, now: float) -> None:
        """RFC 7523, section 3. The order of the checks decides which of several mistakes is told."""
        unchecked: jwt.types.Options = {
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
            "verify_aud": False,
        }
        try:
            claims = jwt.decode(assertion, self._account_key, algorithms=["RS256"], options=unchecked)
        except jwt.PyJWTError:
            raise Refusal(400, "invalid_grant", "The signature of the assertion is not valid.") from None
        account = self._credentials.service_account_id
        if claims.get("iss") != account or claims.get("sub") != account:
            raise Refusal(400, "invalid_grant", "The issuer or subject of the assertion is unknown.")
        audience = claims.get("aud")
        if not isinstance(audience, str) or audience not in audiences:
            raise Refusal(400, "invalid_grant", "The audience of the assertion is not the token endpoint.")
        expires = _moment(claims, "exp")
        if expires is None or expires <= now:
            raise Refusal(400, "invalid_grant", "The assertion has expired.")
        if faults.longest_assertion is not None and expires > now + faults.longest_assertion + _LEEWAY:
            raise Refusal(400, "invalid_grant", "The assertion expires too far in the future.")
        for name in ("iat", "nbf"):
            begins = _moment(claims, name)
            if begins is not None and begins > now + _LEEWAY:
                raise Refusal(400, "invalid_grant", "The assertion is not valid yet.")
        jti = claims.get("jti")
        if jti is not None and faults.reject_replays:
            self._used = {used: until for used, until in self._used.items() if until > now}
            if str(jti) in self._used:
                raise Refusal(400, "invalid_grant", "The assertion has been used before.")
            self._used[str(jti)] = expires

    def _issue(self, faults: Faults, now: float) -> dict[str, Any]:
        jti, expires = str(uuid4()), now + faults.token_lifetime
        claims: dict[str, Any] = {
            "sub": self._credentials.service_account_id,
            "exp": int(expires),
            "jti": jti,
            "client_id": self._credentials.client_id,
            "scope": ["ROLE_USER"],
        }
        if faults.token_padding:
            claims["padding"] = "x" * (faults.token_padding * 3 // 4)
        token = jwt.encode(claims, self._own_key, algorithm="RS256")
        if len(self._tokens) >= _KEPT_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[token] = Access(jti, expires)
        answer = {"access_token": token, "expires_in": int(faults.token_lifetime)}
        if faults.stated_lifetime is None:
            del answer["expires_in"]
        elif faults.stated_lifetime != "real":
            answer["expires_in"] = faults.stated_lifetime
        return answer | {"jti": jti, "scope": "ROLE_USER", "token_type": "bearer"}


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519, section 2). Raises Refusal where it is something else."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise Refusal(400, "invalid_grant", f"The claim {name} should be a number of seconds.")
    return float(value)


def error_body(refusal: Refusal, shape: str) -> tuple[bytes, bytes]:
    """The body of a refusal and its content type, in the form asked for."""
    if shape == "html":
        return b"<html><body><h1>Bad request</h1></body></html>", b"text/html"
    if shape == "nothing":
        return b"", b"text/plain"
    names = ("error", "error_description") if shape == "oauth" else ("id", "description")
    body = dict(zip(names, (refusal.error, refusal.description), strict=True))
    return json.dumps(body, separators=(",", ":")).encode(), b"application/json"
