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
from tests.support.databases import postgresql_engine, postgresql_server
from tests.support.installation import REPOSITORY


def test_sqlite_files_are_read_and_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, records = tmp_path / "home", tmp_path / "records"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("RECORDS", str(records))
    assert describe_home()["exists"] is False
    for storage, folder in (("", home), ("storage:\n  sqlite:\n    base_dir:\n      env: RECORDS\n", records)):
        (home / "dagster.yaml").write_text(f"telemetry:\n  enabled: false\n{storage}")
        before = sorted(tmp_path.rglob("*"))
        assert describe_home()["exists"] is False
        assert sorted(tmp_path.rglob("*")) == before
        with dg.DagsterInstance.from_config(str(home)) as instance:
            instance.get_runs()
        before = sorted(tmp_path.rglob("*"))
        assert (folder / "history").exists()
        found = describe_home()
        assert (found["exists"], found["storage"], found["silent_seconds"]) == (True, "sqlite", None)
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_database_is_read_and_no_table_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        found = describe_home()
        assert (found["exists"], found["storage"], tables()) == (True, "postgres", before)
        assert found["silent_seconds"] == pytest.approx(500, abs=60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dagster.yaml"]
