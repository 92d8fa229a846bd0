"""What an examination finds, as data: steps that were tried, each with what came of it and what to do."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drillster_pipeline import __version__
from drillster_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from .estimate import Night
    from .pages import Probed

FORMAT = 1
"""Of the JSON form (docs/check.md). Fields may be added within a number; anything else makes another one."""
UNEXPECTED = 1


class Status(StrEnum):
    """What a step came to."""

    OK = "ok"
    WARNING = "warning"
    """It works, but somebody should look at it."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not tried, because something that it needs is missing."""


class Part(StrEnum):
    """What a step is about, in the order in which things are tried."""

    SETTINGS = "settings"
    DRILLSTER = "drillster"
    ACCESS = "access"
    ENDPOINTS = "endpoints"
    NIGHT = "night"
    WAREHOUSE = "warehouse"
    ARCHIVE = "archive"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One step. ``found`` and ``advice`` are sentences to an operator, without a secret or a personal value."""

    part: Part
    step: str
    status: Status
    tried: str
    found: str
    advice: str = ""
    exit_code: int = 0

    def as_json(self) -> dict[str, Any]:
        """See docs/check.md."""
        return {
            "part": str(self.part),
            "step": self.step,
            "status": str(self.status),
            "tried": self.tried,
            "found": self.found,
            "advice": self.advice or None,
            "exit_code": self.exit_code,
        }


@dataclass(slots=True)
class Report:
    """All that was found; it can be read at any time, also while the examination goes on or after it was broken off."""

    checked_at: datetime
    findings: list[Finding] = field(default_factory=list)
    endpoints: list[Probed] = field(default_factory=list)
    night: Night | None = None
    loads: list[dict[str, Any]] = field(default_factory=list)
    """The newest loads of the warehouse, without ids."""
    requests: int = 0
    seconds: float = 0.0
    is_complete: bool = False

    @property
    def exit_code(self) -> int:
        """That of the first step that failed, or 0."""
        return next((each.exit_code or UNEXPECTED for each in self.findings if each.status is Status.FAILED), 0)

    @property
    def verdict(self) -> Status:
        """The worst that was found."""
        met = {finding.status for finding in self.findings}
        return next((each for each in (Status.FAILED, Status.WARNING) if each in met), Status.OK)

    def as_json(self) -> dict[str, Any]:
        """See docs/check.md."""
        return {
            "format": FORMAT,
            "program": f"drillster-pipeline {__version__}",
            "checked_at": f"{self.checked_at:%Y-%m-%dT%H:%M:%SZ}",
            "is_complete": self.is_complete,
            "verdict": str(self.verdict),
            "exit_code": self.exit_code,
            "requests": self.requests,
            "seconds": round(self.seconds, 1),
            "findings": [finding.as_json() for finding in self.findings],
            "endpoints": [probed.as_json() for probed in self.endpoints],
            "night": self.night.as_json() if self.night else None,
        }


class Notes:
    """Takes findings down, step by step; ``announce`` hears what is about to be tried."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.announce: Callable[[str], None] = lambda _: None

    def note(
        self,
        part: Part,
        step: str,
        status: Status,
        found: str,
        *,
        tried: str = "",
        advice: str = "",
        exit_code: int = 0,
    ) -> None:
        """Take one down."""
        self.report.findings.append(
            Finding(part=part, step=step, status=status, tried=tried, found=found, advice=advice, exit_code=exit_code)
        )

    def skip(self, part: Part, step: str, because: str) -> None:
        """Take down what was not tried."""
        self.note(part, step, Status.SKIPPED, f"not tried: {because}")

    @contextmanager
    def step(self, part: Part, step: str, tried: str) -> Iterator[Step]:
        """Try something. What it raises becomes a finding, so that the steps after it are tried all the same."""
        self.announce(step)
        trial = Step(self, part, step, tried)
        try:
            yield trial
        except PipelineError as error:
            trial.failed(str(error), exit_code=error.exit_code)
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one step must not hide the others
            # Where, but not its text, which may quote an answer.
            last = traceback.extract_tb(error.__traceback__)[-1]
            trial.failed(
                f"an error that this program does not expect: {type(error).__name__} at "
                f"{Path(last.filename).name}:{last.lineno}.",
                advice="Please report it, with the bundle of `check --bundle`.",
            )


@dataclass(slots=True)
class Step:
    """A step under way; whoever tries says what came of it."""

    notes: Notes
    part: Part
    step: str
    tried: str
    is_ok: bool = False

    def ok(self, found: str, *, advice: str = "") -> None:
        """It works."""
        self.is_ok = True
        self._note(Status.OK, found, advice)

    def warning(self, found: str, *, advice: str = "") -> None:
        """It works, but somebody should look at it."""
        self.is_ok = True
        self._note(Status.WARNING, found, advice)

    def failed(self, found: str, *, advice: str = "", exit_code: int = UNEXPECTED) -> None:
        """It does not work."""
        self.is_ok = False
        self._note(Status.FAILED, found, advice, exit_code)

    def _note(self, status: Status, found: str, advice: str, exit_code: int = 0) -> None:
        self.notes.note(self.part, self.step, status, found, tried=self.tried, advice=advice, exit_code=exit_code)
