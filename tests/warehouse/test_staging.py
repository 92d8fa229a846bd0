from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from drillster_pipeline.extract.batches import Batch, Reject
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.staging import PREFIX, as_json

from .nights import account, batch, day, group, load, plan, playable, result
from .place import Place, rows, sql

CHUNK, CHUNKS = 10_000, 16


def resident_mib() -> float:
    """Memory of this process, that of the database's own library included."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def many_results() -> Iterator[Batch]:
    for chunk in range(CHUNKS):
        found = (result(day(1), "g", f"a{chunk:02}", f"p{number:05}", number % 100) for number in range(CHUNK))
        yield batch("results", found)


def many_rejects() -> Iterator[Batch]:
    for chunk in range(CHUNKS):
        bad = [
            Reject("results", f"proficiency: text {chunk}", {"row": "x" * 500}, (f"{chunk}", f"{number}"))
            for number in range(2_000)
        ]
        yield batch("results", [], bad)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("batches", [many_results, many_rejects], ids=["rows", "rejects"])
def test_memory_does_not_grow_with_what_is_staged(warehouse: Warehouse, batches: Any) -> None:
    parents: dict[str, list[Any]] = {
        "accounts": [account(f"a{number:02}") for number in range(CHUNKS)],
        "playables": [playable(f"p{number:05}") for number in range(CHUNK)],
        "groups": [group("g")],
    }
    with warehouse.loading(plan(day(1), [*parents, "results"])) as loading:
        for name, found in parents.items():
            loading.stage(batch(name, found))
        measured = []
        for one in batches():
            loading.stage(one)
            measured.append(resident_mib())
        if batches is many_results:
            assert loading.merge().tables["results"].rows_inserted == CHUNK * CHUNKS
            measured.append(resident_mib())
    # What is staged is some 40 MiB of rows, or 20 of rejects; held as Python objects it would be several times that.
    assert max(measured[3:]) - measured[2] < 12


def test_nothing_of_a_load_is_seen_before_it_is_published(place: Place) -> None:
    with place.opened() as warehouse, place.opened() as reader:
        warehouse.prepare()
        with warehouse.loading(plan(day(1), ["accounts"])) as loading:
            loading.stage(batch("accounts", [account("a")]))
            loading.validate()
            assert rows(reader, "accounts") == rows(reader, "loads") == []
            loading.merge()
            assert len(rows(reader, "accounts")) == 1


def test_a_load_that_publishes_nothing_leaves_nothing(warehouse: Warehouse) -> None:
    with warehouse.loading(plan(day(1), ["accounts"])) as loading:
        loading.stage(batch("accounts", [account("a")]))
    assert rows(warehouse, "accounts") == rows(warehouse, "loads") == []
    assert [name for name in sa.inspect(warehouse.engine).get_table_names(warehouse.schema) if PREFIX in name] == []


def test_staging_on_sqlite_is_not_in_the_file(sqlite: Place) -> None:
    with sqlite.opened() as warehouse, sqlite.opened() as reader:
        warehouse.prepare()
        file = Path(warehouse.engine.url.database or "")
        before = file.stat().st_size + file.with_name(f"{file.name}-wal").stat().st_size
        with warehouse.loading(plan(day(1), ["accounts"])) as loading:
            loading.stage(batch("accounts", [account(f"a{number}", "x" * 1_000) for number in range(1_000)]))
            loading.validate()
            assert file.stat().st_size + file.with_name(f"{file.name}-wal").stat().st_size == before
            assert [name for (name,) in sql(reader, "SELECT name FROM sqlite_master") if PREFIX in name] == []


def test_two_loads_after_each_other_do_not_see_each_others_rows(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a")]})
    report = load(warehouse, day(2), {"accounts": [account("b")]})
    assert (report.tables["accounts"].rows_read, report.tables["accounts"].rows_inserted) == (1, 1)


def test_a_record_is_json_that_any_database_holds() -> None:
    assert (
        as_json({"name": "é😀", "day": day(1), "nul": "a\0b"})
        == '{"name": "é😀", "day": "2026-01-01", "nul": "a\\u0000b"}'
    )
    assert as_json({"half": "\ud83d"}) == '{"half": "\\ud83d"}'
