"""The sandbox that tests run: it misbehaves as its ``faults`` say, and records the requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from drillster_pipeline import sandbox
from drillster_pipeline.sandbox.oauth import Grants

from .endpoints import FaultyDrillster
from .failures import FailingCalls, Failures
from .faults import Failure, Faults, FieldFault, PageFault
from .recorder import Record, Recorder


class Sandbox(sandbox.Sandbox):
    """A local Drillster with faults."""

    def __init__(self, *, faults: Faults | None = None, seed: int = 7, **options: Any) -> None:
        self.recorder = Recorder()
        self._seed = seed
        super().__init__(seed=seed, **options)
        self.faults = faults or Faults()

    def _application(self, grants: Grants) -> FailingCalls:  # type: ignore[override]  # it wraps the application
        self._drillster = FaultyDrillster(self.organization, grants, self._step)
        return FailingCalls(self._drillster, self.recorder)

    @property
    def faults(self) -> Faults:
        """How the sandbox misbehaves. Setting it (also to the same faults) starts all counts anew."""
        return self._drillster.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._drillster.set_faults(faults)
        self._app.failures = Failures(faults, self._seed)

    def idle_faults(self) -> list[Failure | PageFault | FieldFault]:
        """The faults that have done nothing since they were set."""
        every: list[Failure | PageFault | FieldFault] = [*self.faults.failures, *self.faults.pages, *self.faults.fields]
        return [fault for fault in every if id(fault) not in self._drillster.fired]

    def change(self, **changes: Any) -> None:
        """Replace some of the faults: ``sandbox.change(latency=0.05)``."""
        self.faults = replace(self.faults, **changes)

    @property
    def requests(self) -> list[Record]:
        """Every request so far, oldest first."""
        return self.recorder.requests

    def count(self, method: str | None = None, path: str = "*", *, query: str | None = None) -> int:
        """How many requests there were; path and query may be patterns."""
        return self.recorder.count(method, path, query=query)

    def clear(self) -> None:
        """Forget the requests and the tokens that were counted so far."""
        self.recorder.clear()
        self._grants.count = 0

    def revoke_tokens(self) -> None:
        """Make every token that was issued invalid."""
        self._grants.revoke_all()
