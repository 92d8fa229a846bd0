"""The one resource of an organization: what the steps of a run share, and the lock by which a dead run is found."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.dates import wall_clock
from drillster_pipeline.organization import Organization
from drillster_pipeline.pipeline.context import PipelineContext

if TYPE_CHECKING:
    from drillster_pipeline.errors import PipelineError


RESOURCE = "drillster"
"""Its name, where there is one organization."""


class RunContext:
    """The pipeline of this process, opened at the first use, and what the command shows of a run."""

    def __init__(
        self,
        organization: Organization | None = None,
        *,
        on_progress: Callable[[Any], None] = lambda _: None,
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        self.organization = organization or Organization()
        self.on_progress = on_progress
        self.errors: dict[str, PipelineError] = {}
        """What steps failed with, by the name of the step: for the exit code of the command."""
        self.rows: dict[str, int] = {}
        """Rows per published table, of this date."""
        self.warnings: list[str] = []
        """Checks that did not pass: which, and what they say."""
        self._now = now

    @cached_property
    def pipeline(self) -> PipelineContext:
        """The pipeline. Raises SettingsError with everything that is wrong in the settings."""
        organization = self.organization
        return PipelineContext(settings=organization.load(), tables=organization.tables, now=self._now)

    def close(self) -> None:
        """Close what was opened."""
        if "pipeline" in vars(self):
            self.pipeline.close()


def drillster(organization: Organization) -> dg.ResourceDefinition:
    """What the steps of a run share. Nothing is configured in Dagster, so that no secret can be shown there.

    One source of tokens serves the complete run: a token is valid for about an hour, and is renewed ahead of its end
    while other requests continue. The lock of the run is here where its steps share a process. Elsewhere it is not a
    step's: with the end of the step it would be gone, and a run whose own process is dead would never be found.
    """

    def opened(context: dg.InitResourceContext) -> Iterator[RunContext]:
        settings, _ = organization.read()
        with ExitStack() as stack:
            if settings.executor == "in_process" and context.instance is not None and context.run is not None:
                stack.enter_context(run_lock(context.instance, context.run.run_id))
            yield stack.enter_context(closing(RunContext(organization)))

    description = "Drillster, its archive and the warehouse, as the DRILLSTER_… settings say."
    return dg.ResourceDefinition(opened, description=description)


@contextmanager
def run_lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Lock a file while this process works on a run; the kernel unlocks it with the end of the process.

    Dagster's code server notices when the process of a run dies, unless it ends as well (a power cut, a replaced
    container), or a command made the run. The files are in Dagster's storage folder, which outlives a container. A run
    goes on without a lock that it can't have.
    """
    path = _folder(instance) / run_id
    with ExitStack() as stack:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if _try_lock(stack.enter_context(path.open("ab"))):
                stack.callback(_remove, path)
        yield


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark every run as failed whose file is there and not locked: its process is gone. Returns their ids."""
    dead = []
    for path in sorted(_folder(instance).glob("*")):
        # A run removes its file, unlocks it, and only then ends: a file that was removed proves nothing.
        with suppress(FileNotFoundError), path.open("r+b") as file:
            if not _try_lock(file) or not path.exists():
                continue
            run = instance.get_run_by_id(path.name)
            if run is not None and not run.is_finished:
                message = "Its process is gone: it was killed, or the machine or container went down."
                instance.report_run_failed(run, message)
                dead.append(run.run_id)
            _remove(path)
    return dead


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.storage_directory()) / "drillster_runs"


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
