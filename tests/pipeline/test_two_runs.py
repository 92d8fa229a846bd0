"""Several runs at once, each in a process of its own: one waits or says why not, and none harms what another does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from tests.drillster import Faults, Sandbox
from tests.support.installation import DAY, NOW, Installation

from .processes import run, start

pytestmark = pytest.mark.slow
BEFORE, OLD = DAY - timedelta(days=1), DAY - timedelta(days=8)


@pytest.fixture(params=["folder", pytest.param("object store", marks=pytest.mark.deep)])
def installation(request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path) -> Iterator[Installation]:
    """The processes of all runs use it; in an object store they may be on several hosts."""
    settings = {"DRILLSTER_ARCHIVE_DAYS": "3"}
    if request.param == "object store":
        settings["DRILLSTER_ARCHIVE_URL"] = f"s3://{request.getfixturevalue('store').bucket()}/archive"
    sandbox.faults = Faults()
    with Installation(tmp_path, sandbox, **settings) as made:
        yield made


def at_once(installation: Installation, *runs: list[tuple[str, str, str]]) -> list[list[str]]:
    """What becomes of the works of each run, which begin at the same moment: ``done``, or that another is busy."""
    processes = [start(installation, run, *works) for works in runs]
    results = [process.result() for process in processes]
    for result in (result for some in results for result in some):
        assert result == "done" or (result.startswith("Busy: ") and "wait for it to end, then run again" in result)
    return results


def both(day: object) -> list[tuple[str, str, str]]:
    return [("run", "snapshot", str(day)), ("run", "events", str(day))]


def content(context: PipelineContext) -> dict[str, Any]:
    with context.warehouse.reading() as (connection, tables):
        return {
            name: sorted(
                str([value for key, value in row.items() if key not in {"load_id", "loaded_at", "captured_at"}])
                for row in connection.execute(tables(name).select()).mappings()
            )
            for name in ("accounts", "groups", "results", "objective_events")
        }


def test_runs_of_the_same_date_and_of_another_beside_a_prune_end_as_one_after_the_other(
    installation: Installation, sandbox: Sandbox, tmp_path: Path
) -> None:
    installation.at(NOW - timedelta(days=8))
    installation.capture("events", OLD)
    installation.at(NOW)
    sandbox.faults = Faults(latency=0.03)
    prune = ("prune", "", "")
    results = at_once(installation, both(DAY), [*both(DAY), prune], [("run", "events", str(BEFORE)), prune])
    assert any(some[0] == "done" for some in results[:2]), results
    sandbox.faults = Faults()
    context = installation.context
    installation.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{tmp_path}/alone.sqlite")
    for kind, day in (("events", BEFORE), ("snapshot", DAY), ("events", DAY)):
        capture(context, kind, day)
        publish(context, kind, day, run_id="again")
        installation.publish(kind, day)
    assert content(context) == content(installation.context)
    assert context.archive.dates() == [BEFORE, DAY]
    assert all(ref.sealed for ref in context.archive.captures(DAY))


@pytest.mark.parametrize("installation", ["folder"], indirect=True)
def test_a_person_who_is_forgotten_while_runs_replay_their_date_stays_forgotten(installation: Installation) -> None:
    installation.at(NOW - timedelta(days=1))
    installation.load_both(BEFORE)
    account, *_ = installation.query("SELECT account_id FROM results")[0]
    installation.at(NOW)
    (forgotten,), *_ = at_once(installation, [("forget", "", account)], both(BEFORE), both(BEFORE))
    assert forgotten == "done"
    for kind in ("snapshot", "events"):
        installation.publish(kind, BEFORE)
    assert account not in str(content(installation.context))
    assert [found for found in installation.files_with(account) if found.startswith("archive")] == []
