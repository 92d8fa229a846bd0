from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from drillster_pipeline.errors import ContractError
from drillster_pipeline.extract.batches import Page
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES, resources_of

from .pages import CAPTURED_AT, Asked, extract, page

NOOR = {"id": "noor", "name": "Noor"}
CAPTURE: list[Asked] = [
    page("organization", {"id": "org"}),
    page("accounts", [{"account": {**NOOR, "thirdPartyIds": [{"thirdParty": "HR", "id": "1"}]}}]),
    page("catalogs", [{"id": "c"}]),
    page("catalog_content", {"playables": [{"id": "d", "type": "DRILL"}]}, catalog_id="c"),
    page("groups", [{"id": "g"}]),
    page("groups", {"id": "g", "tests": [{"id": "t", "type": "TEST"}]}, group_id="g"),
    page("group_members", [{"member": NOOR, "joined": "2024-01-11"}], group_id="g"),
    page("group_staff", [{"user": {"id": "boss"}, "permission": "VIEW"}], group_id="g"),
    page("group_drillables", [{"id": "d", "type": "DRILL"}], group_id="g"),
    page("objectives", [{"id": "o", "minimumProficiency": 80, "playables": [{"id": "d"}]}], group_id="g"),
    page("objective_evaluations", [{"user": NOOR, "met": True}], group_id="g", objective_id="o"),
    page("results", [{"drillable": {"id": "d"}}], group_id="g", account_id="noor"),
    page(
        "test_results",
        [{"id": "r", "user": NOOR, "score": {"transformations": [{"id": "x"}]}, "drills": [{"drill": {"id": "d"}}]}],
        group_id="g",
        test_id="t",
    ),
]


def test_a_capture_fills_every_table_of_a_snapshot() -> None:
    found = extract(*CAPTURE)
    assert {batch.table.name for batch in found.batches if len(batch.frame)} == set(DATA_TABLES) - {"objective_events"}
    assert found.rejects() == []


def test_every_reference_of_a_capture_is_among_its_rows() -> None:
    found = extract(*CAPTURE)
    for table in DATA_TABLES.values():
        for column in table.columns:
            if column.references:
                parent, field = column.references.split(".")
                values = set(found.column(table.name, column.name)) - {None}
                assert values <= set(found.column(parent, field)), f"{table.name}.{column.name}"


@pytest.mark.parametrize("name", [name for name in DATA_TABLES if name != "objective_events"])
def test_a_table_that_is_asked_for_alone_is_as_it_is_among_all(name: str) -> None:
    alone = extract(*CAPTURE, tables=(name,))
    assert {batch.table.name for batch in alone.batches} == {name}
    assert alone.rows(name) == extract(*CAPTURE).rows(name)


def test_pages_that_no_table_draws_on_are_not_even_looked_at() -> None:
    broken = [page(resource, "<html>") for resource in RESOURCES if resource not in resources_of(("groups",))]
    assert extract(*broken, page("groups", [{"id": "g"}]), tables=("groups",)).column("groups", "group_id") == ["g"]


@pytest.mark.parametrize(
    ("objectives", "unreadable"),
    [
        ([{"id": "o", "playables": [{"id": "d"}]}], set()),
        ([{"id": "o", "playables": [{"id": [5]}, {"id": "d"}]}], {"objective_playables"}),
        ([{"id": "o", "playables": ["d"]}], {"objective_playables"}),
        ([{"id": None, "playables": []}], {"objectives"}),
    ],
)
def test_a_table_that_nobody_asked_for_is_unreadable_where_a_row_of_it_is(
    objectives: list[Any], unreadable: set[str]
) -> None:
    """They may have named a playable that nothing else names, so it may be there though it is not among the rows."""
    found = extract(page("objectives", objectives, group_id="g"), tables=("playables",))
    assert found.unreadable == unreadable
    assert {batch.table.name for batch in found.batches} <= {"playables"}


