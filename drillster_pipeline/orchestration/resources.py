"""The one resource: what the steps of a run share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import PrivateAttr

from .run_lock import run_lock

if TYPE_CHECKING:
    from drillster_pipeline.errors import PipelineError
    from drillster_pipeline.pipeline.context import PipelineContext


class RunContext:
    """A session, opened at the first use, and what the console wants to see and know of a run."""

    def __init__(
        self,
        *,
        retries: bool = True,
        on_progress: Callable[[Any], None] = lambda _: None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.retries = retries
        """Whether a step may wait and try again when Drillster does not answer."""
        self.on_progress = on_progress
        self.errors: dict[str, PipelineError] = {}
        """What steps failed with, by the name of the step: for the exit code of the console."""
        self._now = now

    @cached_property
    def pipeline(self) -> PipelineContext:
        """The session of this process. Raises SettingsError with all that is wrong in the settings."""
        from drillster_pipeline.pipeline.context import PipelineContext
        from drillster_pipeline.settings import load_settings

        settings = load_settings()
        return PipelineContext(settings=settings, now=self._now) if self._now else PipelineContext(settings=settings)

    def close(self) -> None:
        """Close what was opened."""
        if "pipeline" in vars(self):
            self.pipeline.close()


class DrillsterResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # it is its own value
    """Drillster, its archive and the warehouse, from the DRILLSTER_… settings of the environment or .env.

    Nothing is configured here, so that no secret can be shown here. One source of tokens serves the whole run: a
    token lives about an hour, and is renewed ahead of its end while other requests go on.
    """

    _run: RunContext = PrivateAttr(default_factory=RunContext)
    _opened: ExitStack = PrivateAttr(default_factory=ExitStack)

    @property
    def run(self) -> RunContext:
        """What the steps of this process share."""
        return self._run

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Begin a run; nothing is opened but what Dagster itself writes to."""
        self._run = RunContext()
        self._opened.callback(self._run.close)
        if context.instance is not None and context.run is not None:
            self._opened.enter_context(run_lock(context.instance, context.run.run_id))

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's
        """Close what the run has opened."""
        self._opened.close()


@dataclass(frozen=True, slots=True)
class ConsoleResource:
    """Stands in for DrillsterResource where the console makes the run, watches it and closes it."""

    run: RunContext
