"""Captures of a small sandbox into an archive of a test's own, at moments of its choosing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.errors import Unauthorized
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import Settings, load_settings
from tests.drillster import Failure, Faults, Sandbox

NOW = datetime(2026, 3, 1, 1, 30, tzinfo=UTC)
DAY = date(2026, 2, 28)
PAST = DAY - timedelta(days=3)


@lru_cache
def _settings(environment: tuple[tuple[str, str], ...]) -> Settings:
    return load_settings(dict(environment))  # which checks the key, and that takes longer than a capture


class Nights:
    """Sessions on one archive, at moments of the test's choosing."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.now = NOW
        self.settings: dict[str, str] = {}
        self._open: list[PipelineContext] = []

    def session(self, **settings: str) -> PipelineContext:
        environment = {
            **self.sandbox.environment(),
            "DRILLSTER_ARCHIVE_URL": str(self.folder / "archive"),
            "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{self.folder}/warehouse.sqlite",
            "DRILLSTER_TIMEZONE": "UTC",
            "DRILLSTER_CONCURRENCY": "4",
            **self.settings,
            **settings,
        }
        self._open.append(PipelineContext(settings=_settings(tuple(environment.items())), now=lambda: self.now))
        return self._open[-1]

    def capture(self, kind: str = "snapshot", day: date = DAY, *, again: bool = False, **settings: str) -> Any:
        """The outcome, and how many requests it cost."""
        self.sandbox.clear()
        outcome = capture(self.session(**settings), kind, day, again=again)
        assert outcome.asked == (len(self.sandbox.requests) > 0)
        return outcome

    def interrupt(self, kind: str = "snapshot", day: date = DAY, *, after: int = 15, **settings: str) -> None:
        """A capture that fails after so many requests."""
        faults, self.sandbox.faults = self.sandbox.faults, Faults(failures=(Failure(after=after, statuses=(401,)),))
        with pytest.raises(Unauthorized):
            self.capture(kind, day, **settings)
        self.sandbox.faults = faults

    def close(self) -> None:
        for session in self._open:
            session.close()
