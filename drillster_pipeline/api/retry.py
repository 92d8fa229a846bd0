"""Waiting before another attempt: how long, when to give up, and how it is cut short.

The delays grow and are drawn at random from zero up ("full jitter"), so that threads that failed together do not
come back together. One budget ends it, the same for the API and for the token endpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event

from drillster_pipeline.errors import PipelineError

RETRY_AFTER_CAP = 120.0
"""Seconds: a server (or something in between) may name hours; a run has no hours to give."""


class Cancelled(PipelineError):
    """The work was cancelled while this thread waited; the reason is where it was cancelled."""


class CancelToken:
    """Sleeps until a time is over or the work is cancelled, whichever is first; ``sleep`` may replace real sleeping."""

    def __init__(self, *, sleep: Callable[[float], object] | None = None) -> None:
        self._event = Event()
        self._sleep = sleep or self._event.wait

    def sleep(self, seconds: float) -> None:
        """Wait so long. Raises Cancelled as soon as the work is cancelled."""
        self.check()
        if seconds > 0:
            self._sleep(seconds)
            self.check()

    def check(self) -> None:
        """Raise Cancelled if the work was cancelled."""
        if self.is_cancelled:
            raise Cancelled("The work was cancelled: another part of it failed, or someone stopped it.")

    @property
    def is_cancelled(self) -> bool:
        """Whether the work was cancelled."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Cancel the work: every thread that sleeps wakes and raises Cancelled."""
        self._event.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A budget: ``seconds`` from the first failure, and ``longest`` with the time that is excused.

    Excused is what the server asks to wait, and the wait for a turn or a token. Delays grow from ``first`` to ``cap``.
    The defaults outlast an upgrade of Drillster of two minutes ("502: down or being upgraded", API 2.1.1): the last
    attempt is made 160 seconds after the first failure, or later. The first wait is short, because a failure that comes
    by chance is over at once, and a wait of several times a response would cost more than the failure itself.
    """

    attempts: int | None = None
    """None: as many as the time allows."""
    seconds: float = 180.0
    longest: float = 900.0
    first: float = 0.1
    cap: float = 20.0


INTERACTIVE = Backoff(attempts=3, longest=15.0, first=0.5, cap=4.0)
"""Less than in a run: somebody waits for the result."""


class RetryState:
    """What failed of one request so far, and whether to try again."""

    def __init__(self, backoff: Backoff, *, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._backoff = backoff
        self._clock = clock
        self._random = random
        self._reasons: Counter[str] = Counter()
        self._since: float | None = None
        self._excused = 0.0
        """Seconds since the first failure that do not count."""

    def add_failure(self, reason: str, *, minimum: float = 0.0) -> float | None:
        """Count a failure. Returns the seconds to wait before the next attempt, or None when the budget is spent.

        ``minimum`` is what the server asked for (Retry-After); the random delay comes on top of it. A wait that
        would end after the budget is not begun.
        """
        delay = self._random() * min(self._backoff.cap, self._backoff.first * 2.0 ** min(self.failures, 64))
        self._reasons[reason] += 1
        if self._since is None:
            self._since = self._clock()
        lasted = self._clock() - self._since + delay
        if (
            self.failures == self._backoff.attempts
            or lasted - self._excused > self._backoff.seconds
            or lasted + minimum > self._backoff.longest
        ):
            return None
        self._excused += minimum
        return minimum + delay

    def excuse(self, seconds: float) -> None:
        """Do not count seconds in which nothing could be tried: the wait for a turn, or for a token."""
        if self._since is not None:
            self._excused += seconds

    @property
    def failures(self) -> int:
        """How many attempts have failed."""
        return self._reasons.total()

    def __str__(self) -> str:
        """``20 attempts in 124 s: status 503 (19 times), connection lost (once)``."""
        lasted = 0.0 if self._since is None else self._clock() - self._since
        attempts = "1 attempt" if self.failures == 1 else f"{self.failures} attempts"
        kinds = ", ".join(
            f"{reason} ({'once' if times == 1 else f'{times} times'})" for reason, times in self._reasons.most_common()
        )
        return f"{attempts} in {lasted:.0f} s: {kinds}"


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds that a Retry-After header asks for, capped; 0.0 where it is absent, past or not understood.

    RFC 9110, section 10.2.3: whole seconds or an HTTP date. A date is compared with the response's own Date where there
    is one, so that a wrong clock here does no harm.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        # Any long row of digits is above the cap, and int() refuses the very long ones.
        return RETRY_AFTER_CAP if len(value) > 6 else min(float(value), RETRY_AFTER_CAP)
    moment = http_date(value)
    if moment is None:
        return 0.0
    wait = (moment - (http_date(headers.get("Date")) or now)).total_seconds()
    return min(max(wait, 0.0), RETRY_AFTER_CAP)


def http_date(value: str | None) -> datetime | None:
    """The moment that a header such as Date names; None where it is absent or not understood."""
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
