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


@pytest.mark.parametrize("place", ["a thread", "the caller"])
def test_the_first_error_is_raised_and_nothing_new_is_begun(place: str) -> None:
    begun: list[int] = []
    stop = threading.Event()

    def fail_in(here: str) -> None:
        if here == place:
            raise KeyboardInterrupt("the first")

    def work(task: int) -> None:
        begun.append(task)
        if task == 0:
            fail_in("a thread")
        assert stop.wait(5)
        raise RuntimeError("woken")

    pool = make(work, 3, interrupt=stop.set)
    with pytest.raises(KeyboardInterrupt, match="the first"):
        run(pool, *range(7), on_tick=lambda: fail_in("the caller"))
    assert stop.is_set()
    assert set(begun) <= {0, 1, 2}
    assert pool.waiting >= 4
    assert not any(thread.name.startswith("crawl-") for thread in threading.enumerate())


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
