"""Work in processes of its own, which can be killed: forked from a server that has imported everything."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from multiprocessing.connection import Connection
from typing import Any

import fsspec

import drillster_pipeline.api.crawler
import drillster_pipeline.warehouse  # noqa: F401 - so that a forked process need not import it
from drillster_pipeline.archive import lease
from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.archive.object_store import RemoteStorage
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.pipeline import shards
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.prune import prune
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.pipeline.shards import capture_shard
from tests.support.installation import Installation

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


@dataclass
class Process:
    """A process that does some work."""

    process: Any
    _results: Connection

    def result(self) -> Any:
        """What the work returned; None where the process was killed."""
        with self._results:
            try:
                found = self._results.recv()
            except EOFError:
                found = None
        self.process.join()
        assert self.process.exitcode == (0 if found is not None else -signal.SIGKILL)
        return found


def start(installation: Installation, work: Callable[..., Any], *arguments: Any) -> Process:
    """Let a process do ``work(context, *arguments)`` with the settings and the clock of an installation."""
    results, sender = _FORKS.Pipe(duplex=False)
    order = (installation.context.settings, installation.now, dict(os.environ), work, arguments)
    process = _FORKS.Process(target=_do, args=(sender, *order))
    process.start()
    sender.close()
    return Process(process, results)


def _do(
    sender: Connection, settings: Any, now: datetime, environment: dict[str, str], work: Any, arguments: Any
) -> None:
    os.environ.update(environment)
    fsspec.config.set_conf_env(fsspec.config.conf)
    lease.HEARTBEAT_SECONDS, lease.PATIENCE_SECONDS = 0.05, 5.0
    shards.BUSY_SECONDS = 0.1
    with PipelineContext(settings=settings, now=lambda: now) as context:
        sender.send(work(context, *arguments))


def run(context: PipelineContext, *works: Sequence[str]) -> list[str]:
    """Do some works, one after the other; what became of each: ``done``, or an error."""

    def do(what: str, kind: str, of: str) -> None:
        if what == "forget":
            forget(context, of)
        elif what == "prune":
            prune(context)
        else:
            capture(context, kind, date.fromisoformat(of))
            publish(context, kind, date.fromisoformat(of), run_id="run")

    results = []
    for work in works:
        try:
            do(*work)
            results.append("done")
        except PipelineError as error:
            results.append(f"{type(error).__name__}: {error}")
    return results


def read_shard(context: PipelineContext, kind: str, day: date, shard: int, step: int = 0) -> str:
    """Capture a shard in small parts, up to a step if there is one; see :func:`capture_until`."""
    if step:
        _kill_at(context, step)
    capture_shard(context, kind, day, shard)
    return "done"


def capture_until(context: PipelineContext, step: int, name: str = "") -> tuple[str, int]:
    """Capture the newest date in small parts, up to a step: an operation on a file of the archive.

    ``name``: count from the first operation whose words contain it. Returns how the capture was obtained, and how many
    steps it took.
    """
    steps = _kill_at(context, step, name)
    outcome = capture(context, "snapshot", context.newest_complete)
    return outcome.how, next(steps) - 1


def _kill_at(context: PipelineContext, step: int, name: str = "") -> Iterator[int]:
    """Write small parts, and kill this process at a step; returns the counter of steps."""
    LocalStorage.part_bytes = RemoteStorage.part_bytes = 1500
    RemoteStorage.part_seconds = 0.0
    archive, steps, is_counting = context.archive.url, itertools.count(1), not name

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal is_counting
        if event not in {"open", "os.rename", "os.remove", "os.mkdir"} or archive not in str(arguments[0]):
            return
        is_counting = is_counting or name in f"{event} {arguments[0]} {arguments[1]}"
        if is_counting and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return steps
