"""What is reported of a warehouse is true, and nothing is left in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.warehouse.inspection import Inspection
from tests.support.databases import Place

from .support import PARTIAL, account, day, load, plan, reject, sql


def names(place: Place) -> set[str]:
    """Tables and views that are there."""
    with place.opened() as warehouse:
        inspector = sa.inspect(warehouse.engine)
        if place.schema is not None and place.schema not in inspector.get_schema_names():
            return set()
        return {*inspector.get_table_names(schema=place.schema), *inspector.get_view_names(schema=place.schema)}


def test_a_database_that_does_not_exist_yet_is_not_created(place: Place) -> None:
    with Inspection(place.url, schema=place.schema) as inspection:
        server = inspection.connect()
        assert server.product.split(" ")[0] in {"SQLite", "PostgreSQL", "MariaDB"}
        # On MariaDB a schema is a database, which a try would have to make for good.
        assert bool(inspection.try_rights()) == (inspection.engine.dialect.name != "mariadb")
        state = inspection.state()
        assert (state.tables, state.additions, state.problems) == (0, (), ())
        assert inspection.loads() == []
        assert inspection.writer() is None
    if place.schema is None:
        assert not Path(place.url.removeprefix("sqlite:///")).parent.exists()
    assert names(place) == set()


def test_what_exists_is_compared_and_left_alone(place: Place) -> None:
    with place.prepared() as warehouse:
        load(warehouse, day(1), {"accounts": [account("a", "Somebody")]})
        load(warehouse, day(2), {"accounts": [account("a", "Somebody")]})
        before = names(place)
        with Inspection(place.url, schema=place.schema) as inspection:
            assert "a table" in inspection.try_rights()
            assert inspection.state().additions == ()
            assert [load["export_date"] for load in inspection.loads()] == [day(2), day(1)]
            assert "run_id" not in inspection.loads()[0]
        sql(warehouse, "ALTER TABLE {}accounts DROP COLUMN time_zone")
        with Inspection(place.url, schema=place.schema) as inspection:
            assert inspection.state().additions == ("column accounts.time_zone",)
        sql(warehouse, "ALTER TABLE {}accounts ADD COLUMN cost_centre INTEGER NOT NULL DEFAULT 1")
        sql(warehouse, "DROP TABLE {}rejected_rows")
        with Inspection(place.url, schema=place.schema) as inspection:
            state = inspection.state()
            assert state.problems == ()
            assert "table rejected_rows" in state.additions
        sql(warehouse, "DROP VIEW {}current_results")
        sql(warehouse, "CREATE TABLE {}current_results (n INTEGER)")
        with Inspection(place.url, schema=place.schema) as inspection:
            (problem,) = inspection.state().problems
        assert "there is a table of this name" in problem
        assert names(place) == before - {"rejected_rows"}


def test_of_each_date_the_load_that_was_published_last_counts(sqlite: Place) -> None:
    with sqlite.prepared() as warehouse:
        partial = {"accounts": PARTIAL}
        load(warehouse, day(1), {"accounts": [account("a")]}, rejects={"accounts": [reject("accounts", "b")]})
        load(warehouse, day(2), {"accounts": [account("a")]})
        load(warehouse, day(2), {"accounts": [account("a"), account("c")]}, plans=partial, unread={"accounts": False})
        load(warehouse, day(2), {"objective_events": []}, kind="events")
        load(warehouse, day(3), {"objective_events": []}, kind="events")
    with Inspection(sqlite.url, schema=sqlite.schema) as inspection:
        found, dates = inspection.loaded(2)
        assert dates == 3
        assert [(one.kind, one.export_date) for one in found] == [
            ("events", day(3)),
            ("snapshot", day(2)),
            ("events", day(2)),
        ]
        assert (found[1].rows_read, found[1].is_complete) == (2, False)
        (*_, first), _ = inspection.loaded(9)
        assert (first.rows_read, first.rows_rejected, first.is_complete) == (2, 1, True)


def test_published_dates_are_listed_unless_the_ledger_is_of_an_older_version(sqlite: Place) -> None:
    with Inspection(sqlite.url, schema=sqlite.schema) as inspection:
        assert inspection.published() == set()
    with sqlite.prepared() as warehouse:
        load(warehouse, day(1), {"accounts": [account("a")]})
        load(warehouse, day(3), {"objective_events": []}, kind="events")
        with Inspection(sqlite.url, schema=sqlite.schema) as inspection:
            assert inspection.published() == {(day(1), "snapshot"), (day(3), "events")}
        sql(warehouse, "ALTER TABLE {}loads DROP COLUMN manifest_sha256")
        with Inspection(sqlite.url, schema=sqlite.schema) as inspection:
            assert inspection.published() == set()


def test_a_load_under_way_is_named(place: Place) -> None:
    with place.prepared() as warehouse:
        with warehouse.loading(plan(day(1), ["accounts"])), Inspection(place.url, schema=place.schema) as inspection:
            writer = inspection.writer()
            assert writer is not None
            assert "being written by" in writer
            assert "longer" not in writer
        with Inspection(place.url, schema=place.schema) as inspection:
            assert inspection.writer() is None


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.sqlite"
    file.write_bytes(b"a spreadsheet, perhaps" * 100)
    with Inspection(f"sqlite:///{file}") as inspection, pytest.raises(SettingsError, match="not an SQLite database"):
        inspection.state()
    assert [path.name for path in tmp_path.iterdir()] == ["warehouse.sqlite"]


def test_a_file_that_another_program_writes_to_is_not_waited_for(sqlite: Place) -> None:
    with sqlite.prepared():
        pass
    other = sqlite3.connect(sqlite.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Inspection(sqlite.url) as inspection, pytest.raises(Exception, match="another program is writing"):
        inspection.try_rights()
    other.close()
