"""MySQL and MariaDB: a URL with a database in it, ids that differ by a letter's case, keys of bounded length."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import GuardRefused, Interrupted, SettingsError
from drillster_pipeline.extract.batches import MASKED
from drillster_pipeline.privacy.erase import Person
from drillster_pipeline.tables import DATA_TABLES, HISTORY_TABLES
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.dialects import KEY_LENGTH, mysql
from drillster_pipeline.warehouse.staging import PREFIX
from tests.drillster import Sandbox, Size
from tests.support.databases import Place
from tests.support.installation import Installation
from tests.support.tls import self_signed

from .support import (
    account,
    batch,
    column,
    day,
    empty,
    event,
    group,
    listening,
    load,
    member,
    plan,
    playable,
    reject,
    result,
    rows,
    sql,
    staging_tables,
    statements,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def own(mariadb: Place) -> Iterator[str]:
    """A database that is there, as a URL without the driver's name, as people write it."""
    assert mariadb.schema is not None
    with mariadb.opened() as warehouse, warehouse.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {mariadb.schema} CHARACTER SET latin1")
    url = sa.make_url(mariadb.url).set(database=mariadb.schema, drivername="mysql")
    return url.render_as_string(hide_password=False)


@pytest.fixture
def emptied(mariadb_warehouse: Warehouse) -> Warehouse:
    empty(mariadb_warehouse)
    return mariadb_warehouse


def test_a_url_of_mysql_with_a_database_in_it_is_all_it_takes(own: str) -> None:
    with Place(own).prepared() as warehouse:
        assert warehouse.engine.url.drivername == "mysql+pymysql"
        load(warehouse, day(1), {"accounts": [account("a", "Zoë 👩🏽‍⚕️")], "groups": [group("g")]})
        assert staging_tables(warehouse) == []
    # By the other name it is the same, and nothing is to be changed.
    with Place(own.replace("mysql:", "mariadb:")).opened() as again:
        assert statements(again) == []
        assert column(again, "accounts", "name") == {"a": "Zoë 👩🏽‍⚕️"}


ALIKE = ["a", "A", "a ", " a", "á", "e\u0301", "é", "ß", "ss", "😀", "😁"]


def test_ids_differ_by_case_accents_and_spaces(emptied: Warehouse) -> None:
    load(emptied, day(1), {"accounts": [account(name) for name in ALIKE], "groups": [group("g")]})
    load(
        emptied,
        day(2),
        {
            "accounts": [account(name, f"{name} ") for name in ALIKE],
            "playables": [playable("p"), playable("P")],
            "groups": [group("g"), group("G")],
            "group_members": [member("G", name) for name in ALIKE],
            "results": [result(day(2), "g", name, key) for name in ALIKE for key in "pP"],
        },
    )
    assert column(emptied, "accounts", "name") == {name: f"{name} " for name in ALIKE}
    assert len(rows(emptied, "results")) == 2 * len(ALIKE)
    assert rows(emptied, "rejected_rows") == []
    # A value that differs in a space is another one.
    for number, kind in enumerate(("OBJECTIVE_BECAME_OK", "OBJECTIVE_BECAME_OK ", "objective_became_ok "), 1):
        content = {"accounts": [account("a")], "groups": [group("g1")]}
        events = [event("e", "a", event_type=kind)]
        load(emptied, day(number), {**content, "objective_events": events}, allow_mass_delete=True)
        assert column(emptied, "objective_events", "event_type") == {"e": kind}


def rows_read(warehouse: Warehouse) -> int:
    """Rows that the server has read one after the other, until now."""
    return sum(int(count) for _, count in sql(warehouse, "SHOW GLOBAL STATUS LIKE 'Handler_read_%%next'"))


def test_orphans_are_not_sought_anew_for_every_row(emptied: Warehouse) -> None:
    many = 1_500
    people, results = [account(f"a{n}") for n in range(many)], [result(day(1), "g", f"a{n}", "p") for n in range(many)]
    before = rows_read(emptied)
    load(
        emptied,
        day(1),
        {
            "accounts": people,
            "playables": [playable("p")],
            "groups": [group("g")],
            "results": [*results, *(result(day(1), "g", f"stranger {n}", "p") for n in range(5))],
        },
    )
    assert len(rows(emptied, "rejected_rows")) == 5
    assert rows_read(emptied) - before < 100 * many


def test_a_placeholder_cannot_have_a_key_that_is_too_long(emptied: Warehouse) -> None:
    long = "x" * (KEY_LENGTH + 1)
    content: dict[str, list[Any]] = {
        "playables": [playable("p")],
        "groups": [],
        "objectives": [],
        "objective_playables": [{"objective_id": "o", "playable_id": "p"}],
    }
    rejects = {"groups": [reject("groups", long)], "objectives": [reject("objectives", "o", group_id=long)]}
    report = load(emptied, day(1), content, rejects=rejects)
    assert {name: table.rows_rejected for name, table in report.tables.items() if table.rows_rejected} == {
        "groups": 1,
        "objectives": 1,
        "objective_playables": 1,
    }
    assert len(rows(emptied, "playables")) == 1


GREETING = (
    b"\x0a11.4.2-MariaDB\0\1\0\0\x0012345678\0\xff\xff\x21\2\0\xff\x81\x15"
    + bytes(10)
    + b"123456789012\0mysql_native_password\0"
)
"""Of a server that has TLS (protocol 10)."""


