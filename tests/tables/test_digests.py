from __future__ import annotations

import hashlib
from datetime import date, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline.extract.batches import batch_of, row_hashes
from drillster_pipeline.extract.readers import event_key, invitee_key
from drillster_pipeline.tables import DATA_TABLES, Column, Kind, Table, Type

from .pages import utc

CATALOGS = DATA_TABLES["catalogs"]
ACCOUNTS = DATA_TABLES["accounts"]


def hash_of(table: Any, *row: Any) -> str:
    batch = batch_of(table, [row])
    assert not batch.rejects
    (found,) = batch.frame["row_hash"]
    return found


def account(**values: Any) -> tuple[Any, ...]:
    given = {"account_id": "a", "is_managed": True, **values}
    return tuple(given.get(column.name) for column in ACCOUNTS.columns)


def test_a_hash_never_changes_between_versions_and_platforms() -> None:
    """A digest that differs for the same row would rewrite every row of every warehouse."""
    row = account(
        name="Zoë de Wit",
        year_of_birth=1984,
        is_admin=False,
        repertoire_size=12,
        created_at="2023-04-12T08:15:30.5Z",
    )
    said = ["a", "Zoë de Wit", *["\0\2"] * 4, "1984", "\0\2", "true", "false", "12", "\0\2", "1681287330500000", "\0\2"]
    expected = hashlib.blake2b("\0\1".join(said).encode(), digest_size=16).hexdigest()
    assert hash_of(ACCOUNTS, *row) == expected == "fb757150593aff30d93a12840811564a"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("c", "a", None, None, None), ("c", None, "a", None, None)),
        (("c", "", None, None, None), ("c", None, None, None, None)),
        (("c", "", None, None, None), ("c", None, "", None, None)),
        (("c", "a", "b", None, None), ("c", "ab", "", None, None)),
        (("c", "a\1b", None, None, None), ("c", "a", "b", None, None)),
        (("c", "\2", None, None, None), ("c", None, None, None, None)),
        (("c", "None", None, None, None), ("c", None, None, None, None)),
        (("c", "nan", None, None, None), ("c", None, None, None, None)),
        (("c", None, None, "7", None), ("c", None, None, None, 7)),
        (("c", None, None, None, 0), ("c", None, None, None, None)),
    ],
)
def test_rows_that_differ_have_hashes_that_differ(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert hash_of(CATALOGS, *one) != hash_of(CATALOGS, *other)


@pytest.mark.parametrize(
    "change",
    [
        {"is_admin": False},
        {"is_admin": None},
        {"is_managed": False},
        {"created_at": "2023-04-12T08:15:30.000001Z"},
        {"created_at": None},
        {"year_of_birth": 1985},
        {"repertoire_size": None},
    ],
)
def test_a_change_in_any_type_of_column_changes_the_hash(change: dict[str, Any]) -> None:
    before = {"is_admin": True, "created_at": "2023-04-12T08:15:30Z", "year_of_birth": 1984, "repertoire_size": 0}
    assert hash_of(ACCOUNTS, *account(**before)) != hash_of(ACCOUNTS, *account(**{**before, **change}))


def test_the_same_row_written_differently_has_the_same_hash() -> None:
    assert hash_of(ACCOUNTS, *account(year_of_birth="1984", created_at="2023-04-12T10:15:30+02:00")) == hash_of(
        ACCOUNTS, *account(year_of_birth=1984.0, created_at="2023-04-12T08:15:30.000Z")
    )


def test_a_hash_does_not_depend_on_the_rows_around_it() -> None:
    rows = [account(account_id=str(number), year_of_birth=number if number % 2 else None) for number in range(9)]
    together = list(batch_of(ACCOUNTS, rows).frame["row_hash"])
    assert together == [hash_of(ACCOUNTS, *row) for row in rows]


@pytest.mark.parametrize("table", [t for t in DATA_TABLES.values() if t.kind is not Kind.ENTITY], ids=lambda t: t.name)
def test_what_is_no_entity_has_no_hash(table: Any) -> None:
    assert "row_hash" not in batch_of(table, []).frame


texts = st.none() | st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
counts = st.none() | st.integers(0, 3)
catalogs = st.tuples(st.just("c"), texts, texts, texts, counts)


@given(catalogs, catalogs)
def test_hashes_are_the_same_exactly_where_rows_are(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert (hash_of(CATALOGS, *one) == hash_of(CATALOGS, *other)) == (one == other)


def test_a_column_of_every_type_counts_in_a_hash() -> None:
    values = {
        Type.TEXT: ("a", "b"),
        Type.JSON: ("{}", "[]"),
        Type.INTEGER: (1, 2),
        Type.SMALLINT: (1, 2),
        Type.FLOAT: (0.5, 0.25),
        Type.BOOLEAN: (True, False),
        Type.TIMESTAMP: ("2024-01-11T16:54Z", "2024-01-11T16:55Z"),
        Type.DATE: (date(2024, 1, 11), date(2024, 1, 12)),
    }
    assert set(values) == set(Type)
    columns = tuple(Column(name=kind.value, type=kind, description="Any.") for kind in values)
    table = Table(name="things", kind=Kind.ENTITY, description="Things.", columns=columns, key=("text",))
    first = {kind: one for kind, (one, _) in values.items()}
    others = [{**first, kind: other} for kind, (_, other) in values.items()] + [
        {**first, kind: None} for kind in values
    ]
    found = {hash_of(table, *row.values()) for row in [first, *others]}
    assert len(found) == 1 + 2 * len(values)


def test_hashes_can_be_made_again_from_a_frame() -> None:
    frame = batch_of(CATALOGS, [("c", "a", None, None, 1), ("d", "", "x", None, None)]).frame
    assert row_hashes(CATALOGS, frame.drop(columns="row_hash")) == list(frame["row_hash"])


def test_the_key_of_an_invitee_is_made_from_the_lower_case_address() -> None:
    digest = hashlib.sha256(b"noor.dewit@example.org").hexdigest()
    assert invitee_key("Noor.deWit@Example.org") == f"invitee:{digest[:32]}"


@given(st.text())
def test_any_address_makes_a_key_whatever_its_case(address: str) -> None:
    assert invitee_key(address) == invitee_key(address.lower())
    assert len(invitee_key(address)) == len("invitee:") + 32


def test_the_key_of_an_event_is_made_as_the_contract_says() -> None:
    said = b"o|a|OBJECTIVE_BECAME_OK|2026-03-14T09:26:53.000000Z"
    expected = hashlib.sha256(said).hexdigest()[:32]
    assert event_key("o", "a", "OBJECTIVE_BECAME_OK", utc(2026, 3, 14, 9, 26, 53)) == expected
    elsewhere = utc(2026, 3, 14, 9, 26, 53).astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert event_key("o", "a", "OBJECTIVE_BECAME_OK", elsewhere) == expected
