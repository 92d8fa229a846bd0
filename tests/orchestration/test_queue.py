"""Which run is launched next, by Dagster's own scheduler, backfill and queue daemons, called without waiting.

Only the launcher is not real: it records which run it was given. A run then is in progress until the test ends it.
"""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import consume_new_runs_for_automatic_reexecution
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._scheduler.scheduler import launch_scheduled_runs

from drillster_pipeline.orchestration.in_process import run_nightly
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Faults
from tests.support.installation import DAY, FIRST, Installation, night_after

LOGGER = logging.getLogger(__name__)
CAPTURED = [dg.AssetKey(["drillster", name]) for name in RESOURCES]
PUBLISHED = [dg.AssetKey(["warehouse", name]) for name in DATA_TABLES]
DATES = [str(FIRST + timedelta(days=index)) for index in range(5)]
pytestmark = [
    pytest.mark.deep,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Dagster's own calls
]


@pytest.fixture(autouse=True)
def code_servers_are_gone() -> Iterator[None]:
    """Dagster ends the code servers of a workspace and never waits for them; Python warns of that in a later test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@dataclass
class Daemons:
    """Dagster's daemons on one instance."""

    context: WorkspaceProcessContext
    queue: QueuedRunCoordinatorDaemon = field(default_factory=lambda: QueuedRunCoordinatorDaemon(interval_seconds=1))

    @property
    def instance(self) -> dg.DagsterInstance:
        return self.context.instance

    def backfill(self, name: str, dates: list[str], assets: list[dg.AssetKey]) -> None:
        """Ask for a backfill, and have all of its runs submitted to the queue."""
        self.instance.add_backfill(
            PartitionBackfill.from_asset_partitions(
                backfill_id=name,
                asset_graph=self.context.create_request_context().asset_graph,
                partition_names=dates,
                asset_selection=assets,
                backfill_timestamp=datetime.now(UTC).timestamp(),
                tags={},
                dynamic_partitions_store=self.instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        )
        list(execute_backfill_iteration(self.context, LOGGER))

    def tick(self, day: date) -> None:
        """Let the schedule be evaluated from an hour before its tick to a minute after."""
        for minutes in (-60, 1):
            moment = night_after(day).astimezone(UTC) + timedelta(minutes=minutes)
            list(launch_scheduled_runs(self.context, LOGGER, moment, {}))

    def launch(self) -> list[dg.DagsterRun]:
        """What the queue launches now."""
        before = len(self.launched())
        list(self.queue.run_iteration(self.context))
        return self.launched()[before:]

    def launched(self) -> list[dg.DagsterRun]:
        launcher: Any = self.instance.run_launcher
        return list(launcher.queue())

    def queued(self) -> int:
        return self.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))

    def end(self, run: dg.DagsterRun) -> None:
        """Its process starts, and comes to its end."""
        for kind in (dg.DagsterEventType.RUN_START, dg.DagsterEventType.RUN_SUCCESS):
            self.instance.report_dagster_event(dg.DagsterEvent(kind.value, run.job_name), run.run_id)


@contextmanager
def daemons(installation: Installation) -> Iterator[Daemons]:
    """The daemons on an instance with the settings of the repository's dagster.yaml."""
    settings = yaml.safe_load((installation.home / "dagster.yaml").read_text())
    settings["run_launcher"] = {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
    (installation.home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    target = ModuleTarget(
        "drillster_pipeline.definitions", attribute=None, working_directory=None, location_name="drillster"
    )
    with installation.on_disk() as instance, create_test_daemon_workspace_context(target, instance) as context:
        made = Daemons(context)
        # Dagster makes a pool when it first launches a run of it, and counts by it from then on.
        made.backfill("earlier", DATES[:1], [*CAPTURED, *PUBLISHED])
        made.end(*made.launch())
        yield made


def test_the_nightly_run_goes_next_before_backfills_that_take_turns_and_waits_for_the_command_alone(
    installation: Installation,
) -> None:
    """A backfill of captures and one of tables need different things, and together all that the nightly run needs."""
    with daemons(installation) as dagster:
        dagster.backfill("captures", DATES[:3], CAPTURED)
        dagster.backfill("tables", DATES[:3], PUBLISHED)
        (first,) = dagster.launch()
        dagster.tick(DAY)
        assert dagster.launch() == []
        dagster.end(first)
        (nightly,) = dagster.launch()
        assert nightly.tags["dagster/schedule_name"] == "nightly"
        assert nightly.tags["dagster/partition"] == str(DAY)

        # Its process is killed: Dagster's own retry of it does not queue up behind the backfills either.
        dagster.instance.report_run_failed(nightly)
        dead = dagster.instance.get_run_records(dg.RunsFilter(run_ids=[nightly.run_id]))
        list(consume_new_runs_for_automatic_reexecution(dagster.context, dead, LOGGER))
        (again,) = dagster.launch()
        assert again.parent_run_id == nightly.run_id
        dagster.end(again)

        # While the command runs a date, the queue launches nothing.
        launched: list[dg.DagsterRun] = []
        queued: list[int] = []

        def progress(_: object) -> None:
            queued.append(dagster.queued())
            launched.extend(dagster.launch())

        installation.sandbox.faults = Faults(latency=0.01)
        context = installation.run_context(on_progress=progress)
        assert run_nightly(dagster.instance, DAY, run=context, only_events=True).success
        assert set(queued) == {5}
        assert launched == []
        (second,) = dagster.launch()
        assert second.tags["dagster/backfill"]