def test_a_certificate_that_is_not_trusted_is_no_outage(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path, "server"))
    url = f"mysql://loader@127.0.0.1:{{}}/warehouse?ssl_ca={self_signed(tmp_path, 'other')}"

    def greet(*, breaks_off: bool) -> None:
        with server.accept()[0] as client, suppress(OSError):
            client.sendall(len(GREETING).to_bytes(3, "little") + b"\0" + GREETING)
            client.recv(36, socket.MSG_WAITALL)  # the client asks for TLS
            if not breaks_off:
                context.wrap_socket(client, server_side=True).recv(1)

    for breaks_off, expected in ((False, SettingsError), (True, Interrupted)):
        with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
            pool.submit(greet, breaks_off=breaks_off)
            with Place(url.format(server.getsockname()[1])).opened() as warehouse, pytest.raises(expected):
                warehouse.prepare()


def test_a_key_that_is_too_long_is_rejected_and_the_rest_loads(emptied: Warehouse) -> None:
    fits, long = "é" * KEY_LENGTH, "x" * (KEY_LENGTH + 1)
    report = load(
        emptied,
        day(1),
        {
            "accounts": [account(fits), account("b", organization_id=long), account("c")],
            "groups": [group("g"), group(long)],
            "group_members": [member("g", fits), member("g", "c"), member(long, "c")],
        },
    )
    assert [*column(emptied, "accounts", "name")] == ["c", fits]
    assert len(rows(emptied, "group_members")) == 2
    rejected = {row["table_name"]: row for row in rows(emptied, "rejected_rows")}
    assert {name: row["reason"] for name, row in rejected.items()} == {
        "accounts": "organization_id: 256 characters, where this database takes 255 in a key",
        "groups": "group_id: 256 characters, where this database takes 255 in a key",
        "group_members": "group_id: 256 characters, where this database takes 255 in a key",
    }
    record = json.loads(rejected["accounts"]["record"])
    assert (record["account_id"], record["name"], record["locale"]) == ("b", MASKED, None)
    assert report.tables["accounts"].rows_read == 3
    with pytest.raises(GuardRefused, match=r"25[78] characters, where this database takes 255"):
        load(emptied, day(2), {"groups": [group(f"{long}{number}") for number in range(20)]})


def test_the_widest_keys_fit_in_an_index(emptied: Warehouse) -> None:
    """Of four bytes a character, the most that utf8mb4 has."""
    widest = "😀" * KEY_LENGTH
    results = [result(day(1), widest, widest, widest)]
    content = {"accounts": [account(widest)], "playables": [playable(widest)], "groups": [group(widest)]}
    load(emptied, day(1), content | {"results": results})
    assert len(rows(emptied, "results")) == 1


def test_publishing_is_one_transaction_without_ddl(emptied: Warehouse) -> None:
    """DDL would commit half of it."""
    seen: list[str] = []
    with emptied.loading(plan(day(1), ["accounts", "groups"])) as loading:
        loading.stage(batch("accounts", [account("a")]))
        loading.validate()

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            seen.append(statement.split(maxsplit=1)[0].upper())

        with (
            listening(emptied.engine, "before_cursor_execute", note),
            listening(emptied.engine, "commit", lambda _connection: seen.append("COMMIT")),
        ):
            loading.merge()
    assert {*seen[: seen.index("COMMIT")]} <= {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert "INSERT" in seen


def test_forgetting_a_person_clears_what_a_killed_load_left(mariadb: Place) -> None:
    with mariadb.prepared() as warehouse:
        load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
        sql(warehouse, f"CREATE TABLE {PREFIX}accounts LIKE accounts")
        with warehouse.erasing() as erase:
            erased = erase(Person("a"), erased_text=str, archive_lines=0)
        assert erased == {"accounts": 1, "accounts_history": 1}
        assert [*column(warehouse, "accounts", "name")] == ["b"]
        assert staging_tables(warehouse) == []


def test_for_a_user_without_rights_the_statement_that_gives_them_is_named(mariadb: Place) -> None:
    name = mariadb.schema
    with mariadb.opened() as administrator:
        administrator.prepare()
        sql(administrator, f"CREATE USER {name}@localhost")
        limited = sa.make_url(mariadb.url).set(username=name).render_as_string(hide_password=False)
        try:
            with (
                Place(limited, "elsewhere").opened() as warehouse,
                pytest.raises(SettingsError, match=r"CREATE DATABASE elsewhere .*; GRANT ALL ON elsewhere\.\*"),
            ):
                warehouse.prepare()
            with pytest.raises(SettingsError, match="names no database"):
                Warehouse(limited)
            sql(administrator, f"GRANT ALL ON {name}.* TO {name}@localhost")
            with Place(limited, name).opened() as warehouse:
                warehouse.prepare()
                load(warehouse, day(1), {"accounts": [account("a")]})
                assert [*column(warehouse, "accounts", "name")] == ["a"]
        finally:
            sql(administrator, f"DROP USER {name}@localhost")


def test_a_server_that_is_too_old_is_refused(mariadb: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql, "OLDEST_MARIADB", (99, 1))
    with mariadb.opened() as warehouse, pytest.raises(SettingsError, match=r"MariaDB \d+\..*too old.* MariaDB 99\.1"):
        warehouse.prepare()


def test_a_replay_on_mariadb_ends_as_the_load_on_sqlite(own: str, tmp_path: Path) -> None:
    with Sandbox(size=Size(accounts=20), seed=7) as sandbox, Installation(tmp_path, sandbox) as installation:
        installation.load()
        names = (*DATA_TABLES, *HISTORY_TABLES)
        expected = {name: rows(installation.context.warehouse, name) for name in names}
        requests = len(sandbox.requests)
        installation.set(DRILLSTER_WAREHOUSE_URL=own)
        installation.publish()
        assert len(sandbox.requests) == requests
        assert {name: rows(installation.context.warehouse, name) for name in names} == expected
