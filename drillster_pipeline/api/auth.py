"""Authentication: the service account's signed assertion is exchanged for an access token (RFC 7523; API notes, 1.3).

The token is for the service account itself, or for an end user whom its organization manages: the assertion names them.

A token request is safe to repeat, since each attempt carries a fresh assertion. What Drillster refuses is not repeated:
it is reported as settings to check.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from drillster_pipeline import __version__
from drillster_pipeline.dates import steady, wall_clock
from drillster_pipeline.errors import AnswerError, ApiUnavailable, AuthenticationError, PipelineError, SettingsError
from drillster_pipeline.formatting import duration

from .responses import described, error_for, error_id, is_transient, redirect_error
from .retry import CancelToken, RetryState, http_date, retry_after
from .transport import Limits, RawResponse, Transport, TransportError

if TYPE_CHECKING:
    from drillster_pipeline.settings import Settings

ENDPOINT = "daas/oauth/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
"""The grant type (RFC 7523, section 2.1)."""
BACKDATED_SECONDS = 60
"""``iat`` lies so far in the past: a clock here that is a little fast must not make it look like the future."""
VALID_SECONDS = 240
"""``exp`` lies so far ahead: with the back-dating five minutes in all, the longest that strict servers accept."""
DEFAULT_LIFETIME = 600.0
"""Seconds, where Drillster gives none that makes sense: too long is corrected by a 401, too short by a renewal."""
LONGEST_LIFETIME = 86_400.0
"""Seconds: whatever a longer figure means, one renewal a day costs nothing."""

_TRANSIENT_IDS = frozenset({"server_error", "temporarily_unavailable"})
"""OAuth's codes for which another attempt may succeed, whatever the status (RFC 6749, section 4.1.2.1)."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token and its lifetime in seconds."""

    access_token: str = field(repr=False)
    lifetime: float
    is_stated: bool = field(default=True, compare=False)
    """Whether the response named a lifetime at all."""

    @property
    def validity(self) -> str:
        """How long the token is valid, as the rest of a sentence about it."""
        stated = duration(self.lifetime) + (" or more" if self.lifetime == LONGEST_LIFETIME else "")
        return f"is valid for {stated}" if self.is_stated else f"has no lifetime: {stated} is assumed"


@dataclass(frozen=True, slots=True)
class Skew:
    """Seconds that our clock is ahead of the server's (negative: behind), and how far off that may be."""

    ahead: float
    within: float


class TokenEndpoint:
    """Requests tokens with the client's secret and the service account's assertion.

    ``account_id`` is whom the tokens are for: an end user, or the service account if left out. It is a personal key, so
    no message has it. ``response_seconds`` is the longest wait for a response, ``clock`` counts seconds, ``now`` is the
    wall clock, by which assertions are dated. Raises SettingsError for a private key that cannot sign; it never quotes
    the key.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        account_id: str | None = None,
        response_seconds: float = 30.0,
        clock: Callable[[], float] = steady,
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._settings = settings
        self._account_id = settings.service_account_id if account_id is None else account_id
        self._url = f"{settings.base_url}/{ENDPOINT}"
        self._key = _rsa_key(settings.private_key.get_secret_value())
        self.clock = clock
        self._now = now
        limits = Limits(read_seconds=response_seconds, response_seconds=response_seconds)
        self._transport = Transport(self._url, limits=limits)
        self.host = self._transport.host
        self.skew: Skew | None = None
        """How far our clock was from Drillster's at the last response that carried a date."""

    def request(self, retry: RetryState, cancel: CancelToken) -> tuple[Grant, float]:
        """A grant, and the moment before the attempt that brought it.

        Raises AuthenticationError where it is refused, SettingsError where there is no such endpoint, AnswerError where
        the response makes no sense, ApiUnavailable where the budget of ``retry`` is spent, Cancelled with ``cancel``.
        """
        while True:
            started = self.clock()
            outcome = self._attempt(cancel)
            if isinstance(outcome, Grant):
                return outcome, started
            reason, minimum = outcome
            wait = retry.add_failure(reason, minimum=minimum)
            if wait is None:
                raise ApiUnavailable(
                    f"Drillster issued no token: {retry}. Run again later; if it stays so, "
                    f"check that {self.host} can be reached from this machine.",
                    endpoint=ENDPOINT,
                )
            logger.info("No token (%s); trying again in %.1f s.", reason, wait)
            cancel.sleep(wait)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def assertion(self) -> str:
        """A signed assertion, for one request: ``jti`` is new each time."""
        issued = int(self._now().timestamp())
        claims = {
            "iss": self._settings.service_account_id,
            "sub": self._account_id,
            "aud": self._url,
            "jti": str(uuid.uuid4()),
            "iat": issued - BACKDATED_SECONDS,
            "exp": issued + VALID_SECONDS,
        }
        return jwt.encode(claims, self._key, algorithm="RS256")

    def _attempt(self, cancel: CancelToken) -> Grant | tuple[str, float]:
        """Send one request. Returns the grant, or (reason, minimum delay) to retry."""
        try:
            response = self._send(cancel)
        except TransportError as error:
            return str(error), 0.0
        if 200 <= response.status < 300:
            return parse_grant(response) or ("response that is not JSON", 0.0)
        identifier = error_id(response.body)
        if is_transient(response.status) or identifier in _TRANSIENT_IDS:
            return f"status {described(response.status, identifier)}", retry_after(response.headers, self._now())
        raise self._error_for(response, identifier)

    def _send(self, cancel: CancelToken) -> RawResponse:
        body = urlencode(
            {
                "client_id": self._settings.client_id,
                "client_secret": self._settings.client_secret.get_secret_value(),
                "grant_type": JWT_BEARER,
                "assertion": self.assertion(),
            }
        )
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": str(len(body)),
            "User-Agent": f"drillster-pipeline/{__version__}",
        }
        sent = self._now()
        response = self._transport.send("POST", self._url, headers=headers, cancel=cancel, body=body)
        self.skew = skew_between(response.headers, sent, self._now()) or self.skew
        return response

    def _error_for(self, response: RawResponse, identifier: str | None) -> PipelineError:
        status = response.status
        if 300 <= status < 400:
            return redirect_error(response, "The token endpoint")
        if status in {404, 405, 410}:
            return SettingsError(f"{self.host} has no token endpoint ({status}): check DRILLSTER_BASE_URL.")
        if 400 <= status < 500:
            date = http_date(response.headers.get("Date"))
            ahead = None if date is None else (self._now() - date).total_seconds()
            is_end_user = self._account_id != self._settings.service_account_id
            return AuthenticationError(_refusal(described(status, identifier), identifier, ahead, is_end_user))
        return error_for(status, identifier, ENDPOINT)


