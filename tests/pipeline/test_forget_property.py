"""Whoever is forgotten, in whatever organization: a replay gives what it gave before, but for what is the person's."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillster_pipeline.pipeline.disclose import disclose
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.tables import DATA_TABLES, HISTORY_TABLES
from drillster_pipeline.warehouse import Warehouse
from tests.conftest import examples
from tests.support.installation import Installation

from .organizations import DAYS, Organization, organizations, put
from .test_disclose import sizes

TABLES = {**DATA_TABLES, **HISTORY_TABLES}
PROSE = {"name", "description", "custom_reference", "result"}
Row = dict[str, Any]
Dump = dict[str, list[Row]]


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A warehouse without a row; those that are copied from it are prepared already, which takes most of the time."""
    with Installation(tmp_path_factory.mktemp("blank")) as installation:
        assert installation.context.warehouse
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Warehouse, "prepare", lambda _: None)
        yield installation.folder / "warehouse.sqlite"


@pytest.mark.deep
@settings(max_examples=examples(4))
@given(organization=organizations(), data=st.data())
def test_a_replay_gives_all_that_is_not_the_persons_and_so_does_the_warehouse(
    blank: Path, organization: Organization, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(organization.people) - 1))
    with tempfile.TemporaryDirectory() as name, Installation(Path(name)) as installation:
        put(installation.context, organization)
        before = published(installation, blank)
        disclosed = disclose(installation.context, organization.ids[place])
        assert dump(installation.folder / "warehouse.sqlite") == before
        outcome = forget(installation.context, organization.ids[place])
        erased = dump(installation.folder / "warehouse.sqlite")
        installation.close()
        replayed = published(installation, blank)
    assert (sizes(disclosed), len(disclosed["responses"])) == (outcome.rows, outcome.lines)
    assert keys(disclosed["tables"]) == keys(before) - keys(erased)
    expected = without(before, organization.people[place], organization.ids[place])
    for table in expected:
        assert comparable(table, replayed[table]) == comparable(table, expected[table]), table
        assert comparable(table, erased[table], hashes=True) == comparable(table, replayed[table], hashes=True), table


def keys(rows: Dump) -> Counter[tuple[Any, ...]]:
    """Rows by their ids, which no erasure changes in those that stay."""
    ids, others = ("_id", "_key", "_number"), {"export_date", "third_party", "valid_from"}
    return Counter(
        (name, *(str(value) for column, value in row.items() if column.endswith(ids) or column in others))
        for name, found in rows.items()
        for row in found
    )


def published(installation: Installation, blank: Path) -> Dump:
    """Publish all captures into an empty warehouse."""
    warehouse = installation.folder / "warehouse.sqlite"
    shutil.copy(blank, warehouse)
    for kind, day in (*(("snapshot", day) for day in DAYS), ("events", DAYS[-1])):
        installation.publish(kind, day)
    return dump(warehouse)


def dump(path: Path) -> Dump:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
            for name in (*TABLES, "rejected_rows", "load_exceptions")
        }


def without(before: Dump, person: dict[str, Any], account_id: str) -> Dump:
    """What is to be left, by the words of the documentation, from what there was."""
    emails = {email.lower() for email in (person.get("emailAddress"), account_id) if email and "@" in email}
    names = {name for name in (person["name"], person.get("realName")) if name and len(name.split()) > 1}
    reworded = rewording(names, emails)
    own = {row["test_result_id"] for row in before["test_results"] if row["account_id"] == account_id}

    def is_own(row: Row) -> bool:
        if "record" in row:
            return account_id in {json.loads(row["record"]).get(column) for column in ("account_id", "member_key")}
        if "scope" in row:
            return row["scope"] == "row" and account_id in accounts_in(row)
        if "member_key" in row and row["account_id"] is None:
            return (row["email_address"] or "").lower() in emails
        return row.get("account_id") == account_id or ("test_result_id" in row and row["test_result_id"] in own)

    return {
        name: [
            {column: reworded(value) if value and is_prose(name, column) else value for column, value in row.items()}
            for row in rows
            if not is_own(row)
        ]
        for name, rows in before.items()
    }


def accounts_in(exception: Row) -> set[str]:
    key = TABLES[exception["table_name"]].key
    parts = dict(zip(key, exception["value"].split("\x1f"), strict=True))
    return {parts[column] for column in ("account_id", "member_key") if column in parts}


def is_prose(table: str, column: str) -> bool:
    people = table.removesuffix("_history") in {"accounts", "group_members"}
    return (column in PROSE and not people) or (table.startswith("organizations") and column == "email_address")


def rewording(names: set[str], emails: set[str]) -> Callable[[str], str]:
    letter, between = r"[^\W_]", r"[\W_]+"
    patterns = [
        rf"(?<!{letter}){between.join(map(re.escape, words))}(?!{letter})"
        for name in sorted(names, key=len, reverse=True)
        if len(words := re.findall(rf"{letter}+", name)) > 1
    ]
    address = r"[\w.!#$%'*+^`{|}~-]"
    patterns = [rf"(?<!{address}){re.escape(email)}(?![\w-])" for email in sorted(emails)] + patterns
    return lambda text: re.sub("|".join(patterns), "[forgotten]", text, flags=re.IGNORECASE) if patterns else text


def comparable(table: str, rows: list[Row], *, hashes: bool = False) -> Counter[str]:
    """Rows without what says which load wrote them; intervals of a history that do not differ are one."""
    hidden = {"load_id", "loaded_at", "row_number", "exception_number"} | (set() if hashes else {"row_hash"})
    plain = [{name: value for name, value in row.items() if name not in hidden} for row in rows]
    if table in HISTORY_TABLES:
        plain = list(merged(table, plain))
    return Counter(json.dumps(row, sort_keys=True) for row in plain)


def merged(table: str, rows: list[Row]) -> Iterator[Row]:
    key = HISTORY_TABLES[table].key
    last: Row | None = None
    for row in sorted(rows, key=lambda row: [row[name] for name in key]):
        if last and {**last, "valid_from": None} == {**row, "valid_from": None, "valid_until": row["valid_from"]}:
            last["valid_until"] = row["valid_until"]
            continue
        if last:
            yield last
        last = dict(row)
    if last:
        yield last
