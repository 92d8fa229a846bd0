"""PostgreSQL: a role that owns one schema and may do nothing else, and the analysts who read there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import Refused, SettingsError
from drillster_pipeline.orchestration.dbt import invocation
from drillster_pipeline.settings import load_settings
from drillster_pipeline.warehouse import CONTRACT, VIEWS, Warehouse
from drillster_pipeline.warehouse.grants import MARTS
from drillster_pipeline.warehouse.inspection import Inspection
from tests.support.databases import Place, execute

from .support import (
    account,
    batch,
    day,
    empty,
    group,
    listening,
    load,
    plan,
    playable,
    result,
    sql,
    statements,
)

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Server:
    """A database of its own with two ordinary roles: ``loader`` owns a schema, ``analyst`` reads."""

    url: str
    name: str

    @property
    def loader(self) -> str:
        return f"loader_{self.name}"

    @property
    def analyst(self) -> str:
        return f"analyst_{self.name}"

    @property
    def schema(self) -> str:
        return f"owned_{self.name}"

    def as_role(self, role: str, schema: str | None) -> Place:
        host = self.url.split("?", 1)[1]
        return Place(f"postgresql://{role}@/db_{self.name}?{host}", schema)

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """As the superuser; the rows of the last one."""
        return execute(self.as_role("postgres", None).url, *statements)

    @contextmanager
    def role_with(self, setting: str) -> Iterator[None]:
        """A setting of the loader."""
        self.run(f"ALTER ROLE {self.loader} SET {setting}")
        yield
        self.run(f"ALTER ROLE {self.loader} RESET ALL")


@pytest.fixture(scope="module")
def server(postgresql_url: str) -> Iterator[Server]:
    server = Server(postgresql_url, secrets.token_hex(3))
    roles = [f"CREATE ROLE {role} LOGIN" for role in (server.loader, server.analyst)]
    execute(postgresql_url, *roles, f"CREATE DATABASE db_{server.name}")
    server.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield server
    drops = (f"DATABASE db_{server.name} WITH (FORCE)", f"ROLE {server.loader}", f"ROLE {server.analyst}")
    execute(postgresql_url, *(f"DROP {each}" for each in drops))


@pytest.fixture
def owned(server: Server) -> Iterator[Place]:
    """The schema, as the role that owns it and may make no other."""
    server.run(f"CREATE SCHEMA {server.schema} AUTHORIZATION {server.loader}")
    yield server.as_role(server.loader, server.schema)
    server.run(f"DROP SCHEMA {server.schema} CASCADE")


@pytest.mark.parametrize("moved", [False, True], ids=["replaced", "made anew"])
def test_rights_views_and_options_of_others_outlive_loads_and_new_versions(
    server: Server, owned: Place, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    latest = VIEWS["latest_load"]

    def query(tables: Any) -> Any:
        selected = latest.query(tables)
        if not moved:
            return selected.add_columns(sa.literal("more").label("something_more"))
        return selected.with_only_columns(*reversed(selected.selected_columns))

    with owned.prepared() as warehouse, server.as_role(server.analyst, server.schema).opened() as analyst:
        sql(
            warehouse,
            f"GRANT USAGE ON SCHEMA {server.schema} TO {server.analyst}",
            f"GRANT SELECT ON {{}}accounts TO {server.analyst}",
            f"GRANT SELECT (kind, export_date) ON {{}}latest_load TO {server.analyst}",
            "ALTER VIEW {}latest_load SET (security_barrier = true)",
        )
        if not moved:  # a view that is replaced in its place keeps what others built on it
            sql(warehouse, "CREATE VIEW {}mine AS SELECT kind, age_seconds FROM {}latest_load")
        server.run(f"CREATE SCHEMA mine AUTHORIZATION {server.analyst}")
        sql(analyst, f"CREATE VIEW mine.people AS SELECT name, deleted_on FROM {server.schema}.accounts")

        load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
        load(warehouse, day(2), {"accounts": [account("a", "Other")]})
        sql(warehouse, "ALTER TABLE {}accounts DROP COLUMN time_zone")
        monkeypatch.setitem(VIEWS, "latest_load", replace(latest, query=query))
        warehouse.prepare()

        assert sql(analyst, "SELECT name, deleted_on FROM mine.people ORDER BY 1") == [("B", day(2)), ("Other", None)]
        assert sql(analyst, "SELECT kind, export_date FROM {}latest_load") == [("snapshot", day(2))]
        options = sql(warehouse, "SELECT reloptions FROM pg_class WHERE oid = '{}latest_load'::regclass")
        assert options == [(["security_barrier=true"],)]
        server.run("DROP SCHEMA mine CASCADE")


def test_a_view_that_others_built_on_is_not_dropped_under_them(owned: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with owned.prepared() as warehouse:
        sql(warehouse, "CREATE VIEW {}mine AS SELECT kind, age_seconds FROM {}latest_load")
        old = VIEWS["latest_load"]
        shorter = replace(
            old, columns={"kind": old.columns["kind"]}, query=lambda tables: sa.select(tables("loads").c.kind)
        )
        monkeypatch.setitem(VIEWS, "latest_load", shorter)
        with pytest.raises(Refused, match=r"other views are built on it\. Drop those"):
            warehouse.prepare()
        assert sql(warehouse, "SELECT * FROM {}mine") == []


MISSING = {
    "the schema": ("missing", r"There is no schema missing, .* CREATE SCHEMA missing AUTHORIZATION"),
    "the right to make tables": ("public", r"may not make tables in the schema public"),
    "the right to make temporary tables": (None, "GRANT TEMPORARY ON DATABASE"),
}


@pytest.mark.parametrize(("schema", "message"), MISSING.values(), ids=MISSING.keys())
def test_what_is_missing_is_named_with_the_statement_that_gives_it(
    server: Server, schema: str | None, message: str
) -> None:
    right = f"TEMPORARY ON DATABASE db_{server.name}"
    server.run(f"REVOKE {right} FROM PUBLIC" if schema is None else f"GRANT {right} TO PUBLIC")
    with server.as_role(server.loader, schema).opened() as warehouse, pytest.raises(SettingsError, match=message):
        warehouse.prepare()
    server.run(f"GRANT {right} TO PUBLIC")


def test_without_a_schema_the_one_of_the_search_path_is_used(server: Server, owned: Place) -> None:
    with server.role_with(f"search_path = {owned.schema}"):
        with server.as_role(server.loader, None).prepared() as warehouse:
            load(warehouse, day(1), {"accounts": [account("a")]})
        assert server.run(f"SELECT account_id FROM {owned.schema}.accounts") == [("a",)]


def test_dbt_reads_where_a_load_writes_and_builds_where_rights_are_given(server: Server) -> None:
    """Without a setting that is the schema of the role's own name, and not ``public``."""
    server.run(f"CREATE SCHEMA {server.loader} AUTHORIZATION {server.loader}")
    place = server.as_role(server.loader, None)
    with place.prepared():
        environment, variables = invocation(load_settings({"DRILLSTER_WAREHOUSE_URL": place.url}, needs_api=False))
    assert environment["DRILLSTER_DBT_SCHEMA"] == MARTS.format(server.loader)
    assert server.run("SELECT schemaname FROM pg_tables WHERE tablename = 'results'") == [
        (variables["drillster_schema"],)
    ]
    server.run(f"DROP SCHEMA {server.loader} CASCADE")


