from __future__ import annotations

import threading
from pathlib import Path

import pytest

from drillster_pipeline.errors import Busy
from tests.api.conftest import FakeTime
from tests.support.databases import Place

from .support import account, batch, column, day, is_mariadb, load, plan, sql


def test_a_second_writer_gets_the_name_of_the_first_and_what_to_do(place: Place) -> None:
    time = FakeTime()
    with (
        place.prepared() as first,
        place.opened(lock_wait_seconds=20, monotonic=time.clock, sleep=time.sleep) as second,
        first.loading(plan(day(1), ["accounts"])),
        pytest.raises(Busy) as caught,
        second.loading(plan(day(2), ["accounts"])),
    ):
        pass

    message = str(caught.value)
    assert "for longer than 20 s. Wait until that run is done, or stop it" in message
    holder = {None: "run run-2026-01-01 (snapshot of 2026-01-01), process"}
    assert holder.get(place.schema, "role root" if is_mariadb(first) else "role postgres") in message
    assert sum(time.slept) == pytest.approx(20)


def test_a_second_writer_waits_for_the_first(place: Place) -> None:
    waits = threading.Event()
    with place.prepared() as first, place.opened(sleep=lambda _: waits.wait(0.01) or waits.set()) as second:
        with first.loading(plan(day(1), ["accounts"])) as loading:
            loading.stage(batch("accounts", [account("a", "First")]))
            waiting = threading.Thread(target=load, args=(second, day(2), {"accounts": [account("a", "Second")]}))
            waiting.start()
            assert waits.wait(60)
            loading.merge()
        waiting.join(60)
        assert column(first, "accounts", "name") == {"a": "Second"}


def test_preparing_waits_for_a_load_only_where_there_is_something_to_do(place: Place) -> None:
    with place.prepared() as first, place.opened(lock_wait_seconds=0) as second:
        with first.loading(plan(day(1), ["accounts"])):
            second.prepare()
            sql(first, "DROP VIEW {}latest_load")
            with pytest.raises(Busy):
                second.prepare()
        with pytest.raises(ZeroDivisionError), first.loading(plan(day(1), ["accounts"])):
            raise ZeroDivisionError
        # The lock is free after a load that failed.
        second.prepare()
        load(second, day(1), {"accounts": [account("a")]})
        assert column(first, "accounts", "name") == {"a": "A"}


def test_two_processes_can_race_to_prepare(place: Place) -> None:
    failures: list[BaseException] = []
    gate = threading.Barrier(4)

    def prepare() -> None:
        with place.opened() as warehouse:
            gate.wait()
            try:
                warehouse.prepare()
            except BaseException as error:  # noqa: BLE001 (whatever it is, the test shows it)
                failures.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with place.opened() as warehouse:
        load(warehouse, day(1), {"accounts": [account("a")]})


@pytest.mark.slow
def test_schemas_of_one_database_do_not_wait_for_each_other(postgresql: Place) -> None:
    other = Place(postgresql.url, f"{postgresql.schema}_b")
    with postgresql.opened() as first, other.opened(lock_wait_seconds=0) as second:
        first.prepare()
        second.prepare()
        with first.loading(plan(day(1), ["accounts"])), second.loading(plan(day(1), ["accounts"])):
            pass
        sql(second, f"DROP SCHEMA {other.schema} CASCADE")


def test_two_names_of_a_file_are_one_lock(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with (
        Place(f"sqlite:///{tmp_path}/real/w.sqlite").prepared() as first,
        Place(f"sqlite:///{tmp_path}/link/w.sqlite").opened(lock_wait_seconds=0) as second,
        first.loading(plan(day(1), [])),
        pytest.raises(Busy),
        second.loading(plan(day(1), [])),
    ):
        pass


def test_a_lock_file_that_a_killed_process_left_locks_nothing(sqlite: Place) -> None:
    with sqlite.prepared(lock_wait_seconds=0) as warehouse:
        Path(f"{warehouse.engine.url.database}.lock").write_text("run 7, process 1 on nowhere")
        load(warehouse, day(1), {"accounts": [account("a")]})


def test_another_program_that_writes_to_the_file_makes_a_load_busy(
    sqlite: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drillster_pipeline.warehouse.dialects.sqlite.BUSY_SECONDS", 0.1)
    with sqlite.opened() as ours, sqlite.opened() as theirs:
        ours.prepare()
        with theirs.engine.connect() as connection:
            connection.execution_options(sqlite_begin="IMMEDIATE")
            connection.begin()
            with pytest.raises(Busy, match="another program is writing to the file"):
                load(ours, day(1), {"accounts": [account("a")]})
        load(ours, day(1), {"accounts": [account("a")]})
        assert column(ours, "accounts", "name") == {"a": "A"}
