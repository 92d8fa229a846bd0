from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from drillster_pipeline.api.worker_pool import WorkerPool


def make(work: Callable[[Any], Any], size: int = 2, **options: Any) -> WorkerPool[Any]:
    return WorkerPool(work, size=size, **{"interrupt": lambda: None, "rank": lambda _: 0, **options})


def run(pool: WorkerPool[Any], *tasks: Any, on_tick: Callable[[], None] = lambda: None, tick: float = 0.01) -> None:
    pool.add(tasks)
    pool.run(on_tick=on_tick, tick_seconds=tick)


def pool_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("crawl-")]


def test_every_thread_has_work_as_long_as_there_is_some() -> None:
    # Each round, all four must be there at the same time; a thread that was not woken would break the barrier.
    meeting = threading.Barrier(4)

    def work(rounds: int) -> None:
        if rounds > 0:
            pool.add([-1, -1, -1])
        meeting.wait(timeout=5)
        if rounds > 1:
            pool.add([rounds - 1])

    pool = make(work, 4)
    run(pool, 200, tick=0.0005)


def test_the_first_error_is_raised_and_nothing_new_is_begun() -> None:
    begun: list[int] = []
    interrupts: list[int] = []
    stop = threading.Event()

    def interrupt() -> None:
        interrupts.append(1)
        stop.set()

    def work(task: int) -> None:
        begun.append(task)
        if task == 0:
            raise ValueError("the first")
        stop.wait(5)
        raise RuntimeError("woken")

    pool = make(work, 3, interrupt=interrupt)
    with pytest.raises(ValueError, match="the first"):
        run(pool, 0, 1, 2, 3, 4, 5, 6)
    assert set(begun) <= {0, 1, 2}
    assert pool.waiting >= 4
    assert interrupts == [1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_of_the_caller_stops_the_threads(error: type[BaseException]) -> None:
    stop = threading.Event()

    def tick() -> None:
        raise error

    with pytest.raises(error):
        run(make(lambda _: stop.wait(5), 4, interrupt=stop.set), *range(8), on_tick=tick)
    assert pool_threads() == []


def test_a_thread_that_cannot_be_started_ends_those_that_were(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, []

    def limited(self: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="new thread"):
        run(make(lambda _: time.sleep(0.001), 4), *range(5000))
    assert not any(thread.is_alive() for thread in started)
