"""A pool of threads for work that grows as it is done: the task of the lowest rank goes first.

The first error stops all threads, and is what ``run`` raises. (An executor of ``concurrent.futures`` has no ranks, and
goes on with what is queued after an error.)
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")


class WorkerPool(Generic[Task]):
    """Runs ``work`` on tasks with ``size`` threads; ``work`` may ``add`` tasks.

    ``rank`` says which tasks go before others: those of the lowest; of the same, the one that was added first.
    ``interrupt`` is called once when something failed, to wake threads that wait for a response or sleep.
    """

    def __init__(
        self, work: Callable[[Task], None], *, size: int, interrupt: Callable[[], None], rank: Callable[[Task], Any]
    ) -> None:
        self._work = work
        self._size = size
        self._interrupt = interrupt
        self._rank = rank
        self._lock = threading.Lock()
        # Two conditions, since a notice that reached the caller of ``run`` instead of a worker would leave that idle.
        self._has_work = threading.Condition(self._lock)
        self._has_ended = threading.Condition(self._lock)
        self._heap: list[tuple[Any, int, Task]] = []
        self._added = count()
        self._busy = 0
        self._error: BaseException | None = None

    @property
    def waiting(self) -> int:
        """How many tasks wait or are being done."""
        return len(self._heap) + self._busy

    def add(self, tasks: Iterable[Task]) -> None:
        """Add tasks, to be done when their turn comes. ``rank`` is called under a lock, in the order of the tasks."""
        with self._lock:
            before = len(self._heap)
            for task in tasks:
                heapq.heappush(self._heap, (self._rank(task), next(self._added), task))
            self._has_work.notify(len(self._heap) - before)

    def run(self, *, on_tick: Callable[[], None], tick_seconds: float) -> None:
        """Work until nothing is left; ``on_tick`` is called from this thread now and then. Raises the first error.

        May be called again with tasks that were added since.
        """
        threads = [threading.Thread(target=self._worker, name=f"crawl-{n}", daemon=True) for n in range(self._size)]
        try:
            for thread in threads:
                thread.start()
            while not self._wait(tick_seconds):
                on_tick()
        except BaseException as error:  # noqa: BLE001 - raised below, unless a worker's came first
            self._fail(error)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        if self._error is not None:
            raise self._error

    def _wait(self, seconds: float) -> bool:
        """Whether all is done, after so many seconds at most."""
        with self._lock:
            return self._has_ended.wait_for(self._is_done, seconds)

    def _is_done(self) -> bool:
        return self._error is not None or not (self._heap or self._busy)

    def _worker(self) -> None:
        while True:
            with self._lock:
                self._has_work.wait_for(lambda: self._heap or self._is_done())
                if self._is_done():
                    return
                self._busy += 1
                task = heapq.heappop(self._heap)[2]
            try:
                self._work(task)
            except BaseException as error:  # noqa: BLE001 - carried to the caller of run
                self._fail(error)
            with self._lock:
                self._busy -= 1
                self._notify_if_done()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            is_first = self._error is None
            self._error = self._error or error
            self._notify_if_done()
        if is_first:
            self._interrupt()

    def _notify_if_done(self) -> None:
        if self._is_done():
            self._has_ended.notify_all()
            self._has_work.notify_all()
