"""The signed assertion by which the service account says who it is (RFC 7523; API notes, 1.3)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from drillster_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from datetime import datetime

BACKDATED_SECONDS = 60
"""``iat`` lies so far in the past: a clock here that is a little fast must not make it look like the future."""
VALID_SECONDS = 240
"""``exp`` lies so far ahead: with the back-dating five minutes in all, the longest that strict servers accept."""


class Signer:
    """Signs assertions with the service account's key, which is read once.

    Raises SettingsError where ``private_key`` is not an RSA private key in PEM; the message never quotes it.
    """

    def __init__(self, *, private_key: str, service_account_id: str, audience: str) -> None:
        self._key = _read_key(private_key)
        self._service_account_id = service_account_id
        self._audience = audience

    def sign(self, now: datetime) -> str:
        """A fresh assertion, never to be used twice: ``jti`` is new each time."""
        issued = int(now.timestamp())
        claims = {
            "iss": self._service_account_id,
            "sub": self._service_account_id,
            "aud": self._audience,
            "jti": str(uuid.uuid4()),
            "iat": issued - BACKDATED_SECONDS,
            "exp": issued + VALID_SECONDS,
        }
        return jwt.encode(claims, self._key, algorithm="RS256")

    def __repr__(self) -> str:
        return "Signer(private_key=***)"


def _read_key(pem: str) -> RSAPrivateKey:
    # An environment variable often holds the line breaks as the two characters \n.
    text = pem.strip().replace("\\n", "\n")
    cure = "Put the PEM file that Drillster gave for the service account in DRILLSTER_PRIVATE_KEY_FILE."
    # Raised after the try: no exception of the library, which might quote the key, is in the chain.
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        complaint = "The private key is protected by a passphrase; it is needed without."
    except (ValueError, UnsupportedAlgorithm):
        if "PUBLIC KEY" in text or "CERTIFICATE" in text:
            complaint = "The private key is a public key or a certificate; the private key is needed."
        else:
            complaint = "The private key cannot be read: it is not a whole, unchanged PEM file."
    else:
        if isinstance(key, RSAPrivateKey):
            return key
        complaint = "The private key is not an RSA key, which Drillster's service accounts have."
    raise SettingsError(f"{complaint} {cure}")
