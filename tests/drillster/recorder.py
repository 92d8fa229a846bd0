"""Every request is recorded, so that tests can assert "one grant" and "fetched once"."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic


@dataclass(slots=True)
class Record:
    """A request. ``status`` is None until it is answered, and stays so when the connection was reset."""

    method: str
    path: str
    query: str
    at: float
    """Monotonic seconds."""
    status: int | None = None


class Recorder:
    """The requests of a sandbox, the latest 100,000. Only the server's event loop writes."""

    def __init__(self) -> None:
        self.records: deque[Record] = deque(maxlen=100_000)
        self._in_flight = 0
        self.peak = 0
        """How many requests at most were in flight at once."""

    def begin(self, method: str, path: str, query: str) -> Record:
        """A request has come in."""
        record = Record(method, path, query, monotonic())
        self.records.append(record)
        self._in_flight += 1
        self.peak = max(self.peak, self._in_flight)
        return record

    def end(self) -> None:
        """A request is done with, one way or another."""
        self._in_flight -= 1

    def clear(self) -> None:
        """Forget all of them."""
        self.records.clear()
        self.peak = self._in_flight
