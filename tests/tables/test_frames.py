from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest

from drillster_pipeline.extract.batches import MASKED, Reject, batch_of
from drillster_pipeline.extract.parsing import ParseError as Misfit
from drillster_pipeline.tables import DATA_TABLES, Kind, Table

from .pages import CAPTURED_AT, EXPORT_DATE, plain

RESULTS = DATA_TABLES["results"]
MEMBERS = DATA_TABLES["group_members"]
CATALOGS = DATA_TABLES["catalogs"]


def row(table: Table, **values: Any) -> tuple[Any, ...]:
    return tuple(values.get(column.name) for column in table.columns)


def result(**values: Any) -> tuple[Any, ...]:
    known = {"export_date": EXPORT_DATE, "group_id": "g", "account_id": "a", "playable_id": "p"}
    return row(RESULTS, **{**known, "captured_at": CAPTURED_AT, **values})


def member(**values: Any) -> tuple[Any, ...]:
    return row(MEMBERS, **{"group_id": "g", "member_key": "a", "account_id": "a", "status": "MEMBER", **values})


@pytest.mark.parametrize("table", DATA_TABLES.values(), ids=lambda table: table.name)
def test_a_frame_has_the_columns_of_its_table_in_order_and_the_hash_of_an_entity(table: Table) -> None:
    hashed = ["row_hash"] if table.kind is Kind.ENTITY else []
    assert list(batch_of(table, []).frame) == [column.name for column in table.columns] + [*hashed, "source_rank"]


def test_an_empty_frame_has_the_dtypes_of_a_full_one() -> None:
    full = batch_of(RESULTS, [result(proficiency=5, time_spent_seconds=60, added_at="2024-01-11")]).frame
    assert batch_of(RESULTS, []).frame.dtypes.to_dict() == full.dtypes.to_dict()


def test_what_does_not_fit_becomes_a_reject_and_the_rest_a_frame() -> None:
    batch = batch_of(
        RESULTS, [result(), result(playable_id="q", proficiency="high"), result(playable_id="r", proficiency=7)]
    )
    assert list(batch.frame["playable_id"]) == ["p", "r"]
    assert batch.frame.index.tolist() == [0, 1]
    (reject,) = batch.rejects
    assert reject.table == "results"
    assert reject.reason == "proficiency: expected an integer, found text"
    assert reject.key == ("2026-03-14", "g", "a", "q")
    assert batch.rows_read == 3


def test_a_reason_names_every_column_that_is_wrong() -> None:
    (reject,) = batch_of(RESULTS, [result(proficiency=101, added_at="soon", time_spent_seconds=-1)]).rejects
    assert reject.reason == (
        "proficiency: out of range, which is 0 to 100; time_spent_seconds: out of range, which is 0 or more; "
        "added_at: expected a timestamp, found other text"
    )


def test_a_reason_counts_the_columns_that_one_broken_object_spoils() -> None:
    spoilt = Misfit("expected an object, found text")
    names = [column.name for column in RESULTS.columns if column.name.endswith("proficiency")]
    (reject,) = batch_of(RESULTS, [result(**dict.fromkeys(names, spoilt))]).rejects
    assert reject.reason == (
        "proficiency, receptive_proficiency, productive_proficiency and 2 more: expected an object, found text"
    )


@pytest.mark.parametrize("missing", ["group_id", "account_id", "playable_id"])
def test_a_reject_whose_key_cannot_be_read_has_none(missing: str) -> None:
    (reject,) = batch_of(RESULTS, [result(**{missing: None})]).rejects
    assert reject.key is None
    assert reject.reason == f"{missing}: missing"


def test_neither_reason_nor_record_holds_a_personal_value() -> None:
    secrets = {"name": "Noor de Wit", "email_address": "noor@example.org", "member_key": "invitee:4e2d2d78"}
    (reject,) = batch_of(MEMBERS, [member(**secrets, joined_at="Noor")]).rejects
    assert reject.record["name"] == reject.record["email_address"] == reject.record["member_key"] == MASKED
    shown = json.dumps(reject.record) + reject.reason
    assert not any(secret in shown for secret in secrets.values())


def test_a_personal_value_that_is_missing_is_shown_as_missing() -> None:
    (reject,) = batch_of(MEMBERS, [member(joined_at="x")]).rejects
    assert reject.record["name"] is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, 5),
        (0.5, 0.5),
        (True, True),
        (math.nan, "(a number)"),
        (math.inf, "(a number)"),
        (10**400, "(a number)"),
        ({"a": [1]}, "(an object)"),
        (["a"], "(a list)"),
        ("x" * 500, "x" * 200 + "…"),
        ("a\0\ud83d", "a\ufffd"),
        (EXPORT_DATE, "2026-03-14"),
        (CAPTURED_AT, "2026-03-15T01:30:00+00:00"),
        (Misfit("expected an id, found a list"), "(expected an id, found a list)"),
    ],
)
def test_a_record_is_plain_json_of_bounded_length(value: Any, shown: Any) -> None:
    (reject,) = batch_of(CATALOGS, [("c", None, None, value, "many")]).rejects
    assert reject.record["organization_id"] == shown
    assert json.loads(json.dumps(reject.record, allow_nan=False)) == reject.record


def test_free_text_is_masked_as_it_may_name_people() -> None:
    (reject,) = batch_of(CATALOGS, [("c", "Ask Jo Vermeer", "By Jo Vermeer", None, "many")]).rejects
    assert reject.record["name"] == reject.record["description"] == MASKED


def test_rows_that_share_a_key_are_given_once_the_last_of_them() -> None:
    rows = [result(proficiency=1), result(playable_id="q"), result(proficiency=2), result(proficiency=3)]
    batch = batch_of(RESULTS, rows)
    assert [(one["playable_id"], one["proficiency"]) for one in plain(batch.frame)] == [("q", None), ("p", 3)]
    assert batch.rows_read == 4


@pytest.mark.parametrize(("ranks", "counts"), [([5, 7, 7], 3), ([7, 5, 5], 1), ([5, 7, 6], 2)])
def test_of_rows_that_share_a_key_that_of_the_highest_rank_counts(ranks: list[int], counts: int) -> None:
    rows = [result(proficiency=number) for number in (1, 2, 3)]
    assert list(batch_of(RESULTS, rows, ranks=ranks).frame["proficiency"]) == [counts]


def test_a_row_that_does_not_fit_never_replaces_one_that_does() -> None:
    batch = batch_of(RESULTS, [result(proficiency=1), result(proficiency="?")])
    assert list(batch.frame["proficiency"]) == [1]
    assert [reject.key for reject in batch.rejects] == [("2026-03-14", "g", "a", "p")]


def test_what_never_became_a_row_is_counted_too() -> None:
    stray = Reject("results", "results[]: expected an object, found text", {}, None)
    batch = batch_of(RESULTS, [result()], [stray])
    assert batch.rejects == (stray,)
    assert batch.rows_read == 2


def test_missing_values_are_missing_in_every_dtype() -> None:
    frame = batch_of(RESULTS, [result()]).frame
    optional = [column.name for column in RESULTS.columns if column.nullable]
    assert frame[optional].isna().all().all()
    assert isinstance(frame["last_practiced_at"].dtype, pd.DatetimeTZDtype)
