from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from drillster_pipeline.errors import ContractError
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES, tables_of

from .answers import FORMS, example, respond
from .pages import CAPTURED_AT, ResourcePage, extract, page

CAPTURE: list[ResourcePage] = [
    page("organization", example.organization),
    *(respond(name, [form["items"][0]]) for name, form in FORMS.items() if name != "objective_events"),
    page("groups", {**example.group, "tests": [{"id": "t", "type": "TEST"}]}, group_id="g"),
]
CAPTURE.sort(key=lambda response: list(RESOURCES).index(response[0]))


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


def test_a_table_that_is_loaded_alone_is_as_it_is_among_all() -> None:
    together = extract(*CAPTURE)
    for name in tables_of("snapshot"):
        alone = extract(*CAPTURE, tables=(name,))
        assert {batch.table.name for batch in alone.batches} == {name}
        assert alone.rows(name) == together.rows(name), name


def test_pages_that_no_table_is_read_from_are_not_read() -> None:
    broken = [page(resource, "<html>") for resource in RESOURCES if resource != "groups"]
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
def test_a_table_that_is_not_loaded_is_unreadable_where_a_row_of_it_is(
    objectives: list[Any], unreadable: set[str]
) -> None:
    found = extract(page("objectives", objectives, group_id="g"), tables=("playables",))
    assert found.unreadable == unreadable
    assert {batch.table.name for batch in found.batches} <= {"playables"}


@pytest.mark.parametrize(
    ("table", "unreadable"), [("accounts", "groups"), ("accounts", "objectives"), ("playables", "catalogs")]
)
def test_a_list_is_unreadable_where_what_it_leads_to_could_not_be_requested(table: str, unreadable: str) -> None:
    assert extract(page(unreadable, [{"id": [5]}]), tables=(table,)).unreadable == {unreadable}


def test_events_add_the_people_that_they_refer_to() -> None:
    found = extract(respond("objective_events", [example.event]), tables=("objective_events", "accounts"))
    assert [batch.table.name for batch in found.batches] == ["accounts", "objective_events"]


def test_batches_are_cut_into_chunks_and_lose_nothing() -> None:
    items = [[{"drillable": {"id": f"d{number}-{place}"}} for place in range(30)] for number in range(10)]
    pages = [page("results", some, group_id="g", account_id=f"a{number}") for number, some in enumerate(items)]
    together, cut = extract(*pages), extract(*pages, chunk_rows=70)
    sizes = [len(batch.frame) for batch in cut.batches if batch.table.name == "results"]
    assert sizes == [70, 20, 70, 20, 70, 20, 30]
    assert cut.rows("results") == together.rows("results")
    assert max(len(batch.frame) for batch in cut.batches) <= 70


def test_a_page_without_a_list_is_a_contract_error_that_names_its_unit() -> None:
    with pytest.raises(ContractError, match=r"^results: expected a list .*\(group_id g, account_id a, page 3\)$"):
        extract(page("results", {"id": "?"}, number=3, group_id="g", account_id="a"))
    with pytest.raises(ContractError, match=r"\(the list, page 1\)$"):
        extract(page("groups", {"id": "?"}))


def test_pages_are_read_one_at_a_time() -> None:
    """An archive is larger than memory: no page is read before the rows of the one before it are given."""
    read: list[int] = []

    def pages() -> Iterator[ResourcePage]:
        for number in range(4):
            read.append(number)
            yield page("results", [{"drillable": {"id": "d"}}], number=number, group_id="g", account_id="a")

    extractor = Extractor(export_date=CAPTURED_AT.date(), tables=("results",), chunk_rows=1)
    next(extractor.batches(pages()))
    assert read == [0]


def test_memory_does_not_grow_with_the_number_of_results() -> None:
    practice = {"proficiency": {"overall": 50}, "timeSpent": 9, "added": "2026-01-02T08:00:00Z"}
    items = [
        {"drillable": {"id": f"d{place}", "type": "DRILL", "name": "A"}, "practice": practice} for place in range(50)
    ]

    def peak_of(rows: int) -> int:
        extractor = Extractor(export_date=CAPTURED_AT.date(), tables=tables_of("snapshot"), chunk_rows=500)
        numbers = range(rows // 50)
        pages = (page("results", items, group_id=f"g{number}", account_id=f"a{number % 50}") for number in numbers)
        tracemalloc.start()
        try:
            read = sum(len(batch.frame) for batch in extractor.batches(pages) if batch.table.name == "results")
            return tracemalloc.get_traced_memory()[1]
        finally:
            assert read == rows
            tracemalloc.stop()

    peak_of(5_000)
    # What is left to the garbage collector varies by some 100 kB; rows that were kept would make it five times as much.
    assert peak_of(25_000) < 2 * peak_of(5_000)
