"""Readers at every moment: of whatever is written they read all or nothing, from the first table on; and errors."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import PipelineError
from drillster_pipeline.privacy.erase import Person
from drillster_pipeline.warehouse import Warehouse, schema_sync
from drillster_pipeline.warehouse.staging import PREFIX
from drillster_pipeline.warehouse.views import View
from tests.support.databases import Place

from . import loader
from .support import account, batch, day, group, is_mariadb, load, member, plan, playable, result, rows, sql

Seen = tuple[bool, ...]

# MariaDB commits with every CREATE, so there tables and views do appear one by one (see docs/decisions).
in_one_transaction = pytest.mark.parametrize(
    "place", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


class Reader(threading.Thread):
    """Runs the same queries over and over, together in one statement or one by one in a transaction."""

    def __init__(self, place: Place, queries: tuple[str, ...], *, at_once: bool) -> None:
        super().__init__()
        prefix = "" if place.schema is None else f"{place.schema}."
        self._place, self._at_once = place, at_once
        self._queries = [query.replace("{}", prefix) for query in queries]
        self._over = threading.Event()
        self.seen: set[Seen] = set()
        self.failures: list[BaseException] = []

    def run(self) -> None:
        url = self._place.url.replace("postgresql://", "postgresql+psycopg://")
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        while not self._over.wait(0.002):
            try:
                with engine.connect() as connection:
                    self.seen.add(self._read(connection))
            except sa.exc.DBAPIError as error:
                if not any(words in str(error.orig) for words in ("no such table", "does not exist")):
                    self.failures.append(error)
                    return
                self.seen.add(())  # nothing is there yet

    def _read(self, connection: sa.Connection) -> Seen:
        if self._at_once:
            together = ", ".join(f"({query})" for query in self._queries)
            return tuple(map(bool, connection.exec_driver_sql(f"SELECT {together}").one()))
        if self._place.schema is None:
            connection.exec_driver_sql("BEGIN")
        else:
            connection.execution_options(isolation_level="REPEATABLE READ")
        return tuple(bool(connection.exec_driver_sql(query).scalar_one()) for query in self._queries)


@contextmanager
def readers(place: Place, *queries: str) -> Iterator[set[Seen]]:
    """What both kinds of reader have read, once they are through. ``()`` is a table or view that is not there."""
    seen: set[Seen] = set()
    threads = [Reader(place, queries, at_once=at_once) for at_once in (True, False)]
    for reader in threads:
        reader.start()
    try:
        yield seen
    finally:
        for reader in threads:
            reader._over.set()
            reader.join()
    for reader in threads:
        assert reader.failures == []
        seen |= reader.seen


@in_one_transaction
def test_the_first_tables_appear_together_and_so_do_the_tables_of_each_load(place: Place) -> None:
    names = ("loads", "results", "latest_load", "current_results")
    queries = [f"SELECT count(*) > 0 FROM {{}}{name}" for name in names]
    first, *others = (f"(SELECT max(substr(name, 5)) FROM {{}}{name})" for name in ("groups", "playables"))
    dates = ("(SELECT max(export_date) FROM {}loads)", "(SELECT max(export_date) FROM {}results)")
    same = [f"SELECT coalesce(cast({one} AS text) = cast({dates[0]} AS text), true)" for one in dates]
    same += [f"SELECT coalesce({first} = {other}, true)" for other in others]
    with place.opened() as warehouse:
        sql(warehouse, "SELECT 1")  # an empty file, where it is one
        with readers(place, *queries) as seen:
            warehouse.prepare()
            loader.publish(warehouse, 1)
        assert () in seen
        assert seen <= {(), (False,) * 4, (True,) * 4}
        with readers(place, *same) as seen:
            for number in (2, 3):
                loader.publish(warehouse, number)
        assert seen == {(True,) * 3}


@in_one_transaction
def test_a_person_is_forgotten_everywhere_at_once(place: Place) -> None:
    tables = ("accounts", "group_members", "results", "current_results")
    queries = [f"SELECT count(*) > 0 FROM {{}}{table} WHERE account_id = 'a1'" for table in tables]
    content: dict[str, Any] = {
        "accounts": [account("a1"), account("a2")],
        "groups": [group("g")],
        "group_members": [member("g", "a1"), member("g", "a2")],
        "playables": [playable(f"p{number}") for number in range(300)],
        "results": [result(day(1), "g", who, f"p{number}") for who in ("a1", "a2") for number in range(300)],
    }
    with place.prepared() as warehouse:
        load(warehouse, day(1), content)
        with readers(place, *queries) as seen, warehouse.erasing() as erase:
            erase(Person("a1"), erased_text=str, archive_lines=0)
        assert seen <= {(True,) * 4, (False,) * 4}


@in_one_transaction
def test_a_view_is_renewed_without_a_moment_in_which_it_is_not_there(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the version before had made it by another query."""
    latest = schema_sync.VIEWS["latest_load"]
    nothing = View(latest.name, latest.description, latest.columns, lambda it: latest.query(it).where(sa.false()))
    with place.opened() as warehouse:
        with monkeypatch.context() as patched:
            patched.setattr(schema_sync, "VIEWS", {**schema_sync.VIEWS, "latest_load": nothing})
            warehouse.prepare()
        load(warehouse, day(1), {"accounts": [account("a")]})
        with readers(place, "SELECT count(*) > 0 FROM {}latest_load") as seen:
            warehouse.prepare()
        assert sql(warehouse, "SELECT count(*) FROM {}latest_load") == [(1,)]
    assert seen <= {(False,), (True,)}


