"""The sandbox that tests run: it misbehaves as its ``faults`` say, and records the requests."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from drillster_pipeline import sandbox
from drillster_pipeline.sandbox.oauth import Grants

from .app import FaultyDrillster
from .faults import Failure, Faults, FieldFault, PageFault
from .recorder import Record, Recorder


class Sandbox(sandbox.Sandbox):
    """A local Drillster with faults."""

    app: FaultyDrillster

    def __init__(self, *, faults: Faults | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.faults = faults or Faults()

    def application(self, grants: Grants) -> FaultyDrillster:
        """What answers the requests."""
        return FaultyDrillster(self.organization, grants, self._step)

    @property
    def faults(self) -> Faults:
        """How the sandbox misbehaves. Setting it (also to the same faults) starts all counts anew."""
        return self.app.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.app.set_faults(faults)

    def idle_faults(self) -> list[Failure | PageFault | FieldFault]:
        """The faults that have done nothing since they were set."""
        every: list[Failure | PageFault | FieldFault] = [*self.faults.failures, *self.faults.pages, *self.faults.fields]
        return [fault for fault in every if id(fault) not in self.app.fired]

    def change(self, **changes: Any) -> None:
        """Replace some of the faults: ``sandbox.change(latency=0.05)``."""
        self.faults = replace(self.faults, **changes)

    @property
    def recorder(self) -> Recorder:
        """The record of the requests."""
        return self.app.recorder

    @property
    def requests(self) -> list[Record]:
        """Every request so far, oldest first."""
        return list(self.recorder.records)

    def count(self, method: str | None = None, path: str = "*", *, query: str = "*") -> int:
        """How many requests there were; path and query may be patterns (``/api/2.1.1/group/*/members``)."""
        return sum(
            method in {None, record.method}
            and (path == record.path or fnmatchcase(record.path, path))
            and (query == record.query or fnmatchcase(record.query, query))
            for record in self.requests
        )

    def clear(self) -> None:
        """Forget the requests and the tokens that were counted so far."""
        self.recorder.clear()
        self.app.grants.count = 0