def parse_grant(response: RawResponse) -> Grant | None:
    """The token in a 200 (RFC 6749, section 5.1); None where the body is not JSON, so that it is requested again.

    Raises AnswerError where it is JSON without a usable token.
    """
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    token = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not _fits_a_header(token):
        complaint = "has no usable 'access_token'"
    elif str(body.get("token_type") or "bearer").lower() != "bearer":
        complaint = "is for a token that is not of type bearer"
    else:
        return Grant(token, lifetime(body.get("expires_in")), is_stated=body.get("expires_in") is not None)
    raise AnswerError(
        f"The response to a token request {complaint}. Check that DRILLSTER_BASE_URL is Drillster's address.",
        endpoint=ENDPOINT,
        status=response.status,
    )


def lifetime(expires_in: Any) -> float:
    """A token's lifetime in seconds, from an ``expires_in`` that may be an int, a string, missing, zero or absurd."""
    if isinstance(expires_in, bool):
        return DEFAULT_LIFETIME
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_LIFETIME
    return min(seconds, LONGEST_LIFETIME) if seconds > 0 else DEFAULT_LIFETIME


def skew_between(headers: Mapping[str, str], sent: datetime, answered: datetime) -> Skew | None:
    """How far the clocks are apart, at a response with these headers; None without a usable Date.

    The header has whole seconds, rounded down (RFC 9110, section 6.6.1), and was written at some moment in between.
    """
    date = http_date(headers.get("Date"))
    if date is None:
        return None
    took = (answered - sent).total_seconds()
    ahead = (sent - date).total_seconds() + took / 2 - 0.5
    return Skew(round(ahead, 2), round(0.5 + abs(took) / 2, 2))


def _refusal(described_status: str, identifier: str | None, ahead: float | None, is_end_user: bool) -> str:
    """The sentence for a refused token request. ``ahead``: seconds that our clock is ahead of Drillster's, if known."""
    client = "DRILLSTER_CLIENT_ID and DRILLSTER_CLIENT_SECRET (the secret is still listed for that client)"
    account = "DRILLSTER_SERVICE_ACCOUNT_ID (the account exists and is active)"
    if is_end_user:
        account = f"the end user's account (it exists, and the organization manages it); {account}"
    key = "DRILLSTER_PRIVATE_KEY (it belongs to that account)"
    clock = "the clock of this machine"
    if ahead is not None:
        clock += f" (it is {abs(ahead):.0f} s {'ahead of' if ahead >= 0 else 'behind'} Drillster's)"
    # What the code points to comes first (RFC 6749, section 5.2).
    checks = [account, key, clock, client] if identifier == "invalid_grant" else [client, account, key, clock]
    if identifier == "invalid_grant" and ahead is not None and abs(ahead) > 60:
        checks = [clock, account, key, client]
    return f"Drillster refused to issue a token ({described_status}). Check: {'; '.join(checks)}."


def _fits_a_header(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def _rsa_key(pem: str) -> RSAPrivateKey:
    with suppress(ValueError):
        return cast("RSAPrivateKey", load_pem_private_key(pem.strip().encode(), password=None))
    # Raised after the with: no exception of the library, which might quote the key, is in the chain.
    raise SettingsError(
        "The private key is damaged: its numbers do not fit together. Put the unchanged PEM file that Drillster gave "
        "for the service account in DRILLSTER_PRIVATE_KEY_FILE."
    )
