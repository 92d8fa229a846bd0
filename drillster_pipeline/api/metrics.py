"""What the client did so far, in numbers: for the metadata of a run and for its progress display."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tokens import TokenSource


class Metrics:
    """Counters that all threads add to. Each is a plain attribute to read; ``snapshot`` gives all of one moment."""

    def __init__(self, tokens: TokenSource) -> None:
        self._tokens = tokens
        self._grants_before = tokens.grants
        self._lock = Lock()
        self.requests = 0
        """Requests sent to the API, retries and replays included; token requests are not."""
        self.retries = 0
        """Attempts that had to be made again: refused for the moment, broken, or without usable content."""
        self.replays = 0
        """Requests that were sent again with another token after a 401."""
        self.received_bytes = 0
        """Size of all answers, decompressed."""
        self.seconds_throttled = 0.0
        """Time that threads waited for their turn: rate, pauses, requests in flight. Summed over threads."""
        self.seconds_backing_off = 0.0
        """Time that threads waited before another attempt. Summed over threads."""

    @property
    def grants(self) -> int:
        """Tokens that were issued, by the source that this client uses."""
        return self._tokens.grants

    @property
    def renewals(self) -> int:
        """Tokens that were issued in place of another since this client was made."""
        return max(0, self._tokens.grants - max(1, self._grants_before))

    def sent(self, *, received_bytes: int, throttled: float) -> None:
        """Count one request and the size of its answer."""
        with self._lock:
            self.requests += 1
            self.received_bytes += received_bytes
            self.seconds_throttled += throttled

    def replayed(self) -> None:
        """Count one replay after a 401."""
        with self._lock:
            self.replays += 1

    def retried(self, seconds: float) -> None:
        """Count one retry and the wait before it."""
        with self._lock:
            self.retries += 1
            self.seconds_backing_off += seconds

    def snapshot(self) -> dict[str, int | float]:
        """All counters by name."""
        with self._lock:
            return {
                "requests": self.requests,
                "retries": self.retries,
                "replays": self.replays,
                "grants": self.grants,
                "renewals": self.renewals,
                "received_bytes": self.received_bytes,
                "seconds_throttled": round(self.seconds_throttled, 3),
                "seconds_backing_off": round(self.seconds_backing_off, 3),
            }
