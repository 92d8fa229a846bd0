"""Every request is written down, so that tests can prove "one grant" and "fetched once"."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from fnmatch import fnmatchcase
from threading import Lock
from time import monotonic

_KEPT = 100_000


@dataclass(slots=True)
class Record:
    """One request. ``status`` is None until it is answered, and stays so when the connection was reset."""

    method: str
    path: str
    query: str
    at: float
    """Monotonic seconds."""
    token_id: str | None = None
    """The ``jti`` of the access token it came with (of the one it was given, at the token endpoint)."""
    status: int | None = None


class Recorder:
    """The record of a sandbox. Safe to ask from any thread; the oldest requests are forgotten after 100,000."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._records: deque[Record] = deque(maxlen=_KEPT)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._grants = 0
        self._flying = 0
        self._peak = 0

    def begin(self, method: str, path: str, query: str) -> Record:
        """A request has come in."""
        record = Record(method, path, query, monotonic())
        with self._lock:
            self._records.append(record)
            self._counts[method, path] += 1
            self._flying += 1
            self._peak = max(self._peak, self._flying)
        return record

    def end(self) -> None:
        """A request is done with, one way or another."""
        with self._lock:
            self._flying -= 1

    def granted(self) -> None:
        """A token was handed out."""
        with self._lock:
            self._grants += 1

    @property
    def grants(self) -> int:
        """How many tokens were handed out."""
        with self._lock:
            return self._grants

    @property
    def peak(self) -> int:
        """How many requests at most were in flight at once."""
        with self._lock:
            return self._peak

    @property
    def requests(self) -> list[Record]:
        """The requests, oldest first."""
        with self._lock:
            return list(self._records)

    def count(self, method: str | None = None, path: str = "*", *, query: str | None = None) -> int:
        """How many requests there were; ``path`` and ``query`` may be patterns (``/api/2.1.1/group/*/members``)."""
        if query is None:
            with self._lock:
                if method is not None and not set(path) & set("*?["):
                    return self._counts[method, path]
                counts = list(self._counts.items())
            return sum(
                times
                for (one_method, one_path), times in counts
                if method in (None, one_method) and fnmatchcase(one_path, path)
            )
        return sum(
            1
            for record in self.requests
            if method in (None, record.method)
            and fnmatchcase(record.path, path)
            and (record.query == query or fnmatchcase(record.query, query))
        )

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._records.clear()
            self._counts.clear()
            self._grants = 0
            self._peak = self._flying
