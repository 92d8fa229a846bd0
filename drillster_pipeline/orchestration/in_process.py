"""A job in this process: the same assets and the same Dagster instance that the UI shows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache

import dagster as dg

from drillster_pipeline.errors import PipelineError, gravest_exit_code

from .definitions import definitions_of
from .names import ALONE, Names
from .resources import RESOURCE, RunContext, fail_dead_runs, run_lock
from .specs import EVENTS, NIGHTLY


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run of a job came to."""

    run_id: str
    success: bool
    errors: tuple[PipelineError, ...]
    """Errors that we know, in the order they came."""
    unexpected: tuple[str, ...]
    """Steps that failed with anything else."""
    rows: Mapping[str, int]
    """Rows per published table, of this date."""
    warnings: tuple[str, ...]
    """Checks that did not pass: which, and what they say."""

    @property
    def exit_code(self) -> int:
        """The code of the command line: 0, or that of the gravest error."""
        if self.success:
            return 0
        if self.unexpected or not self.errors:
            return 1
        return gravest_exit_code(self.errors)


@cache
def _definitions(names: Names) -> dg.Definitions:
    return definitions_of(names, retry_policy=None, in_one_process=True)


def run_nightly(
    instance: dg.DagsterInstance,
    export_date: date,
    *,
    run: RunContext,
    names: Names = ALONE,
    allow_mass_delete: bool = False,
    capture_again: bool = False,
    only_events: bool = False,
) -> RunResult:
    """Run the job for one export date, without waiting for another attempt. Raises nothing that a step raised."""
    kinds = ("events",) if only_events else ("snapshot", "events")
    options = {"capture": {"capture_again": capture_again}, "publish": {"allow_mass_delete": allow_mass_delete}}
    run_id = str(uuid.uuid4())
    fail_dead_runs(instance)
    job = _definitions(names).resolve_job_def(names.of(EVENTS if only_events else NIGHTLY))
    known = {node.name for node in job.nodes}
    steps = {names.of(f"{work}_{kind}"): config for work, config in options.items() for kind in kinds}
    try:
        with run_lock(instance, run_id):
            result = job.execute_in_process(
                instance=instance,
                partition_key=str(export_date),
                raise_on_error=False,
                run_id=run_id,
                resources={names.of(RESOURCE): run},
                run_config={
                    "ops": {step: {"config": config} for step, config in steps.items() if step in known},
                    # What an operator needs is printed by the command; the complete log is in the UI.
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            )
    finally:
        run.close()
    failed = [event.step_key or "" for event in result.all_events if event.is_step_failure]
    return RunResult(
        run_id=run_id,
        success=result.success,
        errors=tuple(run.errors.values()),
        unexpected=tuple(step for step in failed if step not in run.errors),
        rows=run.rows,
        warnings=tuple(run.warnings),
    )
