"""Who goes next: Dagster's own scheduler, backfill and queue daemons, called one after the other, without waiting.

Only the launcher is not real: it notes which run it was given. A run then is in progress until the test ends it.
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

from .houses import DAY, FIRST, House, night_after

LOGGER = logging.getLogger(__name__)
CAPTURED = [dg.AssetKey(["drillster", name]) for name in RESOURCES]
PUBLISHED = [dg.AssetKey(["warehouse", name]) for name in DATA_TABLES]
ALL = [*CAPTURED, *PUBLISHED]
DATES = [str(FIRST + timedelta(days=index)) for index in range(5)]
pytestmark = [
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
def daemons(house: House) -> Iterator[Daemons]:
    """The daemons on the instance of the house, that of the repository's dagster.yaml."""
    settings = yaml.safe_load((house.home / "dagster.yaml").read_text())
    settings["run_launcher"] = {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
    (house.home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    target = ModuleTarget(
        "drillster_pipeline.definitions", attribute=None, working_directory=None, location_name="drillster"
    )
    with house.on_disk() as instance, create_test_daemon_workspace_context(target, instance) as context:
        made = Daemons(context)
        # Dagster makes a pool when it first meets a run of it, and counts by it from the next round on.
        made.backfill("earlier", DATES[:1], ALL)
        made.end(*made.launch())
        yield made


def is_nightly(run: dg.DagsterRun) -> bool:
    return run.tags.get("dagster/schedule_name") == "nightly"


def test_the_nightly_run_is_launched_next_while_a_backfill_is_under_way(house: House) -> None:
    with daemons(house) as dagster:
        dagster.backfill("all", DATES, ALL)
        (first,) = dagster.launch()
        assert dagster.queued() == len(DATES) - 1
        dagster.tick(DAY)
        assert dagster.launch() == []
        dagster.end(first)
        (nightly,) = dagster.launch()
        assert is_nightly(nightly)
        assert nightly.tags["dagster/partition"] == str(DAY)

        # Its process dies: Dagster's own retry of it does not queue up behind the backfill either.
        dagster.instance.report_run_failed(nightly)
        dead = dagster.instance.get_run_records(dg.RunsFilter(run_ids=[nightly.run_id]))
        list(consume_new_runs_for_automatic_reexecution(dagster.context, dead, LOGGER))
        (again,) = dagster.launch()
        assert again.parent_run_id == nightly.run_id
        dagster.end(again)
        (second,) = dagster.launch()
        assert second.tags["dagster/backfill"] == "all"


def test_two_backfills_that_take_turns_do_not_keep_the_nightly_run_waiting(house: House) -> None:
    """A backfill of captures and one of tables need different things, and between them hold all that a night needs."""
    with daemons(house) as dagster:
        dagster.backfill("captures", DATES[:3], CAPTURED)
        dagster.backfill("tables", DATES[:3], PUBLISHED)
        running = dagster.launch()
        assert running
        dagster.tick(DAY)
        while not any(is_nightly(run) for run in running):
            assert all(run.tags["dagster/backfill"] for run in running)
            done, *running = running
            dagster.end(done)
            launched = dagster.launch()
            assert launched, "nothing is launched"
            assert is_nightly(launched[0]) or running, "a run of a backfill was launched before the nightly run"
            running += launched
        assert is_nightly(dagster.launched()[2])  # after the one of the fixture, and the first of the backfills


def test_while_the_command_line_runs_a_night_the_queue_launches_nothing(house: House) -> None:
    launched: list[dg.DagsterRun] = []
    with daemons(house) as dagster:
        dagster.backfill("all", DATES[:2], ALL)
        seen = []

        def look(_: object) -> None:
            seen.append(dagster.queued())
            launched.extend(dagster.launch())

        house.sandbox.faults = Faults(latency=0.01)
        assert run_nightly(dagster.instance, DAY, run=house.run(on_progress=look)).success
        assert set(seen) == {2}
        assert launched == []
        assert len(dagster.launch()) == 1
