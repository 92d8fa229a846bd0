"""``kill -9`` at any moment: the warehouse is as before the load or as after it, and nothing else is left."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.errors import Unavailable
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.staging import PREFIX

from . import loader
from .nights import account, batch, day, load, plan
from .place import Place, column, is_mariadb, rows, sql


class Victims:
    """Processes that load, and are killed at it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def load(self, night: int, how: str, when: float) -> str:
        """Load a night and be killed; ``killed`` or ``published``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{night} {how} {when}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@pytest.fixture
def victims(place: Place) -> Iterator[Victims]:
    command = [sys.executable, loader.__file__, place.url, place.schema or ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Victims(process)
        process.stdin.close()  # type: ignore[union-attr]  # it has one


def state(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    return {name: rows(warehouse, name) for name in (*loader.TABLES, *loader.HISTORIES)}


@pytest.fixture
def nights_in_peace(place: Place, tmp_path: Path) -> Iterator[Any]:
    """What the tables hold after the first so many nights, loaded without disturbance into another warehouse."""
    found: dict[int, Any] = {}
    with Place(f"sqlite:///{tmp_path}/peace.sqlite", None).opened() as warehouse:
        warehouse.prepare()

        def after(last: int) -> Any:
            while len(found) <= last:
                if found:
                    loader.publish(warehouse, len(found), chunk=100_000)
                found[len(found)] = state(warehouse)
            return found[last]

        yield after


def deaths(chance: random.Random) -> list[tuple[str, float]]:
    """At a statement (a load of this size has up to 137), at any moment at all, and right after the commit."""
    found = [("statement", float(chance.randint(1, 130))) for _ in range(12)]
    found += [("after", chance.uniform(0.02, 0.3)) for _ in range(4)]
    chance.shuffle(found)
    return [*found, ("commit", 0.0)]


def test_a_load_that_is_killed_leaves_the_warehouse_as_before_or_as_after(
    place: Place, victims: Victims, nights_in_peace: Any
) -> None:
    done = killed = 0
    with place.opened(lock_wait_seconds=30) as warehouse:
        warehouse.prepare()
        for how, when in deaths(random.Random(7)):
            ended = victims.load(done + 1, how, when)
            loads = [row["export_date"] for row in rows(warehouse, "loads")]
            assert loads in ([day(number) for number in range(1, last + 1)] for last in (done, done + 1))
            assert len(loads) == done + 1 or ended == "killed"
            done = len(loads)
            assert state(warehouse) == nights_in_peace(done)
            if not (is_mariadb(warehouse) and ended == "killed"):
                assert_nothing_is_left(warehouse)
            killed += ended == "killed"
        assert ended == "killed"
        assert killed > 8
        assert done > 0
        # The lock is free, and the next run finishes the night.
        loader.publish(warehouse, done + 1)
        assert state(warehouse) == nights_in_peace(done + 1)
        assert_nothing_is_left(warehouse)


def assert_nothing_is_left(warehouse: Warehouse) -> None:
    """No staging table, in any schema; on PostgreSQL once the server has seen that the client is gone.

    On MariaDB they are ordinary tables, which the next load clears.
    """
    if warehouse.schema is None:
        assert not [name for (name,) in sql(warehouse, "SELECT name FROM sqlite_master") if name.startswith(PREFIX)]
        file = Path(warehouse.engine.url.database or "")
        assert {path.name for path in file.parent.iterdir()} <= {
            file.name,
            f"{file.name}-wal",
            f"{file.name}-shm",
            f"{file.name}.lock",
        }
        return
    if is_mariadb(warehouse):
        found = sa.inspect(warehouse.engine).get_table_names(schema=warehouse.schema)
        assert not [name for name in found if name.startswith(PREFIX)]
        return
    query = f"SELECT count(*) FROM pg_class WHERE relname LIKE '{PREFIX}%%' AND relkind = 'r'"
    deadline = time.monotonic() + 20
    while sql(warehouse, query) != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_reader_never_sees_half_a_load(place: Place) -> None:
    """All tables of a load appear together, and reading goes on while it is published."""
    prefix = "" if place.schema is None else f"{place.schema}."
    moment = sa.text(
        f"SELECT (SELECT max(export_date) FROM {prefix}loads), (SELECT max(export_date) FROM {prefix}results),"
        f" (SELECT count(*) FROM {prefix}results), (SELECT max(name) FROM {prefix}groups),"
        f" (SELECT min(name) FROM {prefix}groups), (SELECT count(DISTINCT substr(name, 9)) FROM {prefix}accounts"
        " WHERE deleted_on IS NULL)"
    )
    per_night = len(loader.night(1)["results"])
    seen: list[int] = []
    failures: list[Any] = []
    stop = threading.Event()

    def read(warehouse: Warehouse) -> None:
        while not stop.is_set():
            with warehouse.engine.connect() as connection:
                found = connection.execute(moment).one()
            if found[0] is None:
                if found[2] != 0:
                    failures.append(found)
                continue
            number = int(str(found[0])[-2:])
            if tuple(map(str, found)) != (
                str(day(number)),
                str(day(number)),
                str(per_night * number),
                f"day {number}",
                f"day {number}",
                "1",
            ):
                failures.append(found)
            seen.append(number)

    with place.opened() as warehouse, place.opened() as readers:
        warehouse.prepare()
        polling = threading.Thread(target=read, args=(readers,))
        polling.start()
        try:
            for number in range(1, 6):
                loader.publish(warehouse, number, chunk=10_000)
        finally:
            stop.set()
            polling.join()
    assert failures == []
    assert seen == sorted(seen)
    assert len(set(seen)) > 1


def test_a_publish_that_fails_halfway_shows_nothing(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    load(warehouse, day(1), {"accounts": [account("a")], "groups": [{"group_id": "g"}]})
    before = {name: rows(warehouse, name, ledger=True) for name in ("accounts", "groups", "loads", "load_tables")}

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("drillster_pipeline.warehouse.load.Load._write_tables", fail)
    with pytest.raises(ZeroDivisionError):
        load(warehouse, day(2), {"accounts": [account("a", "Other")], "groups": [{"group_id": "h"}]})
    assert {name: rows(warehouse, name, ledger=True) for name in before} == before


@pytest.mark.parametrize("step", ["stage", "validate", "merge"])
@pytest.mark.parametrize("place", ["postgresql", "mariadb"], indirect=True)
def test_a_lost_connection_is_an_error_that_says_so_and_the_next_run_goes_on(place: Place, step: str) -> None:
    with place.opened(lock_wait_seconds=20) as warehouse, place.opened() as administrator:
        warehouse.prepare()
        load(warehouse, day(1), {"accounts": [account("a")]})

        def lose() -> None:
            if is_mariadb(administrator):
                others = "SELECT id FROM information_schema.processlist WHERE user = 'root' AND id <> connection_id()"
                for (number,) in sql(administrator, others):
                    sql(administrator, f"KILL {number}")
                return
            sql(
                administrator,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'drillster-pipeline' AND pid <> pg_backend_pid()",
            )

        with (  # noqa: PT012 (which of the steps fails is what the test is about)
            pytest.raises(Unavailable, match=r"the session|the connection was lost"),
            warehouse.loading(plan(day(2), ["accounts"])) as loading,
        ):
            if step == "stage":
                lose()
            loading.stage(batch("accounts", [account("a", "Other")]))
            if step == "validate":
                lose()
            loading.validate()
            lose()
            loading.merge()
        assert column(warehouse, "accounts", "name") == {"a": "A"}
        load(warehouse, day(2), {"accounts": [account("a", "Other")]})
        assert column(warehouse, "accounts", "name") == {"a": "Other"}


def test_a_full_disk_is_told_and_leaves_everything_as_it_was(sqlite: Place) -> None:
    with sqlite.opened() as warehouse:
        warehouse.prepare()
        load(warehouse, day(1), {"accounts": [account("a")]})

        def limit(connection: Any, *_: Any) -> None:
            # SQLite's own way to run out of room.
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")

        sa.event.listen(warehouse.engine, "connect", limit)
        warehouse.engine.dispose()
        people = [account(f"b{number}", "x" * 1_000) for number in range(500)]
        with pytest.raises(Unavailable, match="is full; make room"):
            load(warehouse, day(2), {"accounts": people})
        assert [*column(warehouse, "accounts", "name")] == ["a"]
        sa.event.remove(warehouse.engine, "connect", limit)
        warehouse.engine.dispose()
        load(warehouse, day(2), {"accounts": [account("a"), *people]})
        assert len(rows(warehouse, "accounts")) == 501
