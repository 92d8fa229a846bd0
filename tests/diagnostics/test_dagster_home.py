"""Describing Dagster's home creates nothing there, neither files nor tables."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._daemon.types import DaemonHeartbeat

from drillster_pipeline.orchestration.home import describe_home
from tests.orchestration.houses import REPOSITORY
from tests.support.databases import postgresql_engine, postgresql_server


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
    with postgresql_server() as url, postgresql_engine(url).connect() as connection:
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
