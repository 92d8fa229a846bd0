"""A pool of threads for a walk that grows as it goes: depth first, always busy, memory flat.

Work is taken from a stack, so that what was found last is done first: a group's members are read before the next
group is opened, and few units wait at any time. The first error stops all threads, and is what ``run`` raises.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Task = TypeVar("Task")


class Pool(Generic[Task]):
    """Runs ``work`` on tasks with up to ``size`` threads; ``work`` may ``add`` tasks."""

    def __init__(self, work: Callable[[Task], None], *, size: int, interrupt: Callable[[], None]) -> None:
        self._work = work
        self._size = size
        self._interrupt = interrupt
        """Called once when something failed, to wake threads that wait for an answer or sleep."""
        self._changed = threading.Condition()
        self._stack: list[Task] = []
        self._busy = 0
        self._error: BaseException | None = None
        self._ended = False

    @property
    def waiting(self) -> int:
        """How many tasks wait or are being done."""
        return len(self._stack) + self._busy

    def add(self, tasks: Iterable[Task]) -> None:
        """Put tasks on the stack; the last one is taken first."""
        with self._changed:
            before = len(self._stack)
            self._stack.extend(tasks)
            self._changed.notify(len(self._stack) - before)

    def run(self, *, on_tick: Callable[[], None], tick_seconds: float) -> None:
        """Work until nothing is left; ``on_tick`` is called from this thread now and then. Raises the first error."""
        threads = [threading.Thread(target=self._worker, name=f"walk-{n}", daemon=True) for n in range(self._size)]
        for thread in threads:
            thread.start()
        try:
            with self._changed:
                while not self._done():
                    self._changed.wait(tick_seconds)
                    if not self._done():
                        self._changed.release()
                        try:
                            on_tick()
                        finally:
                            self._changed.acquire()
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error

    def _done(self) -> bool:
        return self._error is not None or (not self._stack and not self._busy)

    def _worker(self) -> None:
        while True:
            with self._changed:
                while not self._stack:
                    if self._ended or self._done():
                        self._changed.notify_all()
                        return
                    self._changed.wait()
                if self._ended or self._error is not None:
                    return
                task = self._stack.pop()
                self._busy += 1
            try:
                self._work(task)
            except BaseException as error:  # noqa: BLE001 - carried to the caller of run
                self._fail(error)
            finally:
                with self._changed:
                    self._busy -= 1
                    if self._done():
                        self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            first = self._error is None
            if first:
                self._error = error
            self._changed.notify_all()
        if first:
            self._interrupt()
