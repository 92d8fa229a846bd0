"""``kill -9``, lost connections and full disks at any moment: the warehouse is as before the load or as after it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.errors import Unavailable
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.staging import PREFIX
from tests.support.databases import Place, sqlite_in

from . import loader
from .support import account, batch, column, day, is_mariadb, load, plan, rows, sql, staging_tables


@pytest.fixture
def killed_load(place: Place) -> Iterator[Callable[[int, str, float], str]]:
    """Load in a process that is killed: see loader.py."""
    command = [sys.executable, loader.__file__, place.url, place.schema or ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def request(number: int, how: str, when: float) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{number} {how} {when}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield request
        process.stdin.close()  # type: ignore[union-attr]  # it has one


def state(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    return {name: rows(warehouse, name) for name in (*loader.TABLES, *loader.HISTORIES)}


@pytest.fixture
def undisturbed(tmp_path: Path) -> Iterator[Callable[[int], Any]]:
    """What the tables hold after the first so many loads, made without disturbance in another warehouse."""
    found: list[Any] = []
    with sqlite_in(tmp_path, "undisturbed.sqlite").prepared() as warehouse:

        def after(last: int) -> Any:
            while len(found) <= last:
                if found:
                    loader.publish(warehouse, len(found))
                found.append(state(warehouse))
            return found[last]

        yield after


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.deep), pytest.param("mariadb", marks=pytest.mark.deep)],
    indirect=True,
)
def test_a_load_that_is_killed_leaves_the_warehouse_as_before_or_as_after(
    place: Place, killed_load: Callable[[int, str, float], str], undisturbed: Callable[[int], Any]
) -> None:
    # At a statement (a load of this size has up to 137), at any moment at all, and right after the commit.
    chance = random.Random(7)
    kills = [("statement", float(chance.randint(1, 130))) for _ in range(8)]
    kills += [("after", chance.uniform(0.02, 0.3)) for _ in range(2)]
    done = killed = 0
    with place.prepared(lock_wait_seconds=30) as warehouse:
        for how, when in [*kills, ("commit", 0.0)]:
            ended = killed_load(done + 1, how, when)
            loads = [row["export_date"] for row in rows(warehouse, "loads")]
            assert loads in ([day(number) for number in range(1, last + 1)] for last in (done, done + 1))
            assert len(loads) == done + 1 or ended == "killed"
            done = len(loads)
            assert state(warehouse) == undisturbed(done)
            if not (is_mariadb(warehouse) and ended == "killed"):
                assert_nothing_is_left(warehouse)
            killed += ended == "killed"
        assert ended == "killed"
        assert killed > 5
        assert done > 0
        # The lock is free, and the next run completes the date.
        loader.publish(warehouse, done + 1)
        assert state(warehouse) == undisturbed(done + 1)
        assert_nothing_is_left(warehouse)


def assert_nothing_is_left(warehouse: Warehouse) -> None:
    """No staging table, in any schema; on PostgreSQL once the server has noticed that the client is gone.

    On MariaDB they are ordinary tables, which the next load clears.
    """
    if warehouse.schema is None:
        assert not [name for (name,) in sql(warehouse, "SELECT name FROM sqlite_master") if name.startswith(PREFIX)]
        file = Path(warehouse.engine.url.database or "")
        others = {f"{file.name}{end}" for end in ("", "-wal", "-shm", ".lock")}
        assert {path.name for path in file.parent.iterdir()} <= others
    elif is_mariadb(warehouse):
        assert staging_tables(warehouse) == []
    else:
        query = f"SELECT count(*) FROM pg_class WHERE relname LIKE '{PREFIX}%%' AND relkind = 'r'"
        deadline = time.monotonic() + 20
        while sql(warehouse, query) != [(0,)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_merge_that_fails_halfway_shows_nothing(any_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    load(any_warehouse, day(1), {"accounts": [account("a")], "groups": [{"group_id": "g"}]})
    before = {name: rows(any_warehouse, name, ledger=True) for name in ("accounts", "groups", "loads", "load_tables")}

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("drillster_pipeline.warehouse.load.Load._write_tables", fail)
    with pytest.raises(ZeroDivisionError):
        load(any_warehouse, day(2), {"accounts": [account("a", "Other")], "groups": [{"group_id": "h"}]})
    assert {name: rows(any_warehouse, name, ledger=True) for name in before} == before


@pytest.mark.deep
@pytest.mark.parametrize("step", ["stage", "validate", "merge"])
def test_a_lost_connection_is_an_error_that_says_so_and_the_next_run_loads(mariadb: Place, step: str) -> None:
    """On PostgreSQL, the load begins again by itself: see tests/pipeline/test_interruptions.py."""
    with mariadb.prepared(lock_wait_seconds=20) as warehouse, mariadb.opened() as administrator:
        load(warehouse, day(1), {"accounts": [account("a")]})

        def end_sessions() -> None:
            others = "SELECT id FROM information_schema.processlist WHERE user = 'root' AND id <> connection_id()"
            sql(administrator, *(f"KILL {number}" for (number,) in sql(administrator, others)))

        with (  # noqa: PT012 (which of the steps fails is what the test is about)
            pytest.raises(Unavailable, match=r"the session|the connection was lost"),
            warehouse.loading(plan(day(2), ["accounts"])) as loading,
        ):
            if step == "stage":
                end_sessions()
            loading.stage(batch("accounts", [account("a", "Other")]))
            if step == "validate":
                end_sessions()
            loading.validate()
            end_sessions()
            loading.merge()
        assert column(warehouse, "accounts", "name") == {"a": "A"}
        load(warehouse, day(2), {"accounts": [account("a", "Other")]})
        assert column(warehouse, "accounts", "name") == {"a": "Other"}
