"""Captures in processes that can be killed: started once, it forks a fresh process for each capture.

Reads a JSON order per line, and answers each with a line: the exit status of the process, and what it came to.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import sqlalchemy  # noqa: F401 - so that a forked process need not read it
from pydantic import SecretStr

from drillster_pipeline.api import capture as _api  # noqa: F401 - likewise
from drillster_pipeline.archive import lease, local
from drillster_pipeline.archive import object_store as remote
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import Settings, load_settings
from drillster_pipeline.warehouse import Warehouse  # noqa: F401 - likewise


class Killer:
    """Counts what is done to files, and kills this process when it comes to a certain step.

    ``at``: the n-th step of all. ``on``: the first step whose name holds this text, such as ``publish_file
    manifest.json: before``.
    """

    def __init__(self, at: int | None, on: str | None, seed: int) -> None:
        self.steps = 0
        self._at, self._on = at, on
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        for owner, name in (
            (local, "sync"),
            (local, "publish_file"),
            (local, "_make_folder"),
            (local.LocalStorage, "write"),
            (local.LocalStorage, "remove"),
        ):
            setattr(owner, name, self._watched(getattr(owner, name), name))
        write = local.LocalSink.write

        def torn(sink: Any, chunk: bytes) -> None:
            # The kernel got a part of it, and then the process was gone.
            now = self._at is not None and self.steps + 1 >= self._at
            write(sink, chunk[: self._chance.randrange(len(chunk))] if now else chunk)
            self._step("sink")

        local.LocalSink.write = torn  # type: ignore[method-assign]  # dies halfway

    def _watched(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def watched(*args: Any) -> Any:
            what = f"{name} {' '.join(str(getattr(arg, 'name', arg)) for arg in args if not isinstance(arg, bytes))}"
            self._step(f"{what}: before")
            result = real(*args)
            self._step(f"{what}: after")
            return result

        return watched

    def _step(self, name: str) -> None:
        with self._lock:
            self.steps += 1
            if self.steps == self._at or (self._on is not None and self._on in name):
                os.kill(os.getpid(), signal.SIGKILL)


_KNOWN: list[Settings] = []


def _settings(order: dict[str, Any]) -> Settings:
    """Read once, since the check of the key takes longer than a capture; only the archive differs."""
    if not _KNOWN:
        _KNOWN.append(load_settings(order["environment"]))
    return _KNOWN[0]


def _work(order: dict[str, Any]) -> dict[str, Any]:
    local.LocalStorage.part_bytes = remote.RemoteStorage.part_bytes = order.get("part_bytes", 1500)
    lease.HEARTBEAT_SECONDS, lease.PATIENCE_SECONDS = 0.05, 0.4
    killer = Killer(order.get("kill_at"), order.get("kill_on"), order.get("seed", 0))
    now = datetime.fromisoformat(order["now"])
    settings = _settings(order).model_copy(
        update={"archive_url": SecretStr(order["environment"]["DRILLSTER_ARCHIVE_URL"])}
    )
    with PipelineContext(settings=settings, now=lambda: now) as session:
        try:
            outcome = capture(session, order.get("kind", "snapshot"), date.fromisoformat(order["date"]))
        except PipelineError as error:
            return {"error": type(error).__name__, "message": str(error), "steps": killer.steps}
    return {"capture": outcome.capture.capture_id, "how": outcome.how, "steps": killer.steps}


def _serve(order: dict[str, Any]) -> dict[str, Any]:
    _settings(order)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            os.write(writer, json.dumps(_work(order)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    if (seconds := order.get("kill_after")) is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(reader, "rb") as file:
        said = file.read()
    _, status = os.waitpid(pid, 0)
    return {"killed": os.WIFSIGNALED(status), **(json.loads(said) if said else {})}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(_serve(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
