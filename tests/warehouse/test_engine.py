from __future__ import annotations

from pathlib import Path

import pytest

from drillster_pipeline.errors import SettingsError, Unavailable
from drillster_pipeline.warehouse import Warehouse
from tests.support.databases import Place, sqlite_in


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_plain_postgresql_url_picks_psycopg_3(scheme: str) -> None:
    warehouse = Warehouse(f"{scheme}://nurse@localhost/warehouse")
    assert warehouse.engine.url.drivername == "postgresql+psycopg"
    assert warehouse.engine.dialect.driver == "psycopg"


@pytest.mark.parametrize("url", ["warehouse.sqlite", "", "://", "postgresql://nurse:s3cret@host:port/x"])
def test_what_is_not_a_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match="DRILLSTER_WAREHOUSE_URL") as caught:
        Warehouse(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:x?mode=memory&cache=shared&uri=true",
    ],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="in memory, which is gone when the program ends"):
        Warehouse(url)


def test_a_schema_on_sqlite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DRILLSTER_WAREHOUSE_SCHEMA is set, but SQLite has no schemas"):
        Warehouse(f"sqlite:///{tmp_path}/w.sqlite", schema="analytics")


@pytest.mark.parametrize("url", ["mysql+mysqldb://localhost/w", "nosuchthing://localhost/w"])
def test_any_other_missing_driver_is_named_by_its_url(url: str) -> None:
    with pytest.raises(SettingsError, match=url.split(":", maxsplit=1)[0].replace("+", r"\+")):
        Warehouse(url)


def test_the_password_is_in_no_repr_and_no_error() -> None:
    warehouse = Warehouse("postgresql://nurse:s3cret@127.0.0.1:1/warehouse?connect_timeout=2", schema="x")
    assert "s3cret" not in repr(warehouse)
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        warehouse.prepare()
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_folder_that_cannot_be_made_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="Name another file in DRILLSTER_WAREHOUSE_URL"):
        Warehouse(f"sqlite:///{tmp_path}/file/w.sqlite")


def test_a_file_that_is_no_database_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "w.sqlite").write_text("once upon a time " * 100)
    place = sqlite_in(tmp_path, "w.sqlite")
    with place.opened() as warehouse, pytest.raises(SettingsError, match="not an SQLite database"):
        warehouse.prepare()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "setting"),
    [
        *(("postgresql", setting) for setting in ("sslmode=sometimes", "ssl_mode=require")),
        *(("mariadb", setting) for setting in ("ssl_mode=REQUIRED", "connect_timeout=soon", "ssl_ca=/no/such.pem")),
    ],
)
def test_a_setting_in_the_url_that_is_none_is_reported_as_such(
    request: pytest.FixtureRequest, database: str, setting: str
) -> None:
    place: Place = request.getfixturevalue(database)
    refused = pytest.raises(SettingsError, match="does not take a setting in DRILLSTER_WAREHOUSE_URL")
    with refused as caught, Place(f"{place.url}&{setting}", place.schema).prepared():
        pass
    assert setting.partition("=")[2] not in str(caught.value)
