"""GET requests to Drillster's API, whatever happens on the way.

Each attempt waits for its turn, then takes a token, then sends: retries sit above the authentication, so that a
replay carries a token that is good now, and no thread ever sleeps with a token in hand. A response is decoded, or tried
again, or raised as an error that says what to do. See docs/decisions/0004-retries-above-authentication.md.
"""

from __future__ import annotations

import json
import logging
import random as chance
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import quote, urlencode

from drillster_pipeline import __version__
from drillster_pipeline.dates import wall_clock
from drillster_pipeline.errors import AnswerError, ApiUnavailable, NotFound, RequestRefused, Unauthorized
from drillster_pipeline.resources import OBJECTIVE_EVENTS, ORGANIZATION, Endpoint, Path, Unit
from drillster_pipeline.response_shapes import Json, decoded

from .metrics import Metrics
from .paging import PAGE_SIZES, SMALLEST_PAGE
from .responses import OVERLOAD, PERMISSION_IDS, described, error_for, error_id, is_transient, redirect_error
from .retry import Backoff, CancelToken, RetryState, retry_after
from .throttle import Throttle
from .transport import Limits, RawResponse, ResponseTooLarge, Transport, TransportError

if TYPE_CHECKING:
    from drillster_pipeline.dates import Window
    from drillster_pipeline.settings import Settings

    from .tokens import Token, TokenSource

VERSION = "2.1.1"

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Connection": "keep-alive",
    "User-Agent": f"drillster-pipeline/{__version__}",
}
_FAILURES_TO_LOG = 3
_ANY_TEXT = "surrogatepass"
"""Half a surrogate pair has no UTF-8; what Drillster gave as an id or a cursor goes back as it came, all the same."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A successful response: its decoded JSON, its HTTP status, and the same JSON as it came."""

    body: Json = field(repr=False)  # has personal values
    status: int
    content: bytes = field(repr=False)


