"""What goes into a column comes out of it, on each database and by the generic path."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.dialects import Dialect, dialect_of
from drillster_pipeline.warehouse.staging import StagingTables
from tests.conftest import examples
from tests.support.databases import Place, execute

from .support import account, batch, day, group, load, playable, result, rows, sql

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
MOMENTS = st.builds(datetime.combine, st.dates(), st.times(timezones=st.just(UTC)))
HARD_TEXTS = [
    "👩🏽‍⚕️ 😀",
    "שלום عليكم \u202e",
    'O\'Neill "the" `nurse`; --',
    r"\N \. \\ \t C:\new",
    "\\",
    r"\N",
    r"\.",
    "a\tb\nc\rd\r\ne\v\f\x1f\x7f\x85\u2028",
    "é😀x" * 3_334,
    "",
    " ",
    "e\u0301 ≠ é",
    "%s {} :name %(x)s $1 ?",
]


accounts_rows = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.none() | TEXTS,
            "status": st.none() | TEXTS,
            "year_of_birth": st.none() | st.integers(-(2**15), 2**15 - 1),
            "repertoire_size": st.none() | st.integers(0, 2**63 - 1),
            "is_managed": st.none() | st.booleans(),
            "created_at": st.none() | MOMENTS,
        }
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.hypothesis
@pytest.mark.parametrize("path", ["fast", "generic"])
def test_every_value_comes_out_of_staging_as_it_went_in(any_warehouse: Warehouse, path: str) -> None:
    with any_warehouse.engine.connect() as connection:
        dialect = dialect_of(connection)
        write = dialect.write if path == "fast" else Dialect().write
        defined = StagingTables(dialect, any_warehouse.schema)
        staged = defined.of["accounts"]

        @settings(max_examples=examples(25))
        @given(people=accounts_rows)
        @example(people=[dict.fromkeys(["name", "status"]), *({"name": text} for text in HARD_TEXTS)])
        def check(people: list[dict[str, Any]]) -> None:
            given = [{"account_id": f"a{number}", **person} for number, person in enumerate(people)]
            frame = batch("accounts", given).frame
            assert len(frame) == len(given)
            with connection.begin() as transaction:
                defined.metadata.create_all(connection, tables=[staged.rows], checkfirst=False)
                write(connection, staged.rows, staged.columns, frame, 1)
                query = sa.select(staged.rows).order_by(staged.rows.c.staged_row)
                found = connection.execute(query).mappings().all()
                if not defined.temporary:
                    defined.clear_dead(connection)
                transaction.rollback()
            assert [row["staged_row"] for row in found] == [*range(1, len(given) + 1)]
            assert [{name: row[name] for name in one} for row, one in zip(found, given, strict=True)] == given

        check()


def test_sqlite_stores_what_the_contract_says(warehouse: Warehouse) -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    load(warehouse, day(1), {"accounts": [account("a", created_at=moment), account("b", is_managed=None)]})
    stored = sql(
        warehouse,
        "SELECT created_at, first_seen_on, is_managed, typeof(created_at), typeof(first_seen_on),"
        " typeof(is_managed), length(loaded_at) FROM accounts",
    )
    assert stored == [
        ("2026-03-01T10:00:00.000000Z", "2026-01-01", 1, "text", "text", "integer", 27),
        (None, None, None, "null", "null", "null", 27),
    ]


def check_moments(warehouse: Warehouse) -> None:
    """The first and the last moment, and some between, go through accounts, results and rejected rows."""
    moments = [
        datetime.min.replace(tzinfo=UTC),
        datetime(999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(1883, 11, 18, 12, 3, 57, tzinfo=UTC),  # before New York had whole hours
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ]
    people = [account(f"a{place}", created_at=moment) for place, moment in enumerate(moments)]
    for number in (1, 2):
        practiced = [
            result(day(number), "g", f"a{place}", playable_id, last_practiced_at=moment)
            for place, moment in enumerate(moments)
            for playable_id in ("p", "of nobody")
        ]
        known = {"accounts": people, "playables": [playable("p")], "groups": [group("g")]}
        report = load(warehouse, day(number), {**known, "results": practiced})
        assert report.tables["results"].rows_rejected == len(moments)  # which are read back for their records
    assert report.tables["accounts"].rows_unchanged == len(moments)
    assert [row["created_at"] for row in rows(warehouse, "accounts")] == moments
    assert [row["last_practiced_at"] for row in rows(warehouse, "results")] == moments * 2
    assert "9999-12-31T23:59:59.999999+00:00" in rows(warehouse, "rejected_rows")[5]["record"]


def test_any_moment_is_a_value(any_warehouse: Warehouse) -> None:
    check_moments(any_warehouse)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "America/New_York"])
def test_any_moment_is_a_value_where_sessions_begin_in_another_time_zone(postgresql_url: str, zone: str) -> None:
    name = f"elsewhere_{secrets.token_hex(4)}"
    execute(postgresql_url, f"CREATE DATABASE {name}", f"ALTER DATABASE {name} SET timezone = '{zone}'")
    with Place(postgresql_url.replace("/postgres?", f"/{name}?"), "warehouse").prepared() as warehouse:
        check_moments(warehouse)
    execute(postgresql_url, f"DROP DATABASE {name} WITH (FORCE)")
