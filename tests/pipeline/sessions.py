"""Sessions for tests: a local archive and an SQLite warehouse in a folder, at a moment of the test's choosing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from drillster_pipeline.archive import CaptureRef
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import load_settings

NOW = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)
"""03:00 in Amsterdam: the newest complete date is 9 June."""


def session_in(folder: Path, settings: Mapping[str, str] | None = None, *, now: datetime = NOW) -> PipelineContext:
    """A session that needs no Drillster."""
    environment = {
        "DRILLSTER_ARCHIVE_URL": str(folder / "archive"),
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/warehouse.sqlite",
        **(settings or {}),
    }
    return PipelineContext(settings=load_settings(environment, needs_api=False), now=lambda: now)


def put_capture(
    session: PipelineContext, day: date, kind: str = "snapshot", *, sealed: bool = True, started: datetime | None = None
) -> CaptureRef:
    """Put a small capture into the archive, as if it had been made in the night after ``day``."""
    moment = started or datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    writer = session.archive.begin(day, kind, {"kind": kind}, moment)
    if not sealed:
        return writer.ref
    manifest: dict[str, Any] = {"resources": {}}
    return writer.seal(manifest).ref


def names(folder: Path) -> set[str]:
    """Every date and capture that lies in an archive."""
    return {path.name for path in (folder / "archive").glob("*/*") if path.is_dir()}


def read_json(path: Path) -> Any:
    """A file's JSON."""
    return json.loads(path.read_text())