def test_a_load_is_the_same_whatever_a_role_has_set(server: Server, owned: Place) -> None:
    settings = (
        "client_encoding = 'LATIN1'",
        "datestyle = 'German'",
        "timezone = 'Asia/Kathmandu'",
        "quote_all_identifiers = on",
        "default_transaction_isolation = 'serializable'",
    )
    server.run(*(f"ALTER ROLE {server.loader} SET {setting}" for setting in settings))
    with server.role_with("search_path = ''"), owned.prepared() as warehouse:
        load(warehouse, day(1), {"accounts": [account("a", "Zoë 😀")], "groups": [group("g")]})
        assert statements(warehouse) == []
        assert warehouse.ledger.latest_loads()["snapshot"].export_date == day(1)
        assert sql(warehouse, "SELECT name FROM {}accounts") == [("Zoë 😀",)]
    assert server.run(f"SELECT length(name) FROM {server.schema}.accounts") == [(5,)]


@pytest.mark.parametrize("name", ['HR "a.b"', "100% :name x'y"])
def test_a_schema_may_have_any_name(postgresql_url: str, name: str) -> None:
    with Place(postgresql_url, name).prepared() as warehouse:
        known = {"accounts": [account("a")], "playables": [playable("p")], "groups": [group("g")]}
        load(warehouse, day(1), {**known, "results": [result(day(1), "g", "a", "p", 50)]})
        assert statements(warehouse) == []
        assert warehouse.row_counts(["accounts", "results"]) == {"accounts": 1, "results": 1}
        assert warehouse.drop_snapshots(day(40)) == {"results": 1}
        with warehouse.engine.begin() as connection:
            connection.execute(sa.schema.DropSchema(name, cascade=True))


def test_a_database_that_takes_no_writes_is_refused(server: Server, owned: Place) -> None:
    with owned.prepared():
        pass
    message = "may only be read, as a standby may; name the one that takes writes"
    with (
        server.role_with("default_transaction_read_only = on"),
        owned.prepared() as warehouse,
        pytest.raises(SettingsError, match=message),
    ):
        load(warehouse, day(1), {"accounts": [account("a")]})


