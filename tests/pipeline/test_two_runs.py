"""Several runs at once, each in a process of its own: one waits or says why not, and none harms what another does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import Archive
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings
from tests.drillster import Faults, Sandbox
from tests.support.object_store import ObjectStore, object_store

NIGHT = datetime(2026, 6, 10, 0, 30, tzinfo=UTC)
DAY, BEFORE, OLD = date(2026, 6, 9), date(2026, 6, 8), date(2026, 6, 1)
ROOT = Path(__file__).parents[2]
RUN = """
import json, sys
from datetime import date, datetime
from drillster_pipeline.archive import lease
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.prune import prune
from drillster_pipeline.settings import load_settings
import drillster_pipeline.api.capture, drillster_pipeline.warehouse
lease.HEARTBEAT_SECONDS, lease.PATIENCE_SECONDS = 0.2, 5.0
moment, settings, works = datetime.fromisoformat(sys.argv[1]), load_settings(json.loads(sys.argv[2])), sys.argv[3:]
print("ready", flush=True)
sys.stdin.readline()
said = []
with PipelineContext(settings=settings, now=lambda: moment) as session:
    for what, kind, of in (work.split() for work in works):
        try:
            if what == "night":
                capture(session, kind, date.fromisoformat(of))
                publish(session, kind, date.fromisoformat(of), run_id="run")
            elif what == "forget":
                forget(session, of)
            else:
                prune(session)
            said.append("done")
        except PipelineError as error:
            said.append(f"{type(error).__name__}: {error}")
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(accounts=20, seed=5, now=NIGHT) as running:
        yield running


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


@pytest.fixture(params=["folder", "object store"])
def settings(request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """Of all runs; in an object store they may be of several hosts."""
    archive = str(tmp_path / "archive")
    if request.param == "object store":
        archive = f"s3://{request.getfixturevalue('store').bucket()}/archive"
    sandbox.faults = Faults()
    return {
        **sandbox.environment(),
        "DRILLSTER_ARCHIVE_URL": archive,
        "DRILLSTER_ARCHIVE_DAYS": "3",
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{tmp_path}/warehouse.sqlite",
    }


def opened(settings: dict[str, str], *, now: datetime = NIGHT) -> PipelineContext:
    return PipelineContext(settings=load_settings(settings), now=lambda: now)


def at_once(settings: dict[str, str], *runs: Sequence[str]) -> list[list[str]]:
    """Let runs begin at the same moment; what became of the works of each: ``done``, or an error."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, NIGHT.isoformat(), json.dumps(settings), *works],
            cwd=ROOT,
            env=dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for works in runs
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    answers = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        answer, _ = process.communicate(timeout=100)
        assert process.returncode == 0
        answers.append(json.loads(answer))
    return answers


def nights(day: date) -> list[str]:
    return [f"night snapshot {day}", f"night events {day}"]


def content(session: PipelineContext) -> dict[str, Any]:
    with session.warehouse.reading() as (connection, tables):
        names = ("accounts", "groups", "results", "objective_events")
        return {
            name: sorted(
                tuple(value for key, value in row.items() if key not in {"load_id", "loaded_at", "captured_at"})
                for row in connection.execute(tables(name).select()).mappings()
            ).__repr__()
            for name in names
        }


def check(said: str) -> None:
    assert said == "done" or (said.startswith("Busy: ") and "wait for it to end, then run again" in said), said


def test_runs_of_the_same_date_and_of_another_beside_a_prune_end_as_one_after_the_other(
    settings: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    alone = {**settings, "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{tmp_path}/alone.sqlite"}
    sandbox.now = NIGHT - timedelta(days=8)
    with opened(settings, now=sandbox.now) as session:
        capture(session, "events", OLD)
        assert session.archive.dates() == [OLD]
    sandbox.now = NIGHT
    sandbox.faults = Faults(latency=0.03)
    said = at_once(settings, nights(DAY), [*nights(DAY), "prune - -"], [f"night events {BEFORE}", "prune - -"])
    for answer in (word for words in said for word in words):
        check(answer)
    assert any(words[0] == "done" for words in said[:2]), said
    with opened(settings) as session, opened(alone) as other:
        for kind, day in (("events", BEFORE), ("snapshot", DAY), ("events", DAY)):
            capture(session, kind, day)
            publish(session, kind, day, run_id="again")
            publish(other, kind, day, run_id="alone")
        assert content(session) == content(other)
        assert session.archive.dates() == [BEFORE, DAY]
        assert all(ref.sealed for ref in session.archive.captures(DAY))


@pytest.mark.parametrize("settings", ["folder"], indirect=True)
def test_a_person_who_is_forgotten_while_nights_are_replayed_and_made_stays_forgotten(
    settings: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.now = NIGHT - timedelta(days=1)
    with opened(settings, now=sandbox.now) as session:
        for kind in ("snapshot", "events"):
            capture(session, kind, BEFORE)
            publish(session, kind, BEFORE, run_id="first")
        with session.warehouse.reading() as (connection, tables):
            results = tables("results")
            account = connection.execute(results.select().with_only_columns(results.c.account_id)).scalars().first()
    sandbox.now = NIGHT
    (forgotten,), *replays = at_once(settings, [f"forget - {account}"], nights(BEFORE), nights(BEFORE))
    assert forgotten == "done"
    for answer in (word for words in replays for word in words):
        check(answer)
    with opened(settings) as session:
        for kind in ("snapshot", "events"):
            publish(session, kind, BEFORE, run_id="last")
        assert account not in str(content(session))
        archive = Archive(settings["DRILLSTER_ARCHIVE_URL"])
        for ref in archive.captures(BEFORE):
            found = archive.open(ref)
            assert account not in str([list(found.pages(name)) for name in found.manifest["resources"]])
