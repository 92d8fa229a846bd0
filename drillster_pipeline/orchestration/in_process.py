"""The job ``nightly`` in this process: the same assets and the same Dagster instance that the UI shows."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from drillster_pipeline.errors import PipelineError

from .keys import EVENTS, NIGHTLY
from .resources import ConsoleResource, RunContext
from .run_lock import fail_dead_runs, run_lock

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run of the job came to."""

    run_id: str
    success: bool
    errors: tuple[PipelineError, ...]
    """Errors that we know, in the order they came."""
    unexpected: tuple[str, ...]
    """Steps that failed with anything else."""
    rows: Mapping[str, int]
    """Rows per published table, of this night."""
    warnings: tuple[str, ...]
    """Checks that did not pass: which, and what they say."""

    @property
    def exit_code(self) -> int:
        """The code of the command line: 0, or that of the gravest error."""
        if self.success:
            return 0
        codes = {error.exit_code for error in self.errors}
        if self.unexpected or not codes:
            return 1
        return next(code for code in (2, 3, 6, 5, 4, 1) if code in codes)


def run_nightly(
    instance: dg.DagsterInstance,
    export_date: date,
    *,
    run: RunContext,
    allow_mass_delete: bool = False,
    capture_again: bool = False,
    only_events: bool = False,
) -> RunResult:
    """Run the job for one export date. Raises nothing that a step raised: see :class:`RunResult`."""
    from drillster_pipeline.definitions import defs

    capture = {"config": {"capture_again": capture_again}}
    publish = {"config": {"allow_mass_delete": allow_mass_delete}}
    kinds = ("events",) if only_events else ("snapshot", "events")
    run_id = str(uuid.uuid4())
    fail_dead_runs(instance)
    try:
        with run_lock(instance, run_id):
            result = defs.resolve_job_def(EVENTS if only_events else NIGHTLY).execute_in_process(
                instance=instance,
                partition_key=str(export_date),
                raise_on_error=False,
                run_id=run_id,
                resources={"drillster": ConsoleResource(run)},
                run_config={
                    "ops": {
                        **{f"capture_{kind}": capture for kind in kinds},
                        **{f"publish_{kind}": publish for kind in kinds},
                    },
                    # What an operator needs is printed by the console; the whole log is in the UI.
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
        rows=_rows(result),
        warnings=_warnings(result),
    )


def _rows(result: dg.ExecuteInProcessResult) -> dict[str, int]:
    rows = {}
    for event in result.all_events:
        if event.event_type_value != "ASSET_MATERIALIZATION" or event.asset_key is None:
            continue
        folder, name = event.asset_key.path
        if folder == "warehouse":
            value = event.step_materialization_data.materialization.metadata["dagster/partition_row_count"].value
            rows[name] = int(str(value))
    return rows


def _warnings(result: dg.ExecuteInProcessResult) -> tuple[str, ...]:
    found = []
    for event in result.all_events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            if not check.passed:
                found.append(f"{check.asset_key.to_user_string()} {check.check_name}: {check.description}")
    return tuple(found)
