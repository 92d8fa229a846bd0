"""What `check` says of the broker and the result backend of Celery: real servers, and none that is not there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drillster_pipeline.diagnostics.report import DiagnosticsReport, Estimate, Item
from drillster_pipeline.diagnostics.workers import BACKEND, BROKER, check_workers
from drillster_pipeline.errors import ExtraMissing, Refused, Unavailable
from drillster_pipeline.settings import Settings
from tests.orchestration.services import free_port
from tests.workers.brokers import await_port, broker_of

SECRET = "hidden-in-a-url"
pytestmark = pytest.mark.slow


def items_of(*, minutes: float = 0.0, **settings: object) -> dict[str, Item]:
    """The items of a check, by step."""
    report = DiagnosticsReport(datetime.now(UTC))
    if minutes:
        counts = dict.fromkeys(("requests", "groups", "memberships", "objectives", "received_bytes"), 1)
        report.estimate = Estimate(**counts, latency_ms=1.0, minutes=minutes, archive_bytes=1, warehouse_bytes=1)
    check_workers(report, Settings.model_validate({"executor": "celery", **settings}))
    assert SECRET not in str(report.items)
    return {item.step: item for item in report.items}


@contextmanager
def running(kind: str, folder: Path, *options: str) -> Iterator[str]:
    port = free_port()
    program, url = broker_of(kind, folder, port, *options)
    program.start()
    try:
        await_port(port)
        yield url
    finally:
        program.stop()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running("redis", tmp_path_factory.mktemp("redis")) as url:
        yield url


def test_where_all_steps_are_in_one_process_nothing_is_checked() -> None:
    assert items_of(executor="in_process") == {}


def test_a_redis_that_keeps_what_it_has_is_right_for_both(redis: str) -> None:
    items = items_of(celery_broker=redis, celery_backend=redis, minutes=20)
    assert {items[name].status for name in (BROKER, BACKEND)} == {"ok"}


@pytest.mark.parametrize(
    ("options", "status", "found"),
    [
        (["--appendonly", "no"], "failed", "in memory alone"),
        (["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"], "failed", "(maxmemory-policy allkeys-lru)"),
        (["--rename-command", "CONFIG", ""], "ok", "keeps what it has"),
        (["--rename-command", "INFO", ""], "warning", "INFO is refused"),
        (["--requirepass", "another"], "failed", "can't be used"),
    ],
    ids=["in memory", "evicts", "no CONFIG", "no INFO", "another password"],
)
def test_a_redis_that_may_forget_is_refused(tmp_path: Path, options: list[str], status: str, found: str) -> None:
    with running("redis", tmp_path, *options) as url:
        named = url.replace("//", f"//:{SECRET}@") if "--requirepass" in options else url
        items = items_of(celery_broker=named, celery_backend=named)
    for item in (items[BROKER], items[BACKEND]):
        assert (item.status, found in item.found) == (status, True), item
        assert item.status == "ok" or item.advice or "Check that it is up" in item.found
        refusal = Unavailable if found == "can't be used" else Refused
        assert item.exit_code == (refusal.exit_code if status == "failed" else 0)


def test_a_shard_that_redis_gives_away_while_it_is_read_is_refused(redis: str) -> None:
    items = items_of(celery_broker=redis, celery_backend=redis, celery_visibility_timeout=1200, minutes=21)
    assert (items[BROKER].status, items[BROKER].exit_code) == ("failed", Refused.exit_code)
    assert "DRILLSTER_CELERY_VISIBILITY_TIMEOUT to more than 1260" in str(items[BROKER].advice)
    assert items[BACKEND].status == "ok"


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_does_not_answer_is_a_sentence(scheme: str) -> None:
    url = f"{scheme}://user:{SECRET}@127.0.0.1:{free_port()}/0"
    items = items_of(celery_broker=url, celery_backend=f"db+postgresql+psycopg://user:{SECRET}@127.0.0.1:1/results")
    for name in (BROKER, BACKEND):
        assert items[name].exit_code == Unavailable.exit_code
        assert items[name].found.endswith(f"address, user and password in {name}")


@pytest.mark.deep
def test_results_in_a_database_outlive_the_broker(redis: str, postgresql_url: str) -> None:
    url = postgresql_url.replace("postgresql://", "db+postgresql+psycopg://")
    assert items_of(celery_broker=redis, celery_backend=url)[BACKEND].found.startswith("postgresql answers")
    in_file = items_of(celery_broker=redis, celery_backend=f"db+sqlite:///{SECRET}")[BACKEND]
    assert (in_file.status, in_file.exit_code) == ("failed", Refused.exit_code)


def test_what_is_missing_is_not_tried(redis: str) -> None:
    items = items_of(celery_broker=redis)
    assert (items[BROKER].status, items[BACKEND].status) == ("ok", "skipped")


def test_places_on_one_machine_are_named(tmp_path: Path) -> None:
    on_disk = items_of(executor="k8s", archive_url=f"file://{tmp_path}", reports_folder="memory://bucket/reports")
    assert list(on_disk) == ["shared places"]
    assert on_disk["shared places"].status == "warning"
    assert "DRILLSTER_ARCHIVE_URL, DRILLSTER_WAREHOUSE_URL: on the disk" in on_disk["shared places"].found
    shared = {
        "archive_url": "memory://bucket",
        "reports_folder": "memory://bucket",
        "warehouse_url": "postgresql://host/db",
    }
    assert items_of(executor="k8s", **shared)["shared places"].status == "ok"


def test_without_the_extra_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kombu.connection", None)
    items = items_of(celery_broker="amqp://host//", celery_backend="redis://host/0")
    for name in (BROKER, BACKEND):
        assert "drillster-pipeline[celery]" in items[name].found
        assert items[name].exit_code == ExtraMissing.exit_code


@pytest.mark.deep
def test_rabbitmq_keeps_its_queue_and_has_a_limit_of_its_own(tmp_path: Path) -> None:
    with running("rabbitmq", tmp_path) as url:
        backend = "db+sqlite:///file"
        assert items_of(celery_broker=url, celery_backend=backend, minutes=20)[BROKER].status == "ok"
        long = items_of(celery_broker=url, celery_backend=backend, minutes=40)[BROKER]
        assert (long.status, "consumer_timeout" in str(long.advice)) == ("warning", True)
        stranger = items_of(celery_broker=url.replace("guest:guest", f"guest:{SECRET}"), celery_backend=backend)
    assert stranger[BROKER].exit_code == Unavailable.exit_code
