"""What a client needs to get in: made anew at each start, or kept by way of a key file. Never part of the code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


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
    """One key pair for each purpose and process: many sandboxes in one test run need not each wait for their own."""
    del purpose
    return new_key()


def to_pem(key: rsa.RSAPrivateKey) -> str:
    """PKCS 8, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _load(path: Path) -> rsa.RSAPrivateKey:
    wrong = f"{path} holds no RSA private key (PEM, unencrypted): remove it, or name another file."
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        raise ValueError(wrong) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(wrong)  # noqa: TRY004 - to the caller it is the content of the file that is wrong
    return key


def load_or_create(path: Path, create: Callable[[], rsa.RSAPrivateKey] = new_key) -> rsa.RSAPrivateKey:
    """The key in a file, which is created (mode 0600) where it is missing.

    Raises ValueError, naming the file and not its content, where it holds no RSA key.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _load(path)
    with os.fdopen(descriptor, "w") as file:
        key = create()
        file.write(to_pem(key))
    return key


def credentials_of(key: rsa.RSAPrivateKey, *, seed: int, service_account_id: str, organization_id: str) -> Credentials:
    """Client id and secret follow from the key, so that whoever keeps the key file keeps all credentials."""
    pem = to_pem(key)
    digest = blake2b(pem.encode(), person=b"client", salt=(seed % (1 << 64)).to_bytes(8, "big")).hexdigest()
    return Credentials(
        client_id=digest[:32],
        client_secret=digest[32:64],
        service_account_id=service_account_id,
        private_key=pem,
        organization_id=organization_id,
    )


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
    """Writes the settings of a client as a ``.env`` file that only its owner can read; replaces what was there."""
    lines = [f"{name}={json.dumps(value)}" for name, value in environment(base_url, credentials).items()]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    beside.replace(path)
