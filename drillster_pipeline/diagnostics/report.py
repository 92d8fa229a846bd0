"""The result of a check as data: one item per step, with what was tried, what was found and what to do."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from drillster_pipeline import __version__
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.response_shapes import Json

FORMAT = 2
"""Of the JSON form (docs/check.md). Fields may be added within a number; anything else needs another one."""


class Status(StrEnum):
    """The result of a step."""

    OK = "ok"
    WARNING = "warning"
    """It works, but an operator should read it."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not tried, because something that it needs is missing."""


class Part(StrEnum):
    """What a step is about, in the order of the report."""

    SETTINGS = "settings"
    DRILLSTER = "drillster"
    ENDPOINTS = "endpoints"
    ESTIMATE = "estimate"
    WAREHOUSE = "warehouse"
    ARCHIVE = "archive"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True)
class Item:
    """One step. ``found`` and ``advice`` are sentences to an operator, without a secret or a personal value."""

    part: Part
    step: str
    status: Status
    tried: str
    found: str
    advice: str | None = None
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of one run; bytes are an order of magnitude."""

    requests: int
    groups: int
    memberships: int
    objectives: int
    latency_ms: float
    """Median of one request at a time."""
    minutes: float
    received_bytes: int
    archive_bytes: int
    warehouse_bytes: int


@dataclass(slots=True)
class DiagnosticsReport:
    """All results so far; it can be read at any time, also after the check was interrupted."""

    checked_at: datetime
    on_step: Callable[[str], None] = field(default=lambda _: None, repr=False)
    """Gets the name of each step before it is tried."""
    items: list[Item] = field(default_factory=list)
    pages: dict[str, list[Json]] = field(default_factory=dict, repr=False)
    """The pages of each endpoint, for the bundle, which shows their shapes."""
    estimate: Estimate | None = None
    loads: list[dict[str, Any]] = field(default_factory=list)
    """The newest loads of the warehouse, without ids."""
    dagster: dict[str, Any] = field(default_factory=dict)
    """Where Dagster keeps its runs, by kind."""
    requests: int = 0
    seconds: float = 0.0
    is_complete: bool = False

    @property
    def exit_code(self) -> int:
        """That of the first step that failed, or 0."""
        return next((each.exit_code for each in self.items if each.status is Status.FAILED), 0)

    @property
    def verdict(self) -> Status:
        """The worst status of all items."""
        found = {item.status for item in self.items}
        return next((each for each in (Status.FAILED, Status.WARNING) if each in found), Status.OK)

    def as_json(self) -> dict[str, Any]:
        """See docs/check.md."""
        return {
            "format": FORMAT,
            "program": f"drillster-pipeline {__version__}",
            "checked_at": f"{self.checked_at:%Y-%m-%dT%H:%M:%SZ}",
            "is_complete": self.is_complete,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "requests": self.requests,
            "seconds": round(self.seconds, 1),
            "items": [asdict(item) for item in self.items],
            "estimate": asdict(self.estimate) if self.estimate else None,
        }

    def skip(self, part: Part, step: str, because: str) -> None:
        """Add an item for what is not tried."""
        self.items.append(Item(part, step, Status.SKIPPED, "", f"not tried: {because}"))

    @contextmanager
    def step(self, part: Part, name: str, tried: str) -> Iterator[Step]:
        """Try something. An exception becomes an item, so that the steps after it are still tried."""
        self.on_step(name)
        step = Step(self, part, name, tried)
        try:
            yield step
        except PipelineError as error:
            step.failed(str(error), exit_code=error.exit_code)
        except Exception as error:  # noqa: BLE001 - a defect in one step must not hide the results of the others
            # The place, but not the message, which may quote a response.
            last = traceback.extract_tb(error.__traceback__)[-1]
            step.failed(
                f"an unexpected error: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}.",
                "Please report it, with the bundle of `check --bundle`.",
            )


@dataclass(slots=True)
class Step:
    """A step under way; the result of it becomes an item."""

    report: DiagnosticsReport
    part: Part
    name: str
    tried: str
    has_failed: bool = False

    def ok(self, found: str, advice: str | None = None) -> None:
        """It works."""
        self._add(Status.OK, found, advice)

    def warning(self, found: str, advice: str | None = None) -> None:
        """It works, but an operator should read it."""
        self._add(Status.WARNING, found, advice)

    def failed(self, found: str, advice: str | None = None, *, exit_code: int = PipelineError.exit_code) -> None:
        """It does not work."""
        self.has_failed = True
        self._add(Status.FAILED, found, advice, exit_code)

    def _add(self, status: Status, found: str, advice: str | None, exit_code: int = 0) -> None:
        self.report.items.append(Item(self.part, self.name, status, self.tried, found, advice, exit_code))
