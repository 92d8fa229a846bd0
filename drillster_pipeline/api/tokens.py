"""Access tokens: one source per process, shared by all threads.

A token is valid for about an hour and a crawl can take longer. So it is renewed before it expires, by one thread while
the others go on with the old one: no request carries an expired token, sixteen threads never request sixteen tokens,
and a refused token request is not repeated by each of them. The reasons are in docs/decisions/0003-token-lifecycle.md.
"""

from __future__ import annotations

import logging
import math
import random as chance
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Self

from drillster_pipeline.errors import PipelineError, Unavailable

from .auth import Grant, TokenEndpoint
from .retry import Backoff, Cancelled, CancelToken, RetryState

EARLY_SECONDS, EARLY_SHARE = 300.0, 0.2
"""Renewal is tried this long before expiry, or this share of the lifetime, whichever is less."""
LATE_SECONDS, LATE_SHARE = 30.0, 0.05
"""With so little left, a token may expire on its way: it is not used any more."""
REFUSED_SECONDS = 60.0
"""A refused request is not repeated for so long: the settings are wrong, and will be a moment later."""
_CHECK_SECONDS = 0.2
"""A thread that waits for a token checks so often whether its work was cancelled."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token. Moments are seconds on the source's clock."""

    value: str = field(repr=False)
    renew_at: float
    mandatory_at: float
    expires_at: float


class TokenSource:
    """Returns a good token, and renews it when needed. Safe for any number of threads."""

    def __init__(
        self,
        endpoint: TokenEndpoint,
        *,
        backoff: Backoff | None = None,
        sleep: Callable[[float], None] | None = None,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.grants = 0
        """Token requests that were granted."""
        self.granted: Grant | None = None
        """The last of them."""
        self.endpoint = endpoint
        self._backoff = backoff or Backoff()
        self._clock = endpoint.clock
        self._random = random
        self._cancel = CancelToken(sleep=sleep)
        self._renewing = Lock()
        self._current: Token | None = None
        self._next_early_try = -math.inf
        self._failure: PipelineError | None = None
        self._failures = 0
        self._refused_until = -math.inf

    def token(self, *, cancel: CancelToken | None = None) -> Token:
        """A token that is good for a request that is sent now. Waiting for it ends when ``cancel`` is cancelled.

        Raises AuthenticationError where Drillster refuses to issue one, ApiUnavailable where it does not answer
        within the budget, AnswerError where its response makes no sense, Cancelled.
        """
        token = self._current
        now = self._clock()
        if token is not None and now < token.mandatory_at:
            if now >= token.renew_at and now >= self._next_early_try and self._renewing.acquire(blocking=False):
                try:
                    return self._renew_early(token, cancel or self._cancel)
                finally:
                    self._renewing.release()
            return token
        return self.renew(None, cancel=cancel)

    def renew(self, refused: Token | None, *, cancel: CancelToken | None = None) -> Token:
        """A token other than ``refused``, which Drillster answered with 401; any that is good where it is None.

        Waits for the thread that is renewing, and requests one only if that gave no good token. Raises as ``token``.
        """
        cancel = cancel or self._cancel
        self._cancel.check()
        failures = self._failures
        while not self._renewing.acquire(timeout=_CHECK_SECONDS):
            cancel.check()
        try:
            token = self._current
            good = token is not None and self._clock() < token.mandatory_at
            if token is not None and good and token is not refused:
                return token
            return self._renew_now(fallback=None if refused else token, failures=failures, cancel=cancel)
        finally:
            self._renewing.release()

    def close(self) -> None:
        """Close the connection and wake every thread that waits for a token; they raise Cancelled."""
        self._cancel.cancel()
        self.endpoint.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _renew_early(self, token: Token, cancel: CancelToken) -> Token:
        """Renew while the old token is good: one attempt, and the old one if it fails, which is no failure."""
        if self._current is not None and self._current is not token:
            return self._current
        try:
            return self._grant(Backoff(attempts=1), cancel)
        except Cancelled:
            raise
        except PipelineError as error:
            # A third of what is left each time, so the attempts come closer towards the end.
            left = token.mandatory_at - self._clock()
            self._next_early_try = self._clock() + max(left / 3, (token.mandatory_at - token.renew_at) / 20)
            logger.warning("The token could not be renewed early; going on with the old one. %s", error)
            return token

    def _renew_now(self, *, fallback: Token | None, failures: int, cancel: CancelToken) -> Token:
        """Renew because it must be.

        ``fallback`` is used if that fails while it is still valid. ``failures`` is their number when this thread
        began to wait for the lock: if another thread failed meanwhile, that is the outcome for this one, too.
        """
        failure = self._failure
        if failure is None or (failures == self._failures and self._clock() >= self._refused_until):
            try:
                return self._grant(self._backoff, cancel)
            except Cancelled:
                raise
            except PipelineError as error:
                failure = self._failure = _copy(error)
                self._failures += 1
                if not isinstance(error, Unavailable):
                    self._refused_until = self._clock() + REFUSED_SECONDS
        if fallback is not None and self._clock() < fallback.expires_at:
            return fallback
        raise _copy(failure)

    def _grant(self, backoff: Backoff, cancel: CancelToken) -> Token:
        """Request a token and make it the current one."""
        # From before the request: the life of the token may begin at any moment of it.
        grant, started = self.endpoint.request(RetryState(backoff, clock=self._clock, random=self._random), cancel)
        self._failure = None
        self._next_early_try = -math.inf
        self.grants += 1
        self.granted = grant
        self._current = self._token(grant, started)
        return self._current

    def _token(self, grant: Grant, started: float) -> Token:
        early = min(EARLY_SECONDS, grant.lifetime * EARLY_SHARE)
        late = min(LATE_SECONDS, grant.lifetime * LATE_SHARE)
        expires_at = started + grant.lifetime
        return Token(
            value=grant.access_token,
            # Up to a tenth earlier, so that processes that began together do not renew together.
            renew_at=expires_at - early * (1 + self._random() / 10),
            mandatory_at=expires_at - late,
            expires_at=expires_at,
        )


def _copy(error: PipelineError) -> PipelineError:
    """A new error of the same kind: one that was raised already keeps its traceback, thread after thread."""
    return type(error)(str(error), **vars(error))
