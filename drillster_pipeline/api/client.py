"""One GET of Drillster's API, whatever happens on the way.

Each attempt waits for its turn, then takes a token, then sends: retries sit above the authentication, so that a
replay carries a token that is good now, and no thread ever sleeps with a token in hand. An answer is decoded, or tried
again, or raised as an error that says what to do. See docs/decisions/0004-retries-above-authentication.md.
"""

from __future__ import annotations

import json
import logging
import random as chance
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn, Self
from urllib.parse import quote, urlencode

from drillster_pipeline import __version__
from drillster_pipeline.errors import AnswerError, ApiUnavailable, RequestRefused, Unauthorized
from drillster_pipeline.json_decoding import decoded

from .cancellation import CancelToken
from .metrics import Metrics
from .redirects import REDIRECTS, redirected
from .responses import OVERLOAD, PERMISSION_IDS, described, error_for, error_id, is_transient
from .retry import Backoff, RetryState, http_date, retry_after
from .throttle import Throttle
from .transport import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    LARGEST_ANSWER,
    READ_SECONDS,
    RawResponse,
    ResponseTooLarge,
    Transport,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Event

    from drillster_pipeline.response_shapes import Json

    from .tokens import Token, TokenSource

VERSION = "2.1.1"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A successful answer: its decoded JSON, its HTTP status, and the same JSON as text in UTF-8."""

    body: Json
    status: int
    content: bytes

    def __repr__(self) -> str:
        return f"Answer(status={self.status})"  # a body holds personal values


class Client:
    """Gets answers from Drillster, from any number of threads, at most ``concurrency`` at a time.

    ``stop``: an event that calls the work off; ``interrupt`` and ``close`` set it. ``clock`` counts seconds, ``now``
    is the wall clock, ``random`` gives numbers from 0 to 1. Raises SettingsError where ``base_url`` is not https
    (or a loopback address).
    """

    def __init__(
        self,
        *,
        base_url: str,
        tokens: TokenSource,
        concurrency: int = 8,
        requests_per_second: float | None = None,
        backoff: Backoff | None = None,
        stop: Event | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        largest_answer: int = LARGEST_ANSWER,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] | None = None,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.stats = Metrics(tokens)
        self._base_url = base_url.rstrip("/")
        self.tokens = tokens
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._now = now
        self._random = random
        self._cancel = CancelToken(stop=stop, sleep=sleep)
        self._throttle = Throttle(
            concurrency=concurrency, requests_per_second=requests_per_second, cancel=self._cancel, clock=clock
        )
        self._transport = Transport(
            self._base_url,
            connections=concurrency,
            connect_seconds=connect_seconds,
            read_seconds=read_seconds,
            answer_seconds=answer_seconds,
            largest_answer=largest_answer,
        )

    def get(
        self, path: str, unit: Mapping[str, str], query: Mapping[str, str | int], *, version: str = VERSION
    ) -> JsonResponse:
        """The answer of ``path`` (a template such as ``group/{group_id}/members``), filled from ``unit``.

        Raises PermissionDenied, NotFound, RequestRefused (also for an id that makes no address), Unauthorized (a
        second 401), ApiUnavailable (the retry budget is spent), AnswerError (too large, endless redirects),
        SettingsError (a redirect elsewhere, an untrusted certificate), whatever the token source raises, and Stopped
        when the work is called off.
        """
        call = _Call(
            path=path,
            url=self._url(path, unit, query, version),
            retry=RetryState(self._backoff, clock=self._clock, random=self._random),
        )
        while True:
            outcome = self._attempt(call)
            if isinstance(outcome, JsonResponse):
                return outcome
            if outcome is not None:
                self._back_off(call, *outcome)

    def interrupt(self) -> None:
        """Call off what is under way: every thread that waits, sleeps or reads raises Stopped at once."""
        self._cancel.stop()

    def close(self) -> None:
        """Call off what is under way and close the connections."""
        self.interrupt()
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _url(self, path: str, unit: Mapping[str, str], query: Mapping[str, str | int], version: str) -> str:
        filled = {}
        for name, value in unit.items():
            if value in {"", ".", ".."}:  # would be another address, however it is written
                raise RequestRefused(
                    f"Drillster gave an id that no address can hold, where {path} needs one ({name}).", endpoint=path
                )
            filled[name] = quote(value, safe="", errors=_ANY_TEXT)
        url = f"{self._base_url}/api/{version}/{path.format_map(filled)}"
        return f"{url}?{urlencode(query, quote_via=quote, errors=_ANY_TEXT)}" if query else url

    def _attempt(self, call: _Call) -> JsonResponse | tuple[str, float] | None:
        """Send once: an answer; or (reason, seconds the server asks to wait) to retry; or None to retry at once."""
        try:
            reply, token = self._exchange(call)
        except TransportError as broken:
            return str(broken), 0.0
        except ResponseTooLarge:
            raise AnswerError(
                f"An answer of {call.path} is too large to be held in memory; that is not what Drillster's lists are.",
                endpoint=call.path,
            ) from None
        if 200 <= reply.status < 300:
            return _decoded(reply)
        if reply.status in REDIRECTS:
            call.redirects += 1
            location = reply.headers.get("Location", "")
            call.url = redirected(call.url, location, status=reply.status, hops=call.redirects, endpoint=call.path)
            return None
        identifier = error_id(reply.body)
        if is_transient(reply.status):
            return f"status {described(reply.status, identifier)}", self._asked_wait(reply)
        if reply.status != 401 or identifier in PERMISSION_IDS:
            raise error_for(reply.status, identifier, call.path)
        if call.refused is not None:
            raise Unauthorized(
                f"Drillster refuses a token that it issued a moment ago, at {call.path} "
                f"({described(reply.status, identifier)}). Check that the service account is active and belongs to "
                "the organization that is to be exported, and that DRILLSTER_BASE_URL is the right address.",
                endpoint=call.path,
                status=reply.status,
                error_id=identifier,
            )
        call.refused = token
        self.stats.replayed()
        return None

    def _exchange(self, call: _Call) -> tuple[RawResponse, Token]:
        """Wait for a turn, take a token, send, and tell the others when Drillster has enough."""
        began = self._clock()
        throttled = self._throttle.enter()
        overload: bool | None = None
        received = 0
        try:
            # After the wait, so that the token is good when it is sent; after a 401 it must be another one.
            token = self._token(call.refused)
            call.retry.excuse(self._clock() - began)
            headers = {**_HEADERS, "Authorization": token.header()}
            try:
                reply = self._transport.send("GET", call.url, headers=headers, cancel=self._cancel)
                received = len(reply.body)
            finally:
                self.stats.sent(received_bytes=received, throttled=throttled)
            overload = reply.status in OVERLOAD
            if overload:
                self._throttle.hold(self._asked_wait(reply))
            return reply, token
        finally:
            self._throttle.leave(overload=overload)

    def _token(self, refused: Token | None) -> Token:
        if refused is None:
            return self.tokens.token(cancel=self._cancel)
        return self.tokens.renew(refused, cancel=self._cancel)

    def _asked_wait(self, reply: RawResponse) -> float:
        """Seconds that the answer asks us to wait (Retry-After), by its own clock where it carries one."""
        value = reply.headers.get("Retry-After")
        if value is None:
            return 0.0
        return retry_after(value, now=http_date(reply.headers.get("Date")) or self._now())

    def _back_off(self, call: _Call, reason: str, asked: float) -> None:
        wait = call.retry.add_failure(reason, asked=asked)
        if wait is None:
            raise ApiUnavailable(
                f"Drillster gave no usable answer for {call.path}: {call.retry}. It may be down or being upgraded: "
                "run again later, what was captured until now is kept.",
                endpoint=call.path,
            )
        level = logging.DEBUG if call.retry.failures < _WORTH_TELLING else logging.INFO
        logger.log(level, "GET %s: %s; trying again in %.1f s.", call.path, call.retry, wait)
        self.stats.retried(wait)
        self._cancel.sleep(wait)


@dataclass(slots=True)
class _Call:
    """One ``get`` under way."""

    path: str
    url: str
    retry: RetryState
    refused: Token | None = None
    """The token that the first 401 refused."""
    redirects: int = 0


_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Connection": "keep-alive",
    "User-Agent": f"drillster-pipeline/{__version__}",
}
_WORTH_TELLING = 3
_ANY_TEXT = "surrogatepass"
"""Half a surrogate pair has no UTF-8; what Drillster gave as an id or a cursor goes back as it came, all the same."""


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


# NaN and Infinity are not JSON (RFC 8259, section 6), although Python reads them.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _strictly(content: bytes) -> Json:
    return _DECODER.decode(_text(content))


def _text(content: bytes) -> str:
    return content.decode(json.detect_encoding(content))


def _decoded(reply: RawResponse) -> JsonResponse | tuple[str, float]:
    """The answer in a success; why to back off where it holds none."""
    if not reply.body.strip():
        return "empty answer", 0.0
    try:
        body = decoded(reply.body, _strictly)
        in_utf8 = json.detect_encoding(reply.body) == "utf-8"
        return JsonResponse(body, reply.status, reply.body if in_utf8 else _text(reply.body).encode())
    except (ValueError, RecursionError):
        return "answer that is not JSON", 0.0
