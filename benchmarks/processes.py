"""Each measured run in a process of its own: its CPU seconds and its peak of memory are then its own, too."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Self

SPAWN = multiprocessing.get_context("spawn")


def isolated(function: Callable[..., Any], /, *arguments: Any) -> Any:
    """What ``function`` (of a module's top level) returns in a new process; raises what it raises."""
    with ProcessPoolExecutor(max_workers=1, mp_context=SPAWN) as pool:
        return pool.submit(function, *arguments).result()


class Meter:
    """Wall and CPU seconds of a block; CPU of child processes that ended within it counts.

    with Meter() as meter:
        work()
    meter.read()

    May be entered again and again; what it read adds up. ``server``: a measure of the CPU seconds of a server, which
    does nothing else until the meter is read.
    """

    def __init__(self, server: Callable[[], float] | None = None) -> None:
        self.seconds = self.cpu = 0.0
        self._server = server
        self._before = server() if server else 0.0

    def __enter__(self) -> Self:
        self._cpu, self._started = cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._started
        self.cpu += cpu_seconds() - self._cpu

    def read(self) -> dict[str, float]:
        """All of it, as a measurement."""
        measures = {"seconds": self.seconds, "cpu_seconds": self.cpu}
        return measures | {"server_cpu_seconds": self._server() - self._before} if self._server else measures


def cpu_seconds() -> float:
    """User and system time of this process and of those children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_mib() -> float:
    """The most memory that this process ever had (VmHWM); getrusage would count that of the one it came from, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM: the memory benchmark needs Linux")
