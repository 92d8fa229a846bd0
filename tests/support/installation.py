"""An installation in a folder: settings, archive, warehouse, reports, a Dagster home, and a Drillster."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from drillster_pipeline.archive.captures import CaptureRef
from drillster_pipeline.dates import midnight
from drillster_pipeline.errors import Unauthorized
from drillster_pipeline.pipeline.capture import CaptureOutcome, capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import PublishOutcome, publish
from drillster_pipeline.settings import SETTINGS, Settings, load_settings
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Failure, Faults, Sandbox

if TYPE_CHECKING:
    import dagster as dg

    from drillster_pipeline.orchestration.in_process import RunResult
    from drillster_pipeline.orchestration.resources import RunContext

REPOSITORY = Path(__file__).parents[2]
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def night_after(day: date) -> datetime:
    """02:30 in Amsterdam, in the night after a day."""
    return midnight(day + timedelta(days=1), AMSTERDAM) + timedelta(hours=2, minutes=30)


DAY = date(2026, 6, 9)
"""An export date; ``NOW`` is in the night after it."""
NOW = night_after(DAY)
FIRST = date(2026, 6, 1)


@lru_cache
def settings_of(environment: tuple[tuple[str, str], ...], *, needs_api: bool) -> Settings:
    """Read once, since the check of the private key takes longer than a small capture."""
    return load_settings(dict(environment), needs_api=needs_api)


class Installation:
    """Everything in ``folder``. Its clock is ``now``, for the pipeline and for the sandbox, if there is one.

    With ``monkeypatch``, its settings are those of this process, as Dagster and the commands need it. Whatever is
    opened is closed at the end of the ``with``.
    """

    def __init__(
        self,
        folder: Path,
        sandbox: Sandbox | None = None,
        *,
        now: datetime = NOW,
        monkeypatch: pytest.MonkeyPatch | None = None,
        **settings: str,
    ) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.environment = {
            **(sandbox.environment() if sandbox else {}),
            "DRILLSTER_ARCHIVE_URL": str(folder / "archive"),
            "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder / 'warehouse.sqlite'}",
            "DRILLSTER_REPORTS_FOLDER": str(folder / "reports"),
            "DRILLSTER_FIRST_EXPORT_DATE": str(FIRST),
            "DAGSTER_HOME": str(folder / "dagster"),
        }
        self._monkeypatch = monkeypatch
        self._opened: dict[tuple[tuple[str, str], ...], PipelineContext] = {}
        if monkeypatch:
            for setting in SETTINGS:
                monkeypatch.delenv(setting.name, raising=False)
        self.set(**self.environment | settings)
        self.at(now)

    def set(self, **settings: str) -> None:
        """Change settings."""
        self.environment |= settings
        for name, value in settings.items() if self._monkeypatch else ():
            assert self._monkeypatch
            self._monkeypatch.setenv(name, value)

    def at(self, moment: datetime) -> None:
        """Set the clock."""
        self.now = moment
        if self.sandbox:
            self.sandbox.now = moment

    @property
    def day(self) -> date:
        """The newest export date."""
        return self.context.newest_complete

    @property
    def context(self) -> PipelineContext:
        """The pipeline with the settings of now; opened once for each."""
        key = tuple(self.environment.items())
        if key not in self._opened:
            self._opened[key] = self.new_context()
        return self._opened[key]

    def new_context(self, **options: Any) -> PipelineContext:
        """Another one with these settings, as another process has; the caller closes it."""
        settings = settings_of(tuple(self.environment.items()), needs_api=self.sandbox is not None)
        return PipelineContext(settings=settings, **{"now": lambda: self.now, **options})

    def capture(self, kind: str = "snapshot", day: date | None = None, *, again: bool = False) -> CaptureOutcome:
        """Capture a date, the newest one by default."""
        return capture(self.context, kind, day or self.day, again=again)

    def interrupt(self, kind: str = "snapshot", day: date | None = None, *, after: int = 15) -> None:
        """Begin a capture that fails after so many requests."""
        assert self.sandbox
        faults, self.sandbox.faults = self.sandbox.faults, Faults(failures=(Failure(after=after, statuses=(401,)),))
        with pytest.raises(Unauthorized):
            self.capture(kind, day)
        self.sandbox.faults = faults

    def publish(self, kind: str = "snapshot", day: date | None = None, **options: Any) -> PublishOutcome:
        """Publish a date, the newest one by default."""
        return publish(self.context, kind, day or self.day, **{"run_id": "run", **options})

    def load(self, kind: str = "snapshot", day: date | None = None, **options: Any) -> PublishOutcome:
        """Capture and publish."""
        self.capture(kind, day)
        return self.publish(kind, day, **options)

    def load_both(self, day: date | None = None) -> Path:
        """The snapshot and the events of a date; the folder that has them."""
        for kind in ("snapshot", "events"):
            self.load(kind, day)
        return self.folder

    def load_next(self, **options: Any) -> PublishOutcome:
        """Load the snapshot of the next day."""
        self.at(self.now + timedelta(days=1))
        return self.load(**options)

    def run(self, day: date | None = None, **options: Any) -> RunResult:
        """The Dagster job in this process, as the command runs it."""
        from drillster_pipeline.orchestration.in_process import run_nightly

        return run_nightly(self.instance, day or self.day, run=self.run_context(), **options)

    def run_context(self, **options: Any) -> RunContext:
        """What a run in this process shares: it goes by this clock, and never waits for another attempt."""
        from drillster_pipeline.orchestration.resources import RunContext

        return RunContext(**{"now": lambda: self.now, **options})

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """A Dagster instance that keeps its records in memory."""
        import dagster as dg

        return dg.DagsterInstance.ephemeral()

    @property
    def home(self) -> Path:
        """DAGSTER_HOME, with the repository's dagster.yaml."""
        home = self.folder / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
        return home

    @contextmanager
    def on_disk(self) -> Iterator[dg.DagsterInstance]:
        """Use the Dagster instance of DAGSTER_HOME for a while; it is slower."""
        import dagster as dg

        in_memory = self.instance
        with dg.DagsterInstance.from_config(str(self.home)) as self.instance:
            yield self.instance
        self.instance = in_memory

    def query(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What the warehouse answers; a statement that changes it is committed."""
        with self.context.warehouse.engine.begin() as connection:
            result = connection.execute(sa.text(sql), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def rows(self, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        """A table's rows by their key."""
        with self.context.warehouse.reading() as (connection, tables):
            found = [dict(row) for row in connection.execute(sa.select(tables(table))).mappings()]
        return {tuple(row[column] for column in DATA_TABLES[table].key): row for row in found}

    def files_with(self, *texts: str) -> list[str]:
        """The files of all that this has written, decompressed, that contain one of the texts, and which."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            if path.suffix == ".gz":
                content = gzip.decompress(content)
            elif path.suffix == ".partial":
                content = zlib.decompressobj(31).decompress(content)
            name = str(path.relative_to(self.folder))
            plain = f"{name} {content.decode('utf-8', 'replace')}"
            found += [f"{name}: {text}" for text in texts if text in plain or json.dumps(text)[1:-1] in plain]
        return found

    def cli(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """What a command prints, in a process of its own; it must end with ``code``."""
        program = [str(Path(sys.executable).parent / "drillster-pipeline"), *arguments]
        environment = {**self.process_environment, **environment}
        ended = subprocess.run(program, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    @property
    def process_environment(self) -> dict[str, str]:
        """The environment of a process of this installation."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DRILLSTER_", "DAGSTER_"))}
        return {**kept, **self.environment, "DAGSTER_HOME": str(self.home)}

    def close(self) -> None:
        """Close what was opened."""
        for context in self._opened.values():
            context.close()
        self._opened.clear()
        if "instance" in vars(self):
            self.instance.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def put_capture(
    context: PipelineContext, day: date, kind: str = "snapshot", *, sealed: bool = True, started: datetime | None = None
) -> CaptureRef:
    """Put an empty capture into the archive, as if it had been made in the night after ``day``."""
    moment = started or datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    writer = context.archive.begin(day, kind, {"kind": kind}, moment)
    return writer.seal({"resources": {}}).ref if sealed else writer.ref
