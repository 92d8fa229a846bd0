"""What both adapters do: take orders as JSON lines on stdin, run them in this process, answer on the original stdout.

An adapter of a version names the few things of it that have other names there, in a :class:`Names`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any


def find(*candidates: str) -> Any:
    """The first of ``module:attribute`` that exists."""
    for candidate in candidates:
        module, _, attribute = candidate.partition(":")
        with contextlib.suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(module), attribute)
    raise SystemExit(f"none of {candidates} exists: mend the adapter")


@dataclass
class Names:
    context: Any
    """Session, or PipelineContext."""
    capture: Callable[..., Any]
    publish: Callable[..., Any]
    load_settings: Callable[..., Any]
    PipelineError: type[Exception]
    client: Callable[[Any], Any]
    """A client of a context that does not wait between attempts."""
    tokens: Callable[[Any], Any]


NOW: list[datetime] = []


class Killer:
    """Kills this process at a statement that the warehouse is sent."""

    def __init__(self) -> None:
        import sqlalchemy as sa

        self.statement = 0
        self.commit = ""
        self._count = 0
        self._in_load = False
        self._committed = False
        sa.event.listen(sa.engine.Engine, "before_cursor_execute", self._on_statement)
        sa.event.listen(sa.engine.Engine, "commit", self._on_commit)
        sa.event.listen(sa.pool.Pool, "reset", self._on_reset)
        sa.event.listen(sa.pool.Pool, "checkin", self._on_reset)

    def arm(self, order: dict[str, Any] | None) -> None:
        order = order or {}
        self.statement, self.commit = order.get("statement", 0), order.get("commit", "")
        self._count, self._in_load, self._committed = 0, False, False

    def _on_statement(self, _c: Any, _cur: Any, statement: str, *_: Any) -> None:
        if not (self.statement or self.commit):
            return
        self._count += 1
        if self._count == self.statement or self._committed:
            _die()
        if re.match(r"INSERT INTO (\S*\.)?[`\"]?loads[`\"]? ", statement):
            self._in_load = True

    def _on_commit(self, _c: Any) -> None:
        if self._in_load and self.commit == "before":
            _die()
        self._committed = self._in_load and self.commit == "after"

    def _on_reset(self, *_: Any) -> None:
        if self._committed:
            _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def prepare(names: Names) -> None:
    """Give every context the clock of the order, and clients that do not wait."""
    defaults = names.context.__init__.__kwdefaults__
    assert {"now", "sleep"} <= defaults.keys(), defaults
    defaults["now"] = lambda: NOW[-1]
    defaults["sleep"] = lambda _: None
    names.context.client = lambda self: names.client(self)

    class Tokens:
        """As a cached property: what is in the instance comes first."""

        def __get__(self, instance: Any, _owner: Any) -> Any:
            return vars(instance).setdefault("tokens", names.tokens(instance))

    names.context.tokens = Tokens()


def _cli(order: dict[str, Any]) -> dict[str, Any]:
    (entry,) = [e for e in importlib.metadata.entry_points(group="console_scripts") if e.name == "drillster-pipeline"]
    main = entry.load()
    out = io.StringIO()
    argv, sys.argv = sys.argv, ["drillster-pipeline", *order["args"]]
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
    return {"code": code, "output": out.getvalue()[-6000:]}


def _api(names: Names, order: dict[str, Any]) -> dict[str, Any]:
    day = date.fromisoformat(order["date"])
    with names.context(settings=names.load_settings()) as context:
        try:
            if order["op"] == "capture":
                outcome = names.capture(context, order["kind"], day, again=order.get("again", False))
                return {"code": 0, "how": str(getattr(outcome, "how", ""))}
            outcome = names.publish(
                context,
                order["kind"],
                day,
                run_id=f"run-{order['number']}",
                tables=order.get("tables"),
                allow_mass_delete=order.get("allow", False),
            )
            return {"code": 0}
        except names.PipelineError as error:
            return {"code": error.exit_code, "error": type(error).__name__, "output": str(error)}


def preload() -> None:
    """Import everything once, but the definitions: they read the settings of whoever imports them first."""
    import pkgutil

    import drillster_pipeline

    for module in ("dagster", "pandas", "psycopg", "pymysql", "rich.progress", "rich.table", "uvicorn"):
        importlib.import_module(module)
    for module in pkgutil.walk_packages(drillster_pipeline.__path__, "drillster_pipeline."):
        if not module.name.endswith((".definitions", ".__main__")):
            with contextlib.suppress(Exception):
                importlib.import_module(module.name)


def serve(names: Names) -> None:
    """Listen on a socket; each connection gets a process of its own, forked from this one, which has all imported."""
    import ctypes
    import socket

    end_with_parent = ctypes.CDLL(None).prctl
    end_with_parent(1, signal.SIGKILL)
    preload()
    prepare(names)
    killer = Killer()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                end_with_parent(1, signal.SIGKILL)
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                try:
                    _work(names, killer, connection)
                finally:
                    os._exit(0)
            connection.close()


def _work(names: Names, killer: Killer, connection: Any) -> None:
    stream = connection.makefile("rw", encoding="utf-8", newline="\n")
    begin = json.loads(stream.readline())
    os.chdir(begin["folder"])
    log = os.open("adapter.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for name in [name for name in os.environ if name.startswith(("DRILLSTER_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ.update(begin["env"])
    stream.write(json.dumps({"pid": os.getpid()}) + "\n")
    stream.flush()
    for line in stream:
        order = json.loads(line)
        for name, value in order["env"].items():
            os.environ[name] = value
        NOW[:] = [datetime.fromisoformat(order["now"])]
        killer.arm(order.get("kill"))
        try:
            answer = _cli(order) if order["op"] == "cli" else _api(names, order)
        except Exception:  # the difference is what we are after
            answer = {"code": "traceback", "output": traceback.format_exc()[-3000:]}
        killer.arm(None)
        stream.write(json.dumps(answer) + "\n")
        stream.flush()
