"""Credentials, and the token endpoint: RFC 7523, section 2.1, as far as Drillster documents it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from .endpoints import Problem

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GRANT_PATH = "/daas/oauth/token"
_LEEWAY = 5.0
"""Seconds that the clock of a client may be ahead of ours."""
_LONGEST_ASSERTION = 3600.0
"""How far ahead the ``exp`` of an assertion may be, in seconds."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The settings of a client of the sandbox. The secret and the key stay out of its repr."""

    client_id: str
    client_secret: str = field(repr=False)
    service_account_id: str
    private_key: str = field(repr=False)
    """PEM (PKCS 8) of the service account's RSA key."""
    organization_id: str


def new_key() -> rsa.RSAPrivateKey:
    """An RSA key pair of 2048 bits."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@cache
def process_key(purpose: str) -> rsa.RSAPrivateKey:
    """One key pair for each purpose and process, since it takes long to make one."""
    del purpose
    return new_key()


def to_pem(key: rsa.RSAPrivateKey) -> str:
    """PKCS 8, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load_or_create(path: Path) -> rsa.RSAPrivateKey:
    """The key in a file, which is created (mode 0600) where it is missing.

    Raises ValueError, naming the file and not its content, where it has no RSA key.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _load(path)
    with os.fdopen(descriptor, "w") as file:
        key = new_key()
        file.write(to_pem(key))
    return key


def _load(path: Path) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(key, rsa.RSAPrivateKey):
            return key
    except (ValueError, TypeError):
        pass
    raise ValueError(f"{path} has no RSA private key (PEM, unencrypted): remove it, or name another file.")


def credentials_of(key: rsa.RSAPrivateKey, *, seed: int, service_account_id: str, organization_id: str) -> Credentials:
    """Client id and secret follow from the key, so that whoever keeps the key file keeps all credentials."""
    pem = to_pem(key)
    digest = blake2b(pem.encode(), person=b"client", salt=(seed % (1 << 64)).to_bytes(8, "big")).hexdigest()
    return Credentials(digest[:32], digest[32:64], service_account_id, pem, organization_id)


def environment(base_url: str, credentials: Credentials) -> dict[str, str]:
    """The settings of a client, by the names of their environment variables."""
    return {
        "DRILLSTER_BASE_URL": base_url,
        "DRILLSTER_CLIENT_ID": credentials.client_id,
        "DRILLSTER_CLIENT_SECRET": credentials.client_secret,
        "DRILLSTER_SERVICE_ACCOUNT_ID": credentials.service_account_id,
        "DRILLSTER_PRIVATE_KEY": credentials.private_key,
    }


def write_environment(path: Path, base_url: str, credentials: Credentials) -> None:
    """Write the settings of a client as a ``.env`` file that only its owner can read; replaces an older one."""
    lines = [f"{name}={json.dumps(value)}\n" for name, value in environment(base_url, credentials).items()]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(lines)
    beside.replace(path)


class Refusal(Exception):
    """The grant is refused: RFC 6749, section 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status, self.error, self.description = status, error, description


class Grants:
    """Issues access tokens, and checks those that it issued."""

    def __init__(self, credentials: Credentials, account_key: rsa.RSAPublicKey) -> None:
        self.lifetime = 7200.0
        """Seconds that a token is valid for."""
        self.count = 0
        """How many tokens were issued."""
        self._credentials, self._account_key = credentials, account_key
        self._tokens: dict[str, float] = {}
        """When each token expires; 0: it is revoked."""
        self._used: dict[str, float] = {}
        """The ``jti`` of assertions, and when they expire."""

    def check(self, authorization: str, now: float) -> None:
        """Raises Problem where a request has no valid token. Both scheme names are case sensitive."""
        scheme, _, token = authorization.partition(" ")
        if scheme not in {"Bearer", "OAuth"} or not token:
            raise Problem(401, "not_authenticated", "User was not authenticated.")
        expires = self._tokens.get(token.strip(), 0.0)
        if not expires:
            raise Problem(401, "invalid_token", "The access token is not valid.")
        if expires <= now:
            raise Problem(401, "token_expired", "The access token has expired.")

    def revoke(self, authorization: str) -> None:
        """The token of a request is no longer valid."""
        self._tokens[authorization.partition(" ")[2].strip()] = 0.0

    def revoke_all(self) -> None:
        """No token that was issued is valid any more."""
        self._tokens = dict.fromkeys(self._tokens, 0.0)

    def grant(self, form: bytes, headers: Mapping[str, str], url: str, now: float) -> dict[str, Any]:
        """A Token object for a token request to the URL. Raises Refusal."""
        if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise Refusal(400, "invalid_request", "The body should be application/x-www-form-urlencoded.")
        fields = parse_qs(form.decode("utf-8", "replace"))
        if any(len(values) > 1 for values in fields.values()):
            raise Refusal(400, "invalid_request", "A parameter is repeated.")
        values = {name: found[0] for name, found in fields.items()}
        self._check_client(values)
        for name in ("grant_type", "assertion"):
            if name not in values:
                raise Refusal(400, "invalid_request", f"The required parameter {name} is missing.")
            if values["grant_type"] != GRANT:
                raise Refusal(400, "unsupported_grant_type", "Only the JWT authorization grant is supported.")
        self._check_assertion(values["assertion"], url, now)
        return self._issue(now)

    def _check_client(self, values: dict[str, str]) -> None:
        client_id, secret = values.get("client_id"), values.get("client_secret")
        if client_id is None or secret is None:
            raise Refusal(400, "invalid_request", "The required parameter client_id or client_secret is missing.")
        if (client_id, secret) != (self._credentials.client_id, self._credentials.client_secret):
            raise Refusal(401, "invalid_client", "The client could not be authenticated.")

    def _check_assertion(self, assertion: str, url: str, now: float) -> None:
        """RFC 7523, section 3. The clock may be another than that of PyJWT, so its checks of time are made here."""
        account = self._credentials.service_account_id
        try:
            claims = jwt.decode(
                assertion,
                self._account_key,
                algorithms=["RS256"],
                audience=url,
                issuer=account,
                subject=account,
                options={"require": ["aud", "exp", "iss", "sub"], "verify_exp": False, "verify_iat": False},
            )
            expires, issued = float(claims["exp"]), float(claims.get("iat", now))
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise Refusal(400, "invalid_grant", f"The assertion is not valid: {error}.") from None
        if not now < expires <= now + _LONGEST_ASSERTION + _LEEWAY:
            raise Refusal(400, "invalid_grant", "The assertion has expired, or expires too far in the future.")
        if issued > now + _LEEWAY:
            raise Refusal(400, "invalid_grant", "The assertion is not valid yet.")
        jti = claims.get("jti")
        self._used = {used: until for used, until in self._used.items() if until > now}
        if jti in self._used:
            raise Refusal(400, "invalid_grant", "The assertion has been used before.")
        if jti is not None:
            self._used[jti] = expires

    def _issue(self, now: float) -> dict[str, Any]:
        jti, expires = str(uuid4()), now + self.lifetime
        claims: dict[str, Any] = {
            "sub": self._credentials.service_account_id,
            "exp": int(expires),
            "jti": jti,
            "client_id": self._credentials.client_id,
            "scope": ["ROLE_USER"],
        }
        token = jwt.encode(claims, process_key("access tokens"), algorithm="RS256")
        self._tokens[token] = expires
        self.count += 1
        seconds = int(self.lifetime)
        return {"access_token": token, "expires_in": seconds, "jti": jti, "scope": "ROLE_USER", "token_type": "bearer"}
