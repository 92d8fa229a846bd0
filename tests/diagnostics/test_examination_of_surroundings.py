"""What a night needs beside Drillster: a store, alerts, Dagster, and a file of settings that is nobody else's."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import fsspec
import pytest
import sqlalchemy as sa
from dagster._daemon.types import DaemonHeartbeat

from drillster_pipeline.diagnostics import Examination, Report, Status
from drillster_pipeline.diagnostics.report import Notes
from drillster_pipeline.diagnostics.scheduling import examine_daemon
from drillster_pipeline.orchestration.home import describe_home
from tests.archive.object_store import object_store
from tests.drillster import Sandbox
from tests.orchestration.houses import REPOSITORY
from tests.warehouse import postgresql
from tests.webhooks import running_webhook

from .examined import Examine, step, steps


def test_every_alert_url_and_the_heartbeat_are_tried_only_when_asked_for(sandbox: Sandbox) -> None:
    def found(report: Report) -> list[str]:
        return [each.found for each in report.findings if each.step in {"alerts", "heartbeat"}]

    with running_webhook() as hook:
        environ = {
            **sandbox.environment(),
            "DRILLSTER_ALERT_WEBHOOK": hook.url,
            "DRILLSTER_ALERT_URLS": f"{hook.url.replace('http', 'json', 1)} mailto://u:very-secret@127.0.0.1:9?"
            "smtp=127.0.0.1&from=a@example.org&to=b@example.org",
            "DRILLSTER_HEARTBEAT_URL": hook.url,
        }
        assert len(found(Examination(environ=environ).run())) == 4
        assert (hook.asked, hook.pings) == (0, 0)
        report = Examination(environ=environ, send_alert=True).run()
        assert found(report) == [
            "DRILLSTER_ALERT_WEBHOOK took a test message",
            "DRILLSTER_ALERT_URLS 1 (json) took a test message",
            "DRILLSTER_ALERT_URLS 2 (mailto) failed: ConnectionRefusedError.",
            "DRILLSTER_HEARTBEAT_URL took a test message",
        ]
        assert (len(hook.got), hook.pings, report.exit_code) == (2, 1, 4)
        hook.status = 404
        assert found(Examination(environ=environ, send_alert=True).run())[3].endswith("failed: status 404.")
    assert "very-secret" not in repr(report)


def test_an_archive_in_an_object_store_is_tried_and_left_as_it_was(examine: Examine) -> None:
    with object_store() as store:
        bucket = store.bucket()
        report = examine(DRILLSTER_ARCHIVE_URL=f"s3://{bucket}/nights")
        assert step(report, "archive").status is Status.OK
        assert "names no limit" in next(each.found for each in report.findings if each.step == "room")
        assert fsspec.filesystem("s3").find(bucket) == []
        report = examine(DRILLSTER_ARCHIVE_URL="s3://no-such-bucket-of-ours/nights")
        assert step(report, "archive").status is Status.FAILED
        assert report.exit_code == 4


@pytest.mark.parametrize(
    ("exists", "silent", "status", "words"),
    [
        (False, None, Status.OK, "nothing has run there yet"),
        (True, None, Status.OK, "no daemon has run there"),
        (True, 20.0, Status.OK, "the daemon runs"),
        (True, 7200.0, Status.WARNING, "no sign of life for 2 h"),
    ],
)
def test_a_daemon_that_is_silent_is_noticed(exists: bool, silent: float | None, status: Status, words: str) -> None:
    report = Report(datetime.now(UTC))
    told = {"home": "set", "exists": exists, "storage": "sqlite", "silent_seconds": silent}
    examine_daemon(Notes(report), lambda: told)
    assert step(report, "Dagster").status is status
    assert words in step(report, "Dagster").found


def test_a_storage_of_dagster_that_is_down_is_told_without_its_words() -> None:
    def down() -> dict[str, object]:
        raise OSError("user noor of the database oak")

    report = Report(datetime.now(UTC))
    examine_daemon(Notes(report), down)
    assert report.exit_code == 4
    assert "noor" not in repr(report.findings)


def test_dagster_is_asked_without_making_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert describe_home()["exists"] is False
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    assert describe_home()["exists"] is False
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.get_runs()
    made = sorted(tmp_path.rglob("*"))
    told = describe_home()
    assert (told["exists"], told["storage"], told["silent_seconds"]) == (True, "sqlite", None)
    assert sorted(tmp_path.rglob("*")) == made


def test_sqlite_in_another_folder_is_not_made_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("RECORDS", str(tmp_path / "records"))
    (tmp_path / "dagster.yaml").write_text("storage:\n  sqlite:\n    base_dir:\n      env: RECORDS\n")
    assert describe_home()["exists"] is False
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]


def test_the_database_of_dagster_is_asked_without_making_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copyfile(REPOSITORY / "deploy" / "dagster.yaml", tmp_path / "dagster.yaml")
    with postgresql.server() as url, postgresql.engine(url).connect() as connection:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", url.replace("postgresql://", "postgresql+psycopg2://"))

        def tables() -> int:
            return len(sa.inspect(connection).get_table_names())

        assert (describe_home()["exists"], tables()) == (False, 0)
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 500, "SENSOR", "an-id", []))
        before = tables()
        assert before > 10
        sa.inspect(connection).clear_cache()
        told = describe_home()
        assert (told["exists"], told["storage"], tables()) == (True, "postgres", before)
        assert told["silent_seconds"] == pytest.approx(500, abs=60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dagster.yaml"]


@pytest.mark.skipif(not hasattr(os, "chown"), reason="no owners of files here")
def test_a_file_with_secrets_that_everybody_may_read_is_noticed(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.touch()
    file.chmod(0o644)
    somebody = os.getuid() or 4711
    if os.getuid() == 0:
        os.chown(file, somebody, -1)
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    assert step(examine(), ".env").advice == "chmod 600 .env"
    file.chmod(0o600)
    assert ".env" not in steps(examine())
