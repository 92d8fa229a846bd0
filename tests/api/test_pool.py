from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from drillster_pipeline.api.worker_pool import WorkerPool


def run(pool: WorkerPool[Any], *tasks: Any, on_tick: Callable[[], None] = lambda: None, tick: float = 0.01) -> None:
    pool.add(tasks)
    pool.run(on_tick=on_tick, tick_seconds=tick)


def nothing() -> None:
    """No thread waits for an answer here."""


def test_tasks_are_done_by_rank_and_then_as_they_were_found() -> None:
    done: list[str] = []

    def work(task: str) -> None:
        done.append(task)
        if len(task) < 3:
            pool.add([f"{task}2", f"{task}1"])

    pool: WorkerPool[str] = WorkerPool(work, size=1, interrupt=nothing, rank=lambda task: task[0])
    run(pool, "b", "a")
    assert done == ["a", "a2", "a1", "a22", "a21", "a12", "a11", "b", "b2", "b1", "b22", "b21", "b12", "b11"]
    assert pool.waiting == 0


@pytest.mark.parametrize("size", [1, 2, 8])
def test_every_task_is_done_once_and_none_is_left(size: int) -> None:
    done: list[int] = []

    def work(task: int) -> None:
        pool.add(range(task))
        done.append(task)

    pool: WorkerPool[int] = WorkerPool(work, size=size, interrupt=nothing)
    run(pool, 10)
    assert len(done) == 2**10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crawl-")]


def test_every_thread_has_work_as_long_as_there_is_some() -> None:
    # Each round, all four must be there at the same time; a thread that was not woken would break the barrier.
    meeting = threading.Barrier(4)

    def work(rounds: int) -> None:
        if rounds < 0:
            meeting.wait(timeout=5)
            return
        pool.add([-1, -1, -1])
        meeting.wait(timeout=5)
        if rounds:
            pool.add([rounds - 1])

    pool: WorkerPool[int] = WorkerPool(work, size=4, interrupt=nothing)
    run(pool, 300, tick=0.0005)


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

    pool: WorkerPool[int] = WorkerPool(work, size=3, interrupt=interrupt)
    with pytest.raises(ValueError, match="the first"):
        run(pool, 0, 1, 2, 3, 4, 5, 6)
    assert set(begun) <= {0, 1, 2}
    assert pool.waiting >= 4
    assert interrupts == [1]


def test_an_interrupt_of_the_caller_stops_the_threads() -> None:
    stop = threading.Event()

    def interrupt() -> None:
        raise KeyboardInterrupt

    pool: WorkerPool[int] = WorkerPool(lambda _: stop.wait(5) and None, size=4, interrupt=stop.set)
    with pytest.raises(KeyboardInterrupt):
        run(pool, *range(8), on_tick=interrupt)
    assert stop.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crawl-")]


def test_an_error_of_whoever_shows_the_progress_ends_it_as_well() -> None:
    def broken() -> None:
        raise OSError("the display is gone")

    pool: WorkerPool[int] = WorkerPool(lambda _: time.sleep(0.02), size=2, interrupt=nothing)
    with pytest.raises(OSError, match="display"):
        run(pool, *range(50), on_tick=broken)


def test_a_thread_that_cannot_be_started_ends_those_that_were(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, []

    def limited(self: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)
    pool: WorkerPool[int] = WorkerPool(lambda _: time.sleep(0.001), size=4, interrupt=nothing)
    with pytest.raises(RuntimeError, match="new thread"):
        run(pool, *range(5000))
    assert not any(thread.is_alive() for thread in started)


def test_progress_is_told_now_and_then_while_the_work_goes_on() -> None:
    ticks: list[int] = []
    pool: WorkerPool[int] = WorkerPool(lambda _: time.sleep(0.01), size=2, interrupt=nothing)
    run(pool, *range(20), on_tick=lambda: ticks.append(pool.waiting))
    assert len(ticks) >= 3
    assert ticks == sorted(ticks, reverse=True)
