"""Credentials, and the token endpoint: RFC 7523, section 2.1, as far as Drillster documents it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
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
"""Seconds that the clock of a client may be ahead of this one."""
_LONGEST_ASSERTION = 3600.0
"""How far ahead the ``exp`` of an assertion may be, in seconds."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client of the sandbox needs. The secret and the key stay out of its repr."""

    client_id: str
    client_secret: str = field(repr=False)
    service_account_id: str
    private_key: str = field(repr=False)
    """PEM (PKCS 8) of the service account's RSA key."""
    organization_id: str


def credentials_of(key: rsa.RSAPrivateKey, service_account_id: str, organization_id: str) -> Credentials:
    """Client id and secret follow from the key, so that the key file alone keeps all credentials."""
    pem = to_pem(key)
    digest = blake2b(pem.encode(), person=b"client").hexdigest()
    return Credentials(digest[:32], digest[32:64], service_account_id, pem, organization_id)


def new_key() -> rsa.RSAPrivateKey:
    """An RSA key pair of 2048 bits."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


process_key = cache(new_key)
"""One key pair for each process, since it takes long to make one."""


def to_pem(key: rsa.RSAPrivateKey) -> str:
    """PKCS 8, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load_or_create(path: Path) -> rsa.RSAPrivateKey:
    """The key in a file, which is created (mode 0600) where it is missing.

    Raises ValueError, naming the file and not its content, where it has no RSA key.
    """
    if not path.exists():
        key = new_key()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(to_pem(key))
        return key
    with suppress(ValueError, TypeError):
        found = load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(found, rsa.RSAPrivateKey):
            return found
    raise ValueError(f"{path} has no RSA private key (PEM, unencrypted): remove it, or name another file.")


def write_environment(path: Path, environment: Mapping[str, str]) -> None:
    """Write settings as a ``.env`` file that only its owner can read; replaces an older one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{name}={json.dumps(value)}\n" for name, value in environment.items())
    beside.replace(path)


class Refusal(Problem):
    """The grant is refused: RFC 6749, section 5.2."""

    names = ("error", "error_description")


class Grants:
    """Issues access tokens, and checks those that it issued.

    They are for the service account, and for accounts of which ``manages`` says that its organization manages them.
    """

    def __init__(self, credentials: Credentials, account_key: rsa.RSAPublicKey, manages: Callable[[str], bool]) -> None:
        self.lifetime = 7200.0
        """Seconds that a token is valid for."""
        self.count = 0
        """How many tokens were issued."""
        self.tokens: dict[str, float] = {}
        """When each token expires; 0: it is revoked."""
        self._credentials, self._account_key, self._manages = credentials, account_key, manages
        self._accounts: dict[str, str] = {}
        """Which account each token is for."""
        self._used: dict[str, float] = {}
        """The ``jti`` of assertions, and when they expire."""

    def check(self, authorization: str, now: float) -> str:
        """The account of a request's token. Raises Problem where it is not valid. Scheme names are case sensitive."""
        scheme, _, token = authorization.partition(" ")
        if scheme not in {"Bearer", "OAuth"} or not token:
            raise Problem(401, "not_authenticated", "User was not authenticated.")
        expires = self.tokens.get(token, 0.0)
        if not expires:
            raise Problem(401, "invalid_token", "The access token is not valid.")
        if expires <= now:
            raise Problem(401, "token_expired", "The access token has expired.")
        return self._accounts[token]

    def grant(self, form: bytes, content_type: str, url: str, now: float) -> dict[str, Any]:
        """A Token object for a token request to the URL. Raises Refusal."""
        if not content_type.startswith("application/x-www-form-urlencoded"):
            raise Refusal(400, "invalid_request", "The body should be application/x-www-form-urlencoded.")
        fields = parse_qs(form.decode("utf-8", "replace"))
        missing = {"grant_type", "assertion", "client_id", "client_secret"} - fields.keys()
        if missing or any(len(values) > 1 for values in fields.values()):
            missed = f"These are missing: {', '.join(sorted(missing))}."
            raise Refusal(400, "invalid_request", missed if missing else "A parameter is repeated.")
        values = {name: found[0] for name, found in fields.items()}
        client = self._credentials.client_id, self._credentials.client_secret
        if (values["client_id"], values["client_secret"]) != client:
            raise Refusal(401, "invalid_client", "The client could not be authenticated.")
        if values["grant_type"] != GRANT:
            raise Refusal(400, "unsupported_grant_type", "Only the JWT authorization grant is supported.")
        return self._issue(self._checked_account(values["assertion"], url, now), now)

    def _checked_account(self, assertion: str, url: str, now: float) -> str:
        """The account that an assertion asks a token for: RFC 7523, section 3.

        Tests set another clock than that of PyJWT, so its checks of time are made here.
        """
        account = self._credentials.service_account_id
        try:
            claims = jwt.decode(
                assertion,
                self._account_key,
                algorithms=["RS256"],
                audience=url,
                issuer=account,
                options={"require": ["aud", "exp", "iss", "sub"], "verify_exp": False, "verify_iat": False},
            )
            expires, issued = float(claims["exp"]), float(claims.get("iat", now))
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise Refusal(400, "invalid_grant", f"The assertion is not valid: {error}.") from None
        if not now < expires <= now + _LONGEST_ASSERTION + _LEEWAY or issued > now + _LEEWAY:
            raise Refusal(
                400, "invalid_grant", "The assertion has expired, is not valid yet, or is valid for too long."
            )
        if claims["sub"] != account and not self._manages(claims["sub"]):
            raise Refusal(400, "invalid_grant", "The organization of the service account does not manage this account.")
        self._used = {used: until for used, until in self._used.items() if until > now}
        jti = claims.get("jti")
        if jti in self._used:
            raise Refusal(400, "invalid_grant", "The assertion has been used before.")
        if jti is not None:
            self._used[jti] = expires
        return str(claims["sub"])

    def _issue(self, account_id: str, now: float) -> dict[str, Any]:
        jti, expires = str(uuid4()), now + self.lifetime
        claims = {
            "sub": account_id,
            "exp": int(expires),
            "jti": jti,
            "client_id": self._credentials.client_id,
            "scope": ["ROLE_USER"],
        }
        token = jwt.encode(claims, process_key(), algorithm="RS256")
        self.tokens[token], self._accounts[token] = expires, account_id
        self.count += 1
        seconds = int(self.lifetime)
        return {"access_token": token, "expires_in": seconds, "jti": jti, "scope": "ROLE_USER", "token_type": "bearer"}
