from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drillster_pipeline.errors import Refused
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import Warehouse
from tests.support.databases import Place

from .support import ADDITIVE, CAPTURED, account, column, day, event, load, reject, rows


def test_an_empty_warehouse_has_no_loads(warehouse: Warehouse) -> None:
    assert warehouse.ledger.latest_loads() == {}
    assert warehouse.row_counts() == dict.fromkeys(DATA_TABLES, 0)
    assert warehouse.ledger.table_loads("snapshot", day(9), 30) == {}


def test_the_latest_load_of_a_kind_is_that_of_the_newest_date(warehouse: Warehouse) -> None:
    newest = load(warehouse, day(5), {"accounts": [account("a")]})
    load(warehouse, day(3), {"accounts": [account("a")]})
    events = load(warehouse, day(4), {"objective_events": []}, kind="events")

    found = warehouse.ledger.latest_loads()
    assert {kind: (one.load_id, one.export_date, one.finished_at) for kind, one in found.items()} == {
        "snapshot": (newest.load_id, day(5), newest.finished_at),
        "events": (events.load_id, day(4), events.finished_at),
    }
    again = load(warehouse, day(5), {"accounts": [account("a")]})
    assert warehouse.ledger.latest_loads()["snapshot"].load_id == again.load_id


def test_the_ledger_says_what_each_load_did_to_a_table(warehouse: Warehouse) -> None:
    load(warehouse, day(1), {"accounts": [account("a"), account("b"), account("c")]})
    rejected = {"accounts": [reject("accounts", "x")]}
    report = load(
        warehouse, day(2), {"accounts": [account("a", "Other"), account("b"), account("d")]}, rejects=rejected
    )

    newest, oldest = warehouse.ledger.table_loads("snapshot", day(9), 30)["accounts"]
    assert (newest.load_id, newest.kind, newest.export_date, newest.finished_at) == (
        report.load_id,
        "snapshot",
        day(2),
        report.finished_at,
    )
    assert (newest.rows_read, newest.rows_rejected, newest.is_complete) == (4, 1, True)
    assert (newest.rows_inserted, newest.rows_updated, newest.rows_deleted, newest.rows_unchanged) == (1, 1, 1, 1)
    assert oldest.rows_inserted == 3
    (only,) = warehouse.ledger.table_loads("snapshot", day(1), 1)["accounts"]
    assert only.export_date == day(1)

    # Of a date, a load that only adds to the table does not count beside a complete one.
    load(warehouse, day(2), {"accounts": [account("e", is_managed=None)]}, plans={"accounts": ADDITIVE})
    assert warehouse.ledger.table_loads("snapshot", day(9), 1)["accounts"] == [newest]


def test_the_ledger_says_what_was_loaded_when_and_from_where(sqlite: Place) -> None:
    moments = iter(datetime(2026, 5, 1, 2, 30, tzinfo=UTC) + timedelta(minutes=number) for number in range(10))
    with sqlite.prepared(now=lambda: next(moments)) as warehouse:
        report = load(warehouse, day(1), {"accounts": [account("a")]}, capture_id="capture-7")
        (ledger,) = rows(warehouse, "loads", ledger=True)
        # The clock moves a minute each time it is read: when staging begins, when publishing does, when it is done.
        assert column(warehouse, "accounts", "loaded_at") == {"a": datetime(2026, 5, 1, 2, 31, tzinfo=UTC)}
    assert ledger == {
        "load_id": report.load_id,
        "run_id": "run-2026-01-01",
        "export_date": day(1),
        "kind": "snapshot",
        "started_at": datetime(2026, 5, 1, 2, 30, tzinfo=UTC),
        "finished_at": datetime(2026, 5, 1, 2, 32, tzinfo=UTC),
        "captured_from": CAPTURED,
        "captured_until": CAPTURED,
        "archive_url": "data/archive",
        "manifest_sha256": None,
        "program_version": "1.2.3",
        "capture_id": "capture-7",
        "is_whole": True,
        "is_complete": True,
        "requests_refused": None,
        "timezone": None,
        "date_begins_at": None,
        "date_ends_at": None,
    }
    assert report.load_id.startswith("2026-01-01-snapshot-")
    assert report.finished_at == datetime(2026, 5, 1, 2, 32, tzinfo=UTC)


def test_counts_of_a_report_add_up_to_what_was_read(warehouse: Warehouse) -> None:
    people = [account("a"), account("a"), account("b")]
    events = [event("e", "a"), event("e", "a"), event("f", "b"), event("g", "nobody")]
    report = load(warehouse, day(1), {"accounts": people, "objective_events": events})
    # The frame leaves out what a batch repeats; across batches validation does.
    accounts, of_events = report.tables["accounts"], report.tables["objective_events"]
    assert (accounts.rows_read, accounts.rows_inserted) == (2, 2)
    assert (of_events.rows_read, of_events.rows_rejected, of_events.rows_inserted) == (3, 1, 2)


def test_reading_a_warehouse_that_was_never_prepared_says_what_to_do(place: Place) -> None:
    with place.opened() as warehouse, pytest.raises(Refused, match="the next load makes it"):
        warehouse.ledger.latest_loads()
