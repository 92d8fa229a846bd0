from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.extract.batches import Batch, Reject
from drillster_pipeline.warehouse import Warehouse

from .support import account, batch, day, group, plan, playable, result

CHUNK, CHUNKS = 10_000, 12


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


@pytest.mark.slow
@pytest.mark.parametrize("any_warehouse", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("batches", [many_results, many_rejects], ids=["rows", "rejects"])
def test_memory_does_not_grow_with_what_is_staged(any_warehouse: Warehouse, batches: Any) -> None:
    parents: dict[str, list[Any]] = {
        "accounts": [account(f"a{number:02}") for number in range(CHUNKS)],
        "playables": [playable(f"p{number:05}") for number in range(CHUNK)],
        "groups": [group("g")],
    }
    with any_warehouse.loading(plan(day(1), [*parents, "results"])) as loading:
        for name, found in parents.items():
            loading.stage(batch(name, found))
        measured = []
        for one in batches():
            loading.stage(one)
            measured.append(resident_mib())
        if batches is many_results:
            assert loading.merge().tables["results"].rows_inserted == CHUNK * CHUNKS
            measured.append(resident_mib())
    # What is staged is some 30 MiB of rows, or 15 of rejects; as Python objects it would be several times that.
    assert max(measured[3:]) - measured[2] < 12
