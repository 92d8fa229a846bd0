"""A pool of threads for a walk that grows as it goes: always busy, and always at what should be done first.

The first error stops all threads, and is what ``run`` raises.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")


class WorkerPool(Generic[Task]):
    """Runs ``work`` on tasks with up to ``size`` threads; ``work`` may ``add`` tasks.

    ``rank`` says which tasks go before others: those of the lowest; of the same, the one that was added first.
    ``interrupt`` is called once when something failed, to wake threads that wait for an answer or sleep.
    """

    def __init__(
        self,
        work: Callable[[Task], None],
        *,
        size: int,
        interrupt: Callable[[], None],
        rank: Callable[[Task], Any] = lambda _: 0,
    ) -> None:
        self._work = work
        self._size = size
        self._interrupt = interrupt
        self._rank = rank
        self._lock = threading.Lock()
        # Two conditions, since a notice that reached the caller of ``run`` instead of a worker would leave that idle.
        self._work_waits = threading.Condition(self._lock)
        self._is_over = threading.Condition(self._lock)
        self._heap: list[tuple[Any, int, Task]] = []
        self._added = count()
        self._busy = 0
        self._error: BaseException | None = None
        self._ended = False

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
            self._work_waits.notify(len(self._heap) - before)

    def run(self, *, on_tick: Callable[[], None], tick_seconds: float) -> None:
        """Work until nothing is left; ``on_tick`` is called from this thread now and then. Raises the first error.

        May be called again with tasks that were added since.
        """
        self._ended = False
        threads = [threading.Thread(target=self._worker, name=f"walk-{n}", daemon=True) for n in range(self._size)]
        try:
            for thread in threads:
                thread.start()
            while not self._wait(tick_seconds):
                on_tick()
        except BaseException as error:  # noqa: BLE001 - raised below, unless a worker's came first
            self._fail(error)
        finally:
            with self._lock:
                self._ended = True
                self._work_waits.notify_all()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        if self._error is not None:
            raise self._error

    def _wait(self, seconds: float) -> bool:
        """Whether it is all over, after so many seconds at most."""
        with self._lock:
            return self._is_over.wait_for(self._done, seconds)

    def _done(self) -> bool:
        return self._error is not None or (not self._heap and not self._busy)

    def _worker(self) -> None:
        while (task := self._next()) is not None:
            try:
                self._work(task[0])
            except BaseException as error:  # noqa: BLE001 - carried to the caller of run
                self._fail(error)
            finally:
                with self._lock:
                    self._busy -= 1
                    if self._done():
                        self._is_over.notify_all()
                        self._work_waits.notify_all()

    def _next(self) -> tuple[Task] | None:
        """A task; None when there will be none any more."""
        with self._lock:
            self._work_waits.wait_for(lambda: bool(self._heap) or self._ended or self._done())
            if self._ended or self._error is not None or not self._heap:
                return None
            self._busy += 1
            return (heapq.heappop(self._heap)[2],)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            first = self._error is None
            if first:
                self._error = error
            self._is_over.notify_all()
            self._work_waits.notify_all()
        if first:
            self._interrupt()