def test_a_pooler_that_changes_the_session_under_a_load_is_noticed(
    postgresql_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgresql_warehouse.engine.connect() as other:
        (process,) = other.exec_driver_sql("SELECT pg_backend_pid()").one()
        with (  # noqa: PT012 (it is the second step that fails)
            pytest.raises(SettingsError, match="another session, as a pooler such as PgBouncer"),
            postgresql_warehouse.loading(plan(day(1), ["accounts"])) as loading,
        ):
            loading.stage(batch("accounts", [account("a")]))
            monkeypatch.setattr(
                "drillster_pipeline.warehouse.dialects.postgresql.PostgreSQL.session_id", lambda *_: process
            )
            loading.merge()


def test_publishing_takes_no_lock_that_keeps_readers_out(postgresql_warehouse: Warehouse) -> None:
    empty(postgresql_warehouse)
    modes: set[str] = set()

    def note(connection: sa.Connection, *_: Any) -> None:
        query = "SELECT DISTINCT mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relnamespace = "
        found = connection.connection.driver_connection.execute(  # type: ignore[union-attr]  # it is open
            query + f"'{postgresql_warehouse.schema}'::regnamespace AND l.pid = pg_backend_pid()"
        )
        modes.update(mode for (mode,) in found)

    for number in (1, 2, 2, 1):
        with postgresql_warehouse.loading(plan(day(number), ["accounts", "groups"])) as loading:
            loading.stage(batch("accounts", [account("a", f"day {number}")]))
            with listening(postgresql_warehouse.engine, "after_cursor_execute", note):
                loading.merge()
    assert "RowExclusiveLock" in modes
    assert modes <= {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}


def test_a_run_writes_a_row_once_and_no_index_of_what_is_still_there(postgresql: Place) -> None:
    people = [account(f"a{number:03}", status="x" * 50, organization_id="o") for number in range(400)]
    changed = [account(person["account_id"], "Other", status="x" * 50, organization_id="o") for person in people[:20]]
    written: list[tuple[int, int]] = []

    def note(connection: sa.Connection) -> None:
        query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'accounts'"
        driver: Any = connection.connection.driver_connection
        written.extend(driver.execute(f"{query} AND schemaname = '{postgresql.schema}'").fetchall())

    with postgresql.prepared() as warehouse:
        content = {"organizations": [{"organization_id": "o"}], "accounts": people}
        load(warehouse, day(1), content)
        with listening(warehouse.engine, "commit", note):
            report = load(warehouse, day(2), content | {"accounts": [*changed, *people[20:]]})
        assert (report.tables["accounts"].rows_updated, report.tables["accounts"].rows_unchanged) == (20, 380)
        assert max(written) == (400, 400)
        assert sql(
            warehouse, "SELECT count(*), count(DISTINCT load_id) FROM {}accounts WHERE last_seen_on = '2026-01-02'"
        ) == [(400, 2)]


def test_limits_for_people_stop_no_load_no_erasure_and_no_retention(server: Server, owned: Place) -> None:
    with owned.prepared():
        pass
    server.run(f"ALTER ROLE {server.loader} SET statement_timeout = '50ms'")
    with server.role_with("idle_session_timeout = '100ms'"), owned.opened() as warehouse:
        with warehouse.loading(plan(day(1), ["accounts", "results"])) as loading:
            (limit,) = loading._connection.exec_driver_sql("SHOW statement_timeout").one()
            loading._connection.rollback()
            assert limit == "0"
            loading.stage(batch("accounts", [account("a")]))
            loading.merge()
        with warehouse.erasing():
            time.sleep(0.3)  # the archive is searched meanwhile, and no load may read of it
            locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            assert server.run(locks) == [(1,)]
        assert warehouse.drop_snapshots(day(1)) == {}


def test_tables_columns_and_views_carry_the_descriptions_of_this_version(postgresql: Place) -> None:
    with postgresql.prepared() as warehouse:
        sql(warehouse, "COMMENT ON TABLE {}accounts IS 'of an older version'")
        sql(warehouse, "COMMENT ON COLUMN {}accounts.name IS NULL")
        warehouse.prepare()
        inspector, schema = sa.inspect(warehouse.engine), postgresql.schema
        declared = {view.name: (view.description, view.columns) for view in VIEWS.values()}
        for table in CONTRACT.values():
            declared[table.name] = table.description, {each.name: each.description for each in table.all_columns}
        for name, (description, columns) in declared.items():
            assert inspector.get_table_comment(name, schema=schema)["text"] == description
            found = {each["name"]: each.get("comment") for each in inspector.get_columns(name, schema=schema)}
            assert found == columns


def test_a_role_without_rights_is_refused_before_a_load(server: Server, owned: Place) -> None:
    stranger = server.as_role(server.analyst, owned.schema)
    with Inspection(stranger.url, schema=stranger.schema) as inspection:
        inspection.connect()
        with pytest.raises(SettingsError, match=r"ALTER SCHEMA .* OWNER TO"):
            inspection.try_rights()
        with owned.prepared():
            pass
        # Then it must not be taken from who loads into it.
        with pytest.raises(SettingsError, match=rf"belongs to {server.loader}: let the URL name that role; or"):
            inspection.try_rights()
        server.run(f"GRANT ALL ON SCHEMA {owned.schema} TO {server.analyst}")
        with pytest.raises(SettingsError, match=r"belong to a role.*ALTER TABLE"):
            inspection.try_rights()
    elsewhere = Inspection(stranger.url, schema="not_there")
    with elsewhere as inspection, pytest.raises(SettingsError, match="CREATE SCHEMA"):
        inspection.try_rights()
