"""The real thing: a webserver and a daemon as processes, driven as the UI drives them."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import dagster as dg
import pytest

from drillster_pipeline.dates import newest_complete
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from tests.support.webhooks import Webhook, running_webhook

from .houses import AMSTERDAM, House, found_in, night_after, people_of, secrets_of
from .services import Services, daemon_of, webserver_of

ASSETS = [f"drillster/{name}" for name in RESOURCES] + [f"warehouse/{name}" for name in DATA_TABLES]
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


def dated(run: dict[str, Any]) -> str:
    return str(run["tags"]["dagster/asset_partition_range_start"])


def process_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process of a run, once its events are published and its snapshot is what it waits with."""
    logs = instance.all_logs(run_id)
    started = [entry.step_key for entry in logs if entry.dagster_event_type is dg.DagsterEventType.STEP_START]
    pid = next((found for entry in logs if (found := re.search(r"\(pid: (\d+)\)", entry.message))), None)
    return int(pid[1]) if pid and "publish_snapshot" in started else None


def warehouse_is_held(house: House, run_id: str) -> bool:
    """Whether a run holds the writers' lock: it has staged, or is about to."""
    lock = house.folder / "new.sqlite.lock"
    return lock.exists() and run_id in lock.read_text()


@pytest.mark.timeout(400)
def test_a_backfill_goes_on_past_a_refused_date_and_a_killed_process(house: House) -> None:
    newest = newest_complete(datetime.now(UTC), AMSTERDAM)
    missed, captured = newest - timedelta(days=2), newest - timedelta(days=1)  # no gap is left to the sensor
    house.set(DRILLSTER_FIRST_EXPORT_DATE=str(missed))
    house.at(night_after(captured))
    assert house.night(captured).success
    expected, people = house.counts(), people_of(house)
    house.use_warehouse("new.sqlite")
    house.at(datetime.now(UTC))
    house.sandbox.clear()

    with running_webhook() as hook, served(house, hook) as services:
        backfill = services.backfill([str(missed), str(captured)], ASSETS)
        with daemon_of(house, services), house.on_disk() as instance:
            kill_while_publishing(house, services, instance, str(captured))
            runs = services.until(lambda: all_ended(services, 3), seconds=120)

            # One message when all of it has ended: the refusal, and not the process that was killed and begun again.
            (text,) = services.until(lambda: told_of_nights(hook), seconds=150)
            assert f"The backfill {backfill} failed for 1 of 2 dates. {missed}: {missed} was never captured" in text
            assert str(captured) not in text.partition("What can still be done")[0]

            # The date that was never captured: a refusal that says why, and its events all the same.
            refused, killed, again = sorted(runs, key=lambda run: (dated(run), run["startTime"]))
            assert (dated(refused), refused["status"]) == (str(missed), "FAILURE")
            told = [entry.dagster_event for entry in instance.all_logs(refused["runId"]) if entry.level >= 40]
            assert f"{missed} was never captured" in str(told)

            # The killed process is found, its run has failed, and the daemon has begun it again by itself.
            assert (killed["status"], again["status"]) == ("FAILURE", "SUCCESS")
            assert "SIGKILL" in str([entry.message for entry in instance.all_logs(killed["runId"])])
            assert again["parentRunId"] == killed["runId"]
            assert {run["tags"]["dagster/backfill"] for run in runs} == {backfill}
            pools = {(pool.name, pool.limit) for pool in instance.event_log_storage.get_pool_limits()}
            assert pools == {("drillster", 1)}
    assert one_after_the_other(runs)
    assert len(told_of_nights(hook)) == 1

    # Nothing was asked but for the events of the missed date; the rest came from the archive.
    asked = {
        re.sub(r"/[\w-]{20,}", "/*", record.path) for record in house.sandbox.requests if "oauth" not in record.path
    }
    assert asked == {"/api/2.1.1/groups", "/api/2.1.1/group/*/objectives", "/api/2.1.1/objectives/*/events"}
    loads = house.rows("SELECT kind, export_date FROM loads ORDER BY 2, 1")
    assert loads == [("events", str(missed)), ("events", str(captured)), ("snapshot", str(captured))]
    counts = house.counts()
    assert {name: counts[name] for name in counts if name not in {"objective_events", "accounts"}} == {
        name: expected[name] for name in counts if name not in {"objective_events", "accounts"}
    }
    assert house.rows("SELECT count(*) FROM sqlite_master WHERE name LIKE '%stag%'") == [(0,)]

    written = b"".join(
        path.read_bytes() for top in (house.home, services.logs) for path in top.rglob("*") if path.is_file()
    )
    assert b"was never captured" in written
    assert found_in(written, [*secrets_of(house), *people]) == []


@contextmanager
def served(house: House, hook: Webhook) -> Iterator[Services]:
    """A webserver, and a webhook that all of its processes know."""
    house.set(DRILLSTER_ALERT_WEBHOOK=hook.url)
    with webserver_of(house) as services:
        yield services


def told_of_nights(hook: Webhook) -> list[str]:
    """What the webhook got, but for a warehouse that may be stale, by the hour at which this runs."""
    return [message["text"] for message in hook.got if "is stale" not in message["text"]]


def kill_while_publishing(house: House, services: Services, instance: dg.DagsterInstance, day: str) -> None:
    """Hold up the publish of a date from outside, and SIGKILL the process that waits there."""
    with house.warehouse():
        pass  # its tables are made
    services.until(lambda: [run for run in services.runs() if dated(run) < day and run["status"] in ENDED])
    with closing(sqlite3.connect(house.folder / "new.sqlite", isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        (run,) = services.until(lambda: [run for run in services.runs() if dated(run) == day and run["startTime"]])
        process = services.until(lambda: process_of(instance, run["runId"]))
        services.until(lambda: warehouse_is_held(house, run["runId"]))
        os.kill(process, signal.SIGKILL)
        intruder.execute("ROLLBACK")


def all_ended(services: Services, number: int) -> list[dict[str, Any]] | None:
    runs = services.runs()
    return runs if len(runs) == number and all(run["status"] in ENDED for run in runs) else None


def one_after_the_other(runs: list[dict[str, Any]]) -> bool:
    """Whether no run began before the one before it had ended: the pool has one slot.

    Give or take a moment: Dagster may give a slot to the next run just before it has noted the end of the last.
    """
    spans = sorted((run["startTime"], run["endTime"]) for run in runs)
    return all(earlier[1] <= later[0] + 0.5 for earlier, later in pairwise(spans))