@pytest.mark.parametrize(
    ("table", "unreadable"), [("accounts", "groups"), ("accounts", "objectives"), ("playables", "catalogs")]
)
def test_a_list_is_unreadable_where_what_it_leads_to_could_not_be_asked_for(table: str, unreadable: str) -> None:
    """Nobody can ask for the members of a group without an id, so they may be there though nothing names them."""
    assert extract(page(unreadable, [{"id": [5]}]), tables=(table,)).unreadable == {unreadable}


def test_events_bring_the_people_that_they_name() -> None:
    item = {"eventType": "OBJECTIVE_BECAME_OK", "timestamp": "2026-03-14T09:00Z", "user": NOOR}
    found = extract(
        page("objective_events", [item], group_id="g", objective_id="o"),
        kind="events",
        tables=("objective_events", "accounts"),
    )
    assert [batch.table.name for batch in found.batches] == ["accounts", "objective_events"]


def test_batches_are_cut_into_chunks_and_lose_nothing() -> None:
    items = [[{"drillable": {"id": f"d{number}-{place}"}} for place in range(30)] for number in range(10)]
    pages = [page("results", some, group_id="g", account_id=f"a{number}") for number, some in enumerate(items)]
    whole, cut = extract(*pages), extract(*pages, chunk_rows=70)
    sizes = [len(batch.frame) for batch in cut.batches if batch.table.name == "results"]
    assert sizes == [70, 20, 70, 20, 70, 20, 30]
    assert cut.rows("results") == whole.rows("results")
    assert max(len(batch.frame) for batch in cut.batches) <= 70


def test_a_page_without_a_list_is_a_contract_error_that_names_its_unit() -> None:
    with pytest.raises(ContractError, match=r"^results: expected a list .*\(group_id g, account_id a, page 3\)$"):
        extract(page("results", {"id": "?"}, number=3, group_id="g", account_id="a"))
    with pytest.raises(ContractError, match=r"\(the list, page 1\)$"):
        extract(page("groups", {"id": "?"}))


def test_pages_are_read_one_at_a_time() -> None:
    """An archive is larger than memory: nothing may ask for a page before the one before it is dealt with."""
    from drillster_pipeline.extract.extractor import Extractor

    read: list[int] = []

    def pages() -> Any:
        for number in range(4):
            read.append(number)
            yield (
                "results",
                Page({"group_id": "g", "account_id": "a"}, number, CAPTURED_AT, [{"drillable": {"id": "d"}}]),
            )

    extractor = Extractor(export_date=CAPTURED_AT.date(), tables=("results",), chunk_rows=1)
    batches = extractor.batches(pages())
    next(batches)
    assert read == [0]


GROWTH = """
import sys
from datetime import UTC, date, datetime
from drillster_pipeline.tables import tables_of
from drillster_pipeline.extract.batches import Page
from drillster_pipeline.extract.extractor import Extractor

def pages(rows):
    at = datetime(2026, 3, 15, tzinfo=UTC)
    for number in range(rows // 50):
        items = [
            {"drillable": {"id": f"d{place}", "type": "DRILL", "name": "Medicines"},
             "practice": {"proficiency": {"overall": place}, "timeSpent": number, "added": "2026-01-02T08:00:00Z"}}
            for place in range(50)
        ]
        yield "results", Page({"group_id": f"g{number % 100}", "account_id": f"a{number % 5000}"}, 1, at,
                              {"groupDrillableMemberResults": items})

def read(rows):
    extractor = Extractor(export_date=date(2026, 3, 14), tables=tables_of("snapshot"))
    return sum(len(batch.frame) for batch in extractor.batches(pages(rows)) if batch.table.name == "results")

def peak():
    # Not ru_maxrss: that begins with the peak of the process which started this one.
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0])

assert read(100_000) == 100_000
before = peak()
assert read(500_000) == 500_000
after = peak()
print(before // 1024, after // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_number_of_results() -> None:
    told = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    before, after = map(int, told.stdout.split())
    assert after - before < 12, f"{before} MiB after 100,000 rows, {after} MiB after 500,000 more"
    assert after < 200
