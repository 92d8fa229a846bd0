"""Rows become typed frames with hashes, and rejects that show nothing of a person."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from datetime import date
from typing import Any

import pandas as pd
import pytest

from drillster_pipeline.extract.batches import MASKED, Reject, batch_of
from drillster_pipeline.extract.parsing import ParseError
from drillster_pipeline.tables import DATA_TABLES, Column, Kind, Table, Type

from .pages import CAPTURED_AT, EXPORT_DATE, plain

RESULTS, MEMBERS, CATALOGS = (DATA_TABLES[name] for name in ("results", "group_members", "catalogs"))
ACCOUNTS = DATA_TABLES["accounts"]


def row(table: Table, **values: Any) -> tuple[Any, ...]:
    return tuple(values.get(column.name) for column in table.columns)


def result(**values: Any) -> tuple[Any, ...]:
    known = {"export_date": EXPORT_DATE, "group_id": "g", "account_id": "a", "playable_id": "p"}
    return row(RESULTS, **{**known, "captured_at": CAPTURED_AT, **values})


def member(**values: Any) -> tuple[Any, ...]:
    return row(MEMBERS, **{"group_id": "g", "member_key": "a", "account_id": "a", "status": "MEMBER", **values})


def test_a_frame_has_the_columns_of_its_table_in_order_and_the_hash_of_an_entity() -> None:
    for table in DATA_TABLES.values():
        names = [column.name for column in table.columns] + ["row_hash"] * (table.kind is Kind.ENTITY)
        assert list(batch_of(table, []).frame) == [*names, "source_rank"]


def test_what_does_not_fit_becomes_a_reject_and_the_rest_a_frame() -> None:
    unread = Reject("results", "results[]: expected an object, found text", {}, None)
    rows = [result(), result(playable_id="q", proficiency="high"), result(playable_id="r", proficiency=7)]
    batch = batch_of(RESULTS, rows, [unread])
    assert (list(batch.frame["playable_id"]), batch.frame.index.tolist(), batch.rows_read) == (["p", "r"], [0, 1], 4)
    reject, other = batch.rejects
    assert (reject.table, reject.key, other) == ("results", ("2026-03-14", "g", "a", "q"), unread)
    optional = [column.name for column in RESULTS.columns if column.nullable]
    assert batch.frame[optional].iloc[0].isna().all()
    assert batch.frame.dtypes.to_dict() == batch_of(RESULTS, []).frame.dtypes.to_dict()


def test_a_reason_names_every_column_that_is_wrong_or_counts_those_that_one_object_spoils() -> None:
    (reject,) = batch_of(RESULTS, [result(proficiency=101, added_at="soon", time_spent_seconds=-1)]).rejects
    assert reject.reason == (
        "proficiency: out of range, which is 0 to 100; time_spent_seconds: out of range, which is 0 or more; "
        "added_at: expected a timestamp, found other text"
    )
    names = [column.name for column in RESULTS.columns if column.name.endswith("proficiency")]
    (reject,) = batch_of(RESULTS, [result(**dict.fromkeys(names, ParseError("no object")))]).rejects
    assert reject.reason == "proficiency, receptive_proficiency, productive_proficiency and 2 more: no object"


@pytest.mark.parametrize("missing", ["group_id", "account_id", "playable_id"])
def test_a_reject_whose_key_cannot_be_read_has_none(missing: str) -> None:
    (reject,) = batch_of(RESULTS, [result(**{missing: None})]).rejects
    assert (reject.key, reject.reason) == (None, f"{missing}: missing")


def test_neither_reason_nor_record_has_a_personal_value_or_free_text() -> None:
    secrets = {"name": "Noor de Wit", "email_address": "noor@example.org", "member_key": "invitee:4e2d2d78"}
    (reject,) = batch_of(MEMBERS, [member(**secrets, joined_at="Noor")]).rejects
    assert all(reject.record[name] == MASKED for name in secrets)
    assert not any(secret in json.dumps(reject.record) + reject.reason for secret in secrets.values())
    (reject,) = batch_of(MEMBERS, [member(joined_at="x")]).rejects
    assert reject.record["name"] is None
    (reject,) = batch_of(CATALOGS, [("c", "Ask Jo Vermeer", "By Jo Vermeer", None, "many")]).rejects
    assert reject.record["name"] == reject.record["description"] == MASKED


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, 5),
        (0.5, 0.5),
        (True, True),
        (math.nan, "(a number)"),
        (10**400, "(a number)"),
        ({"a": [1]}, "(an object)"),
        (["a"], "(a list)"),
        ("x" * 500, "x" * 200 + "…"),
        ("a\0\ud83d", "a\ufffd"),
        ("by noor@example.org", f"by {MASKED}"),
        (EXPORT_DATE, "2026-03-14"),
        (CAPTURED_AT, "2026-03-15T01:30:00+00:00"),
        (ParseError("expected an id, found a list"), "(expected an id, found a list)"),
    ],
)
def test_a_record_is_plain_json_of_bounded_length(value: Any, shown: Any) -> None:
    (reject,) = batch_of(CATALOGS, [("c", None, None, value, "many")]).rejects
    assert reject.record["organization_id"] == shown
    assert json.loads(json.dumps(reject.record, allow_nan=False)) == reject.record


@pytest.mark.parametrize(("ranks", "counts"), [(None, 3), ([5, 7, 7], 3), ([7, 5, 5], 1), ([5, 7, 6], 2)])
def test_of_rows_that_share_a_key_the_last_of_the_highest_rank_counts(ranks: list[int] | None, counts: int) -> None:
    rows = [result(proficiency=number) for number in (1, 2, 3)]
    batch = batch_of(RESULTS, rows, ranks=ranks)
    assert ([one["proficiency"] for one in plain(batch.frame)], batch.rows_read) == ([counts], 3)


def test_a_row_that_does_not_fit_never_replaces_one_that_does() -> None:
    batch = batch_of(RESULTS, [result(proficiency=1), result(proficiency="?")])
    assert list(batch.frame["proficiency"]) == [1]
    assert [reject.key for reject in batch.rejects] == [("2026-03-14", "g", "a", "p")]


def hash_of(table: Table, *values: Any) -> str:
    batch = batch_of(table, [values])
    assert not batch.rejects
    (found,) = batch.frame["row_hash"]
    assert isinstance(found, str)
    return found


def account(**values: Any) -> tuple[Any, ...]:
    return row(ACCOUNTS, **{"account_id": "a", "is_managed": True, **values})


def test_a_hash_never_changes_between_versions_and_platforms() -> None:
    """A digest that differs for the same row would rewrite every row, and begin it anew in history."""
    values = {"name": "Zoë de Wit", "year_of_birth": 1984, "is_admin": False, "repertoire_size": 12}
    written = account(**values, created_at="2023-04-12T08:15:30.5Z")
    said = ["a", "Zoë de Wit", *["\0\2"] * 4, "1984", "\0\2", "true", "false", "12", "\0\2", "1681287330500000", "\0\2"]
    expected = hashlib.blake2b("\0\1".join(said).encode(), digest_size=16).hexdigest()
    assert hash_of(ACCOUNTS, *written) == expected == "fb757150593aff30d93a12840811564a"


def test_the_same_row_written_differently_or_among_others_has_the_same_hash() -> None:
    one = account(year_of_birth="1984", created_at="2023-04-12T10:15:30+02:00")
    assert hash_of(ACCOUNTS, *one) == hash_of(
        ACCOUNTS, *account(year_of_birth=1984.0, created_at="2023-04-12T08:15:30Z")
    )
    rows = [account(account_id=str(number), year_of_birth=number if number % 2 else None) for number in range(9)]
    assert list(batch_of(ACCOUNTS, rows).frame["row_hash"]) == [hash_of(ACCOUNTS, *one) for one in rows]


def test_texts_that_stand_in_other_columns_give_another_hash() -> None:
    pairs = itertools.product([None, "", "a", "b", "\1", "\2", "None", "nan", "ab"], repeat=2)
    rows = [("c", *pair, None, None) for pair in pairs]
    assert len({hash_of(CATALOGS, *row) for row in rows}) == len(rows)


def test_a_column_of_every_type_counts_in_a_hash() -> None:
    values = {
        Type.TEXT: ("a", "b"),
        Type.JSON: ("{}", "[]"),
        Type.INTEGER: (1, 2),
        Type.SMALLINT: (1, 2),
        Type.FLOAT: (0.5, 0.25),
        Type.BOOLEAN: (True, False),
        Type.TIMESTAMP: ("2024-01-11T16:54Z", "2024-01-11T16:54:00.000001Z"),
        Type.DATE: (date(2024, 1, 11), date(2024, 1, 12)),
    }
    assert set(values) == set(Type)
    columns = tuple(Column(name=kind.value, type=kind, description="Any.") for kind in values)
    table = Table(name="things", kind=Kind.ENTITY, description="Things.", columns=columns, key=("text",))
    first = {kind: one for kind, (one, _) in values.items()}
    others = [{**first, kind: changed} for kind, (_, other) in values.items() for changed in (other, None)]
    found = {hash_of(table, *one.values()) for one in [first, *others] if one[Type.TEXT] is not None}
    assert len(found) == 2 * len(values)
    assert pd.isna(batch_of(table, [tuple(others[-1].values())]).frame["date"].iloc[0])
