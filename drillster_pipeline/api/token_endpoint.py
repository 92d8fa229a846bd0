"""Drillster's token endpoint: one token asked for, with retries of its own.

The request is safe to repeat, since each attempt carries a fresh assertion. What Drillster refuses is not repeated: it
is told as settings to check.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlencode

from drillster_pipeline import __version__
from drillster_pipeline.errors import ApiUnavailable, AuthenticationError, PipelineError, SettingsError

from .assertion import Signer
from .cancellation import CancelToken
from .clock_skew import Skew, skew_between
from .grant import ENDPOINT, Grant, granted, refusal, skew_of
from .responses import described, error_for, error_id, host_named_in, is_transient
from .retry import RetryState, http_date, retry_after
from .transport import RawResponse, ResponseTooLarge, Transport, TransportError

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
"""The grant type (RFC 7523, section 2.1)."""

_PASSING = frozenset({"server_error", "temporarily_unavailable"})
"""OAuth's codes for what another attempt may mend, whatever the status (RFC 6749, section 4.1.2.1)."""

logger = logging.getLogger(__name__)


class TokenEndpoint:
    """Asks for tokens with the client's secret and the service account's assertion.

    Raises SettingsError where ``url`` is not https (or a loopback address). ``clock`` counts seconds, ``now`` is the
    wall clock, by which assertions are dated.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        client_secret: str,
        signer: Signer,
        answer_seconds: float,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._url = url
        self._client_id = client_id
        self._client_secret = client_secret
        self._signer = signer
        self._clock = clock
        self._now = now
        self._transport = Transport(url, read_seconds=answer_seconds, answer_seconds=answer_seconds)
        self.skew: Skew | None = None
        """How far our clock was from Drillster's at the last answer that carried a date."""

    @property
    def host(self) -> str:
        """The host that is asked."""
        return self._transport.host

    def ask(self, retry: RetryState, cancel: CancelToken) -> tuple[Grant, float]:
        """A grant, and the moment before the attempt that brought it.

        Raises AuthenticationError where it is refused, SettingsError where there is no such endpoint, AnswerError where
        the answer makes no sense, ApiUnavailable where the budget of ``retry`` is spent, Stopped with ``cancel``.
        """
        while True:
            asked = self._clock()
            outcome = self._attempt(cancel)
            if isinstance(outcome, Grant):
                return outcome, asked
            reason, asked_wait = outcome
            wait = retry.add_failure(reason, asked=asked_wait)
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

    def _attempt(self, cancel: CancelToken) -> Grant | tuple[str, float]:
        """One request: a grant, or (reason, seconds the server asks to wait) to retry."""
        try:
            reply = self._send(cancel)
        except TransportError as broken:
            return str(broken), 0.0
        except ResponseTooLarge:
            return "answer too large", 0.0
        if 200 <= reply.status < 300:
            return granted(reply) or ("answer that is not JSON", 0.0)
        identifier = error_id(reply.body)
        if is_transient(reply.status) or identifier in _PASSING:
            date = http_date(reply.headers.get("Date")) or self._now()
            return f"status {described(reply.status, identifier)}", retry_after(
                reply.headers.get("Retry-After"), now=date
            )
        raise self._refused(reply, identifier)

    def _send(self, cancel: CancelToken) -> RawResponse:
        form = {
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "grant_type": JWT_BEARER,
            "assertion": self._signer.sign(self._now()),
        }
        body = urlencode(form)
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": str(len(body)),
            "User-Agent": f"drillster-pipeline/{__version__}",
        }
        asked = self._now()
        reply = self._transport.send("POST", self._url, headers=headers, cancel=cancel, body=body)
        self.skew = skew_between(reply.headers, asked, self._now()) or self.skew
        return reply

    def _refused(self, reply: RawResponse, identifier: str | None) -> PipelineError:
        if 300 <= reply.status < 400:
            target = host_named_in(reply.headers.get("Location", ""))
            return SettingsError(
                f"The token endpoint redirects to {target or 'another address'} ({reply.status}). If that is "
                "Drillster's own host, put it in DRILLSTER_BASE_URL; otherwise something on the way intercepts us."
            )
        if reply.status in {404, 405, 410}:
            return SettingsError(f"{self.host} has no token endpoint ({reply.status}): check DRILLSTER_BASE_URL.")
        if 400 <= reply.status < 500:
            return AuthenticationError(refusal(reply.status, identifier, skew_of(reply, self._now())))
        return error_for(reply.status, identifier, ENDPOINT)
