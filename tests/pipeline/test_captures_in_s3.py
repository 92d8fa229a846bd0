"""The same with an archive in an object store, where a lease stands for the lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from drillster_pipeline.archive import Capture, lease
from drillster_pipeline.archive import object_store as remote
from drillster_pipeline.errors import Busy, Unavailable
from drillster_pipeline.pipeline.capture import How, capture
from tests.api.walking import expected, held
from tests.support.object_store import ObjectStore, object_store

from .captured import DAY, NOW, Nights


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


@pytest.fixture
def in_s3(nights: Nights, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Nights:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "PATIENCE_SECONDS", 0.4)
    nights.settings = {"DRILLSTER_ARCHIVE_URL": f"s3://{store.bucket()}/archive"}
    return nights


def test_an_archive_in_an_object_store_does_all_of_it(in_s3: Nights) -> None:
    in_s3.interrupt()
    outcome = in_s3.capture()
    assert outcome.how is How.RESUMED
    assert held(outcome.capture) == expected(in_s3.sandbox)
    assert in_s3.capture().how is How.KEPT
    in_s3.now = NOW + timedelta(days=1)
    assert in_s3.capture().how is How.REPLAYED
    assert in_s3.capture("events").how is How.CAPTURED
    # Nothing is left of the leases.
    storage = in_s3.session().archive.storage
    assert all(storage.names(f"{DAY}/{name}") == [] for name in storage.names(str(DAY)) if name.endswith(".lease"))


KILLED = """
import json, os, sys
from datetime import date, datetime
from drillster_pipeline.archive import lease, object_store
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import Settings, load_settings

lease.HEARTBEAT_SECONDS, object_store.RemoteStorage.part_seconds = 0.05, 0.0
order = json.loads(sys.stdin.readline())
now = datetime.fromisoformat(order["now"])
with PipelineContext(settings=load_settings(order["environment"]), now=lambda: now) as session:
    session.on_progress = lambda progress: print(progress.requests, flush=True)
    capture(session, "snapshot", date.fromisoformat(order["date"]))
"""


def test_a_process_that_lives_keeps_its_capture_and_one_that_was_killed_leaves_it(
    in_s3: Nights, store: ObjectStore
) -> None:
    in_s3.sandbox.change(latency=0.08)
    session = in_s3.session()
    order = {
        "now": NOW.isoformat(),
        "date": str(DAY),
        "environment": {
            **in_s3.sandbox.environment(),
            **in_s3.settings,
            "DRILLSTER_TIMEZONE": "UTC",
            "DRILLSTER_CONCURRENCY": "2",
        },
    }
    with subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **store.environment},
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        while int(process.stdout.readline()) < 8:
            pass
        with pytest.raises(Busy, match="Another run is capturing the snapshot"):
            capture(session, "snapshot", DAY)
        assert process.poll() is None
        process.kill()
    in_s3.sandbox.change(latency=0.0)
    before = {record.path for record in in_s3.sandbox.requests if record.status == 200}
    outcome = in_s3.capture()
    assert outcome.how is How.RESUMED
    assert held(outcome.capture) == expected(in_s3.sandbox)
    # What had gone up is not asked for again; that is nearly all, since each part goes up after a second here.
    again = {record.path for record in in_s3.sandbox.requests} & before
    assert len(again) < len(before) / 2
    assert len(in_s3.session().archive.captures(DAY)) == 1


def test_a_run_that_was_taken_for_dead_stops_and_spoils_nothing(in_s3: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.RemoteStorage, "part_seconds", 0.0)
    session = in_s3.session()
    storage = session.archive.storage
    with session.archive.locked(DAY, "snapshot") as check_lock:
        writer = session.archive.begin(DAY, "snapshot", {}, NOW, check_lock=check_lock)
        for name in storage.names(f"{DAY}/.snapshot.lease"):
            lease.break_stale_lease(storage, f"{DAY}/.snapshot.lease", name)  # as a run does that has watched in vain
        with pytest.raises(Busy, match="taken over"):
            writer.append("accounts", {}, 1, NOW, b"{}", footer=None)
    assert storage.names(f"{writer.ref.folder}/accounts") == []


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_that_was_taken_for_dead_does_not_seal_what_it_has_read(in_s3: Nights, resumed: bool) -> None:
    if resumed:
        in_s3.interrupt()
    session = in_s3.session()
    storage = session.archive.storage

    def take(_: object) -> None:  # called at the latest when all is read
        for name in storage.names(f"{DAY}/.snapshot.lease"):
            lease.break_stale_lease(storage, f"{DAY}/.snapshot.lease", name)

    session.on_progress = take
    with pytest.raises(Busy, match="taken over"):
        capture(session, "snapshot", DAY)
    assert session.archive.newest_sealed(DAY, "snapshot") is None


def test_a_store_that_gives_out_is_told_and_the_capture_is_gone_on_with(
    in_s3: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = remote.RemoteStorage.write

    def failing(storage: Any, name: str, content: bytes) -> None:
        if "part-" in name and "results" in name:
            raise Unavailable("The archive's storage failed while writing")
        write(storage, name, content)

    with monkeypatch.context() as patched:
        patched.setattr(remote.RemoteStorage, "write", failing)
        with pytest.raises(Unavailable, match="failed while writing"):
            in_s3.capture()
    outcome = in_s3.capture()
    assert outcome.how is How.RESUMED
    assert isinstance(outcome.capture, Capture)
    assert held(outcome.capture) == expected(in_s3.sandbox)