class Client:
    """Gets responses from Drillster, from any number of threads, at most ``concurrency`` at a time.

    ``clock`` counts seconds, ``now`` is the wall clock, ``random`` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        base_url: str,
        tokens: TokenSource,
        concurrency: int = 8,
        requests_per_second: float | None = None,
        backoff: Backoff | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = wall_clock,
        sleep: Callable[[float], None] | None = None,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.metrics = Metrics(lambda: tokens.grants)
        self.tokens = tokens
        self._base_url = base_url.rstrip("/")
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._now = now
        self._random = random
        self._cancel = CancelToken(sleep=sleep)
        self._throttle = Throttle(concurrency, requests_per_second, self._cancel, clock)
        self._transport = Transport(self._base_url, connections=concurrency, limits=limits)

    def get(
        self, path: str, unit: Mapping[str, str], query: Mapping[str, str | int], *, version: str = VERSION
    ) -> JsonResponse:
        """The response of ``path`` (a template such as ``group/{group_id}/members``), filled from ``unit``.

        Raises PermissionDenied, NotFound, RequestRefused (also for an id that makes no address), Unauthorized (a
        second 401), ApiUnavailable (the retry budget is spent), AnswerError (too large), SettingsError (a
        redirect, an untrusted certificate), whatever the token source raises, and Cancelled.
        """
        retry = RetryState(self._backoff, clock=self._clock, random=self._random)
        call = _Call(path, self._url(path, unit, query, version), retry)
        while True:
            outcome = self._attempt(call)
            if isinstance(outcome, JsonResponse):
                return outcome
            if outcome is not None:
                self._back_off(call, *outcome)

    def interrupt(self) -> None:
        """Cancel what is under way: every thread that waits, sleeps or reads raises Cancelled at once."""
        self._cancel.cancel()

    def close(self) -> None:
        """Cancel what is under way and close the connections."""
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
                    f"Drillster gave an id that no address can have, where {path} needs one ({name}).", endpoint=path
                )
            filled[name] = quote(value, safe="", errors=_ANY_TEXT)
        url = f"{self._base_url}/api/{version}/{path.format_map(filled)}"
        return f"{url}?{urlencode(query, quote_via=quote, errors=_ANY_TEXT)}" if query else url

    def _attempt(self, call: _Call) -> JsonResponse | tuple[str, float] | None:
        """Send one attempt. Returns the response, (reason, minimum delay) to retry, or None to retry at once."""
        try:
            response, token = self._exchange(call)
        except ResponseTooLarge:
            raise AnswerError(
                f"A response of {call.path} is too large to be kept in memory; that is not what Drillster's lists are.",
                endpoint=call.path,
            ) from None
        except TransportError as error:
            return str(error), 0.0
        status = response.status
        if 200 <= status < 300:
            return _decoded(response)
        if 300 <= status < 400:
            raise redirect_error(response, call.path)
        identifier = error_id(response.body)
        if is_transient(status):
            return f"status {described(status, identifier)}", retry_after(response.headers, self._now())
        if status != 401 or identifier in PERMISSION_IDS:
            raise error_for(status, identifier, call.path)
        if call.refused is not None:
            raise Unauthorized(
                f"Drillster refuses a token that it issued a moment ago, at {call.path} "
                f"({described(status, identifier)}). Check that the service account is active and belongs to "
                "the organization that is to be exported, and that DRILLSTER_BASE_URL is the right address.",
                endpoint=call.path,
                status=status,
                error_id=identifier,
            )
        call.refused = token
        self.metrics.add(replays=1)
        return None

    def _exchange(self, call: _Call) -> tuple[RawResponse, Token]:
        """Wait for a turn, take a token, send, and slow the others down when Drillster is overloaded."""
        began = self._clock()
        throttled = self._throttle.enter()
        overload: bool | None = None
        received = 0
        try:
            # After the wait, so that the token is good when it is sent; after a 401 it must be another one.
            if call.refused is None:
                token = self.tokens.token(cancel=self._cancel)
            else:
                token = self.tokens.renew(call.refused, cancel=self._cancel)
            call.retry.excuse(self._clock() - began)
            headers = {**_HEADERS, "Authorization": f"Bearer {token.value}"}
            try:
                response = self._transport.send("GET", call.url, headers=headers, cancel=self._cancel)
                received = len(response.body)
            finally:
                self.metrics.add(requests=1, received_bytes=received, seconds_throttled=throttled)
            overload = response.status in OVERLOAD
            if overload:
                self._throttle.pause(retry_after(response.headers, self._now()))
            return response, token
        finally:
            self._throttle.leave(overload=overload)

    def _back_off(self, call: _Call, reason: str, minimum: float) -> None:
        wait = call.retry.add_failure(reason, minimum=minimum)
        if wait is None:
            raise ApiUnavailable(
                f"Drillster gave no usable response for {call.path}: {call.retry}. It may be down or being upgraded: "
                "run again later, what was captured until now is kept.",
                endpoint=call.path,
            )
        level = logging.DEBUG if call.retry.failures < _FAILURES_TO_LOG else logging.INFO
        logger.log(level, "GET %s: %s; trying again in %.1f s.", call.path, call.retry, wait)
        self.metrics.add(retries=1, seconds_backing_off=wait)
        self._cancel.sleep(wait)


@dataclass(slots=True)
class _Call:
    """One ``get`` under way."""

    path: str
    url: str
    retry: RetryState
    refused: Token | None = None
    """The token that the first 401 refused."""


def client_of(settings: Settings, tokens: TokenSource, **options: Any) -> Client:
    """A client as the settings say; ``options`` are others of :class:`Client`."""
    limits: dict[str, Any] = {"concurrency": settings.concurrency, "requests_per_second": settings.requests_per_second}
    return Client(base_url=settings.base_url, tokens=tokens, **limits, **options)


class EndpointClient:
    """Requests units: keeps, for all threads of a crawl, which path of an endpoint works and which page size."""

    def __init__(self, client: Client, *, organization_id: str, window: Window | None = None) -> None:
        self._client = client
        self._organization_id = organization_id
        self._window = window
        """Of the events that are asked for."""
        self._lock = threading.Lock()
        self._sizes: dict[Endpoint, tuple[int | None, ...]] = {}
        """The sizes that are left to ask for; None: Drillster's own default."""
        self._working: dict[Endpoint, Path] = {}

    def page(self, unit: Unit, query: Mapping[str, str | int], *, size: int | None = None) -> tuple[JsonResponse, int]:
        """A page of a list, and the size that it was asked for with: ``size`` if that is granted.

        A size that is refused, while a smaller one is not, is not asked for again. Raises what :meth:`Client.get`
        raises.
        """
        usual = self._sizes.get(unit.endpoint, (*PAGE_SIZES, None))
        sizes = usual if size is None else (size, *usual)
        refused: RequestRefused | None = None
        for number, each in enumerate(sizes):
            try:
                response = self.get(unit, query if each is None else {**query, "resultSize": each})
            except RequestRefused as refusal:
                # A smaller page might be granted: Drillster says so, or a 400 says nothing at all.
                if refusal.error_id != "invalid_result_size" and (refusal.status != 400 or refusal.error_id):
                    raise
                refused = refused or refusal
                continue
            if len(sizes) - number < len(usual):
                with self._lock:
                    self._sizes[unit.endpoint] = min(sizes[number:], self._sizes.get(unit.endpoint, usual), key=len)
            return response, each or SMALLEST_PAGE
        assert refused is not None
        raise refused

    def get(self, unit: Unit, query: Mapping[str, str | int]) -> JsonResponse:
        """One response, from the endpoint's path that works. Raises what :meth:`Client.get` raises."""
        endpoint = unit.endpoint
        params = {"organization_id": self._organization_id, **unit.params}
        if endpoint is OBJECTIVE_EVENTS and self._window is not None:
            bounds = {"fromDate": self._window.start, "toDate": self._window.end}
            query = {**query, **{name: f"{moment:%Y-%m-%dT%H:%M:%SZ}" for name, moment in bounds.items()}}
        paths = endpoint.paths
        if endpoint is ORGANIZATION and self._organization_id != "self":
            paths = (Path("organization/{organization_id}"),)
        if (working := self._working.get(endpoint)) is not None:
            paths = (working,)
        for path in paths:
            try:
                response = self._client.get(path.path, params, query, version=path.version)
            except NotFound:
                if path is paths[-1]:
                    raise
                continue
            self._working.setdefault(endpoint, path)
            return response
        raise AssertionError("an endpoint has a path")


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


# NaN and Infinity are not JSON (RFC 8259, section 6), although Python reads them.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _decoded(response: RawResponse) -> JsonResponse | tuple[str, float]:
    """The response in a success, or (reason, minimum delay) to retry where it has none."""
    if not response.body.strip():
        return "empty response", 0.0
    try:
        return JsonResponse(decoded(response.body, _decoded_strictly), response.status, response.body)
    except (ValueError, RecursionError):
        return "response that is not JSON", 0.0


def _decoded_strictly(content: bytes) -> Json:
    return _DECODER.decode(content.decode(json.detect_encoding(content)))
