"""A capture over four workers of Celery, whose processes and broker are killed: the short form of :mod:`.kills`."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from tests.drillster import Faults, Sandbox
from tests.support.object_store import ObjectStore

from .cluster import SHARDS, Cluster, cluster, requests_of
from .kills import Kills

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1200)]
QUIET = Faults(latency=0.02)


@contextmanager
def kills_on(broker: str, folder: Path, store: ObjectStore, postgresql: str) -> Iterator[Kills]:
    with (
        Sandbox(accounts=60, seed=5, faults=QUIET) as sandbox,
        cluster(folder, sandbox, store, postgresql, broker) as running,
    ):
        # Four workers make what one process makes, with as many requests, or this fails.
        yield Kills(running, folder, random.Random(2026))


@pytest.fixture(scope="module")
def on_rabbitmq(tmp_path_factory: pytest.TempPathFactory, store: ObjectStore, postgresql_url: str) -> Iterator[Kills]:
    with kills_on("rabbitmq", tmp_path_factory.mktemp("rabbitmq"), store, postgresql_url) as kills:
        yield kills


@pytest.fixture(scope="module")
def on_redis(tmp_path_factory: pytest.TempPathFactory, store: ObjectStore, postgresql_url: str) -> Iterator[Kills]:
    with kills_on("redis", tmp_path_factory.mktemp("redis"), store, postgresql_url) as kills:
        yield kills


@pytest.mark.parametrize(
    "kinds", [("child", "broker"), ("worker", "daemon"), ("sealer",), ("orchestrator",)], ids=" and ".join
)
def test_a_run_ends_well_whatever_is_killed(on_rabbitmq: Kills, kinds: Sequence[str]) -> None:
    left = set(kinds)
    for _ in range(5):  # a run may have ended before the moment that was drawn
        killed, attempts, _ = on_rabbitmq.round([kind for kind in kinds if kind in left])
        assert attempts <= 2
        left -= {kind for kind, _ in killed}
        if not left:
            return
    assert not left


def test_a_run_that_is_killed_when_all_its_steps_have_ended_is_launched_again(on_rabbitmq: Kills) -> None:
    running = on_rabbitmq.cluster
    running.await_idle()
    running.empty()
    run_id = running.launch()

    def last(event: str) -> bool:
        found = {step for kind, step, _ in running.steps(run_id) if kind == event}
        return found >= {"publish_events", "write_report"}

    running.services.until(lambda: last("STEP_START"))
    orchestrator = running.orchestrator(run_id)
    assert orchestrator is not None
    os.kill(orchestrator, signal.SIGSTOP)
    running.services.until(lambda: last("STEP_SUCCESS"))
    os.kill(orchestrator, signal.SIGKILL)
    killed, again = running.ended(run_id)
    assert (killed.is_failure, again.is_success) == (True, True), running.errors(again.run_id)
    assert running.content() == on_rabbitmq.alone


def test_a_shard_that_is_delivered_twice_at_once_is_read_once(on_redis: Kills) -> None:
    running = on_redis.cluster
    running.empty()
    running.sandbox.change(latency=2.5)  # a shard takes longer than the visibility timeout
    run_id = running.launch()
    attempts = running.ended(run_id)
    running.sandbox.faults = QUIET
    starts = [step for kind, step, _ in running.steps(run_id) if kind == "STEP_START" and "_shard[" in step]
    assert len(starts) > 2 * SHARDS, starts
    assert [attempt.is_success for attempt in attempts] == [True]
    assert requests_of(running.sandbox) == on_redis.asked
    assert running.content() == on_redis.alone


def test_shards_that_the_queue_has_lost_fail_the_run_and_the_next_one_goes_on(on_redis: Kills) -> None:
    running = on_redis.cluster
    running.await_idle()
    running.empty()
    running.sandbox.change(latency=2.5)  # no shard ends before its worker is killed
    run_id = running.launch(max_runtime="60", max_retries="0")
    running.services.until(lambda: submitted(running, run_id) >= SHARDS)
    for worker in running.workers:
        worker.kill()
    with Redis.from_url(running.settings["DRILLSTER_CELERY_BROKER"]) as queue:
        queue.delete(*queue.keys("dagster*"), *queue.keys("unacked*"), "nothing")
    running.sandbox.faults = QUIET
    for worker in running.workers:
        worker.start()
    (lost,) = running.ended(run_id)
    assert lost.is_failure
    assert "Exceeded maximum runtime of 60 seconds" in messages(running, run_id)

    (again,) = running.ended(running.launch())
    assert again.is_success, running.errors(again.run_id)
    assert running.content() == on_redis.alone


def submitted(running: Cluster, run_id: str) -> int:
    """How many shards of the snapshot are in the queue, or were."""
    entries = running.instance.all_logs(run_id)
    return sum(
        "Submitting celery task" in entry.message and "snapshot_shard" in str(entry.step_key) for entry in entries
    )


def messages(running: Cluster, run_id: str) -> str:
    return "\n".join(entry.message for entry in running.instance.all_logs(run_id))