def test_a_text_in_which_a_person_is_replaced_has_the_hash_that_a_load_of_it_gives(any_warehouse: Warehouse) -> None:
    text, left = "Team Jan Jansen \U0001f600", "Team [forgotten] \U0001f600"
    more: dict[str, Any] = {"created_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "is_sensitive": True}
    load(any_warehouse, day(1), {"groups": [group("g", text, member_count=3, **more), group("h", text.upper())]})
    with any_warehouse.erasing() as erase:
        erased = erase(Person("a"), erased_text=lambda found: found.replace(text, left), archive_lines=0)
    assert erased == {"groups": 1, "groups_history": 1}
    content = {"groups": [group("g", left, member_count=3, **more), group("h", text.upper())]}
    assert load(any_warehouse, day(1), content).tables["groups"].rows_unchanged == 2
    hashes = [
        sql(any_warehouse, f"SELECT row_hash FROM {{}}{name} ORDER BY 1") for name in ("groups", "groups_history")
    ]
    assert hashes[0] == hashes[1]


SECRET = "Johanna van der Zee"


@pytest.mark.parametrize("step", ["stage", "publish"])
def test_an_error_of_the_database_names_the_constraint_and_no_value_of_a_row(place: Place, step: str) -> None:
    """The driver's own message quotes the row, and its traceback would show it."""
    with place.prepared() as warehouse:
        # MariaDB indexes only a part of a long text.
        name = "name(50)" if is_mariadb(warehouse) else "name"
        if step == "publish":
            sql(warehouse, f"CREATE UNIQUE INDEX only_one_name ON {{}}accounts ({name})")
        with (  # noqa: PT012 (which of the steps fails is what the test is about)
            pytest.raises(PipelineError, match="Warehouse: ") as caught,
            warehouse.loading(plan(day(1), ["accounts"])) as loading,
        ):
            if step == "stage":
                narrow(warehouse, loading)
            loading.stage(batch("accounts", [account("a", SECRET), account("b", SECRET)]))
            loading.merge()
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        if step == "publish":
            assert any(words in str(caught.value) for words in ("accounts.name", "only_one_name"))
        assert rows(warehouse, "accounts") == []


def narrow(warehouse: Warehouse, loading: Any) -> None:
    """Have the staging table refuse the row."""
    connection = loading._connection
    if warehouse.schema is None:
        connection.exec_driver_sql(f"CREATE UNIQUE INDEX temp.narrow ON {PREFIX}accounts (name)")
    elif is_mariadb(warehouse):
        connection.exec_driver_sql(f"ALTER TABLE {warehouse.schema}.{PREFIX}accounts MODIFY name varchar(3)")
    else:
        connection.exec_driver_sql(f"ALTER TABLE {PREFIX}accounts ALTER COLUMN name TYPE varchar(3)")
    connection.commit()


def test_nothing_of_a_load_is_there_before_it_is_published_or_if_it_never_is(place: Place) -> None:
    with place.prepared() as warehouse, place.opened() as reader:
        file = Path(warehouse.engine.url.database or "")

        def size() -> int:
            files = (file, file.with_name(f"{file.name}-wal"))
            return sum(each.stat().st_size for each in files if each.exists())

        for is_published in (False, True):
            before = size() if place.schema is None else 0
            with warehouse.loading(plan(day(1), ["accounts"])) as loading:
                loading.stage(batch("accounts", [account(f"a{number}", "x" * 1_000) for number in range(300)]))
                loading.validate()
                assert rows(reader, "accounts") == rows(reader, "loads") == []
                if place.schema is None:  # staging is in no file of the warehouse
                    assert size() == before
                if is_published:
                    loading.merge()
            assert len(rows(reader, "accounts")) == (300 if is_published else 0)
            names = sa.inspect(warehouse.engine).get_table_names(schema=place.schema)
            assert [name for name in names if name.startswith(PREFIX)] == []
