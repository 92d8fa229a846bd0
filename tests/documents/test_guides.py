"""What docs/guides show: the roles on PostgreSQL, and every block of the pandas page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from drillster_pipeline.warehouse import CONTRACT, VIEWS, Warehouse
from tests.support.databases import Place, postgresql_engine

from .month import LAST, SCHEMA
from .questions import blocks

SERVER = "postgresql+psycopg://analyst@db.example.org/warehouse"


pytestmark = pytest.mark.slow
Query = Callable[[str, str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def ask(dates_on_postgresql: Warehouse, postgresql_url: str) -> Iterator[Query]:
    """Ask as one of the roles of the guide, in a session that says nothing of itself."""
    url = sa.make_url(postgresql_url)
    owner = postgresql_engine(postgresql_url)
    statements = "".join(blocks("guides/README.md", "sql")).split(";")
    with owner.begin() as connection:
        for statement in filter(str.strip, statements):
            connection.exec_driver_sql(
                statement.replace("DATABASE warehouse", f"DATABASE {url.database}").replace(
                    "ROLE loader", f"ROLE {url.username}"
                )
            )

    def ask(role: str, query: str) -> list[tuple[Any, ...]]:
        engine = postgresql_engine(url.set(username=role).render_as_string(hide_password=False))
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    yield ask
    with owner.begin() as connection:
        for role in ("analyst", "dashboard"):
            connection.exec_driver_sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_the_analyst_reads_every_table_and_view_without_naming_the_schema(ask: Query) -> None:
    for name in [*CONTRACT, *VIEWS]:
        ask("analyst", f"SELECT * FROM {name} LIMIT 1")
    assert ask("analyst", "SELECT count(*) > 0 FROM overdue_objectives") == [(True,)]
    assert ask("analyst", "SHOW TimeZone") == [("UTC",)]


def test_the_analyst_writes_nothing(ask: Query) -> None:
    delete = "DELETE FROM results"
    for statement in (delete, "CREATE TABLE mine (one int)", f"SET default_transaction_read_only = off; {delete}"):
        with pytest.raises(sa.exc.DBAPIError, match=r"read-only transaction|permission denied"):
            ask("analyst", statement)


def test_the_analyst_reads_what_a_later_version_adds(ask: Query, postgresql_url: str) -> None:
    with postgresql_engine(postgresql_url).begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {SCHEMA}.later AS SELECT 1 AS one")
    assert ask("analyst", "SELECT one FROM later") == [(1,)]


def test_the_dashboard_counts_and_names_no_account(ask: Query) -> None:
    assert ask("dashboard", "SELECT count(*) > 0 FROM group_compliance") == [(True,)]
    for name in ("accounts", "results", "overdue_objectives", "learner_progress", "group_members"):
        with pytest.raises(sa.exc.DBAPIError, match="permission denied"):
            ask("dashboard", f"SELECT * FROM {name}")
    for name in ("latest_load", "group_compliance", "proficiency_trend"):
        assert not VIEWS[name].columns.keys() & {"account_id", "account_name"}


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
            request.getfixturevalue("ask")
            url = sa.make_url(request.getfixturevalue("postgresql_url"))
            server = url.set(drivername="postgresql+psycopg", username="analyst")
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
