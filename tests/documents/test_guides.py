"""Every block of the pandas page, on SQLite and as an analyst on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from drillster_pipeline.cli.main import commands
from drillster_pipeline.warehouse import Warehouse
from tests.support.databases import Place, execute

from .month import LAST, SCHEMA
from .questions import blocks

SERVER = "postgresql+psycopg://analyst@db.example.org/warehouse"


pytestmark = pytest.mark.slow


@pytest.fixture
def analyst(dates_on_postgresql: Warehouse, postgresql_url: str) -> Iterator[sa.URL]:
    """A login that reads, made as docs/roles.md says."""
    settings = {"DRILLSTER_WAREHOUSE_URL": postgresql_url, "DRILLSTER_WAREHOUSE_SCHEMA": SCHEMA}
    CliRunner().invoke(commands, ["grants", "analyst", "--apply"], env=settings, catch_exceptions=False)
    login, *_ = blocks("roles.md", "sql")
    execute(postgresql_url, *filter(str.strip, login.replace("alice", "analyst").split(";")))
    yield sa.make_url(postgresql_url).set(drivername="postgresql+psycopg", username="analyst")
    for role in ("analyst", f"{SCHEMA}_analyst"):
        execute(postgresql_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.fixture(params=["sqlite", "postgresql"])
def namespace(request: pytest.FixtureRequest, dates: Place, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the blocks of the pandas page leave behind."""
    assert dates.url.startswith("sqlite:///")
    monkeypatch.chdir(Path(dates.url.removeprefix("sqlite:///")).parents[1])
    found: dict[str, Any] = {}
    for block in blocks("guides/pandas.md", "python"):
        if SERVER not in block:
            exec(block, found)  # noqa: S102 -- the page is ours
        elif request.param == "postgresql":
            server = request.getfixturevalue("analyst")
            exec(block.replace(SERVER, server.render_as_string(hide_password=False)), found)  # noqa: S102 -- so is this
    found["engine"].dispose()
    return found


def test_the_blocks_of_the_pandas_page_say_something(namespace: dict[str, Any]) -> None:
    assert namespace["trend"].shape[0] == 3
    assert ((namespace["trend"] > 0) & (namespace["trend"] < 1)).any().any()
    furthest = namespace["furthest"]
    assert len(furthest) == 10
    assert furthest.notna().all().all()
    assert (furthest["gap"] > 0).all()
    assert namespace["by_drill"]["learners"].gt(5).any()
    assert 0.3 < namespace["together"] < 1


def test_the_types_are_those_that_the_pandas_page_promises(namespace: dict[str, Any]) -> None:
    results = namespace["results"]
    assert isinstance(results["proficiency"].dtype, pd.Int64Dtype | pd.Int16Dtype)
    assert str(results["last_practiced_at"].dt.tz) == "UTC"
    assert isinstance(namespace["evaluations"]["met"].dtype, pd.BooleanDtype)
    assert namespace["compliance"]["export_date"].max() == pd.Timestamp(LAST)
