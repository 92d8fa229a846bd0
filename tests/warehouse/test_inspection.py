"""Looking at a warehouse of each kind: what is told is true, and nothing is left."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.warehouse import LoadType, TablePlan
from drillster_pipeline.warehouse.inspection import NOT_ENCRYPTED, Inspection

from .nights import account, day, load, plan, reject
from .place import Place, sql
from .test_postgresql import Server, owned, server
from .test_tls import gate, self_signed, through

__all__ = ["owned", "server"]


def things(place: Place) -> set[str]:
    """Tables and views that are there."""
    with place.opened() as warehouse:
        inspector = sa.inspect(warehouse.engine)
        if place.schema is not None and place.schema not in inspector.get_schema_names():
            return set()
        return {*inspector.get_table_names(schema=place.schema), *inspector.get_view_names(schema=place.schema)}


def test_a_place_that_is_not_there_yet_is_looked_at_and_not_made(place: Place) -> None:
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
    assert things(place) == set()


def test_what_is_there_is_compared_and_left_alone(place: Place) -> None:
    with place.opened() as warehouse:
        warehouse.prepare()
        load(warehouse, day(1), {"accounts": [account("a", "Somebody")]})
        load(warehouse, day(2), {"accounts": [account("a", "Somebody")]})
        before = things(place)
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
        assert things(place) == before - {"rejected_rows"}


def test_of_each_date_the_load_that_was_published_last_counts(place: Place) -> None:
    with place.opened() as warehouse:
        warehouse.prepare()
        partial = {"accounts": TablePlan(load_type=LoadType.PARTIAL)}
        load(warehouse, day(1), {"accounts": [account("a")]}, rejects={"accounts": [reject("accounts", "b")]})
        load(warehouse, day(2), {"accounts": [account("a")]})
        load(warehouse, day(2), {"accounts": [account("a"), account("c")]}, plans=partial, unread={"accounts": False})
        load(warehouse, day(2), {"objective_events": []}, kind="events")
        load(warehouse, day(3), {"objective_events": []}, kind="events")
    with Inspection(place.url, schema=place.schema) as inspection:
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


def test_it_is_known_which_dates_are_published_unless_the_ledger_is_of_an_older_version(place: Place) -> None:
    with Inspection(place.url, schema=place.schema) as inspection:
        assert inspection.published() == set()
    with place.opened() as warehouse:
        warehouse.prepare()
        load(warehouse, day(1), {"accounts": [account("a")]})
        load(warehouse, day(3), {"objective_events": []}, kind="events")
        with Inspection(place.url, schema=place.schema) as inspection:
            assert inspection.published() == {(day(1), "snapshot"), (day(3), "events")}
        sql(warehouse, "ALTER TABLE {}loads DROP COLUMN manifest_sha256")
        with Inspection(place.url, schema=place.schema) as inspection:
            assert inspection.published() == set()


def test_a_load_under_way_is_named(place: Place) -> None:
    with place.opened() as warehouse:
        warehouse.prepare()
        with warehouse.loading(plan(day(1), ["accounts"])), Inspection(place.url, schema=place.schema) as inspection:
            told = inspection.writer()
            assert told is not None
            assert "being written by" in told
            assert "longer" not in told
        with Inspection(place.url, schema=place.schema) as inspection:
            assert inspection.writer() is None


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.sqlite"
    file.write_bytes(b"a spreadsheet, perhaps" * 100)
    with Inspection(f"sqlite:///{file}") as inspection, pytest.raises(SettingsError, match="not an SQLite database"):
        inspection.state()
    assert [path.name for path in tmp_path.iterdir()] == ["warehouse.sqlite"]


def test_a_file_that_another_program_writes_to_is_not_waited_for(sqlite: Place) -> None:
    with sqlite.opened() as warehouse:
        warehouse.prepare()
    other = sqlite3.connect(sqlite.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Inspection(sqlite.url) as inspection, pytest.raises(Exception, match="another program is writing"):
        inspection.try_rights()
    other.close()


def test_a_role_without_rights_is_told_what_to_ask_for(server: Server, owned: Place) -> None:
    stranger = server.as_role(server.analyst, owned.schema)
    with Inspection(stranger.url, schema=stranger.schema) as inspection:
        inspection.connect()
        with pytest.raises(SettingsError, match=r"ALTER SCHEMA .* OWNER TO"):
            inspection.try_rights()
        with owned.opened() as warehouse:
            warehouse.prepare()
        # Then it must not be taken from who loads into it.
        with pytest.raises(SettingsError, match=rf"belongs to {server.loader}: let the URL name that role; or"):
            inspection.try_rights()
    with (
        Inspection(stranger.url, schema="not_there") as inspection,
        pytest.raises(SettingsError, match="CREATE SCHEMA"),
    ):
        inspection.try_rights()


def test_tables_of_another_role_are_told(server: Server, owned: Place) -> None:
    with owned.opened() as warehouse:
        warehouse.prepare()
    server.run(f"GRANT ALL ON SCHEMA {owned.schema} TO {server.analyst}")
    with (
        Inspection(server.as_role(server.analyst, owned.schema).url, schema=owned.schema) as inspection,
        pytest.raises(SettingsError, match=r"belong to a role.*ALTER TABLE"),
    ):
        inspection.try_rights()


@pytest.mark.parametrize(("has_tls", "words"), [(True, "encrypted (TLS)"), (False, NOT_ENCRYPTED)])
def test_encryption_is_told_as_our_side_sees_it(postgresql: Place, tmp_path: Path, has_tls: bool, words: str) -> None:
    certificate = self_signed(tmp_path, "server") if has_tls else None
    with gate(postgresql.url, certificate) as opened:
        place = through(opened, postgresql, "sslmode=prefer")
        with Inspection(place.url, schema=place.schema) as inspection:
            assert inspection.connect().encryption == words
    with Inspection(postgresql.url, schema=postgresql.schema) as inspection:
        assert inspection.connect().encryption is None
