"""One person taken out of every table, in one transaction that also records that it was done."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Collection
from datetime import datetime

import sqlalchemy as sa

from drillster_pipeline import __version__
from drillster_pipeline.tables import DATA_TABLES, HISTORY_TABLES, history_name

from .history import Tables

_PEOPLE = "accounts.account_id"
_TABLES = {**DATA_TABLES, **HISTORY_TABLES}
_INVITING = ("group_members", history_name("group_members"))
"""Tables that know people by their e-mail address alone."""


def erase_person(
    connection: sa.Connection,
    tables: Tables,
    account_id: str,
    *,
    emails: Collection[str],
    texts: Collection[str],
    erased_text: Callable[..., str],
    archive_lines: int,
    now: datetime,
) -> dict[str, int]:
    """Delete every row about a person, children before parents, and the person from the texts of all others.

    ``emails`` (lower case) find invitations that were never accepted; ``texts`` are what the person is mentioned by,
    and ``erased_text`` gives a text without it (``name_of_a_person``: it may be that of another one). Returns how many
    rows per table were deleted or changed. The caller holds the writer lock and the transaction.
    """
    erased: dict[str, int] = {}
    for name in reversed(_TABLES):
        table = tables(name)
        condition = _about(tables, name, account_id, emails)
        if condition is not None:
            erased[name] = connection.execute(sa.delete(table).where(condition)).rowcount
    for name in _TABLES:
        erased[name] = erased.get(name, 0) + _unmentioned(connection, tables, name, texts, erased_text)
    for name, column in (("rejected_rows", "record"), ("load_exceptions", "value")):
        erased[name] = _delete_mentions(connection, tables(name), column, texts, erased_text)
    connection.execute(
        sa.insert(tables("erasures")).values(
            erasure_id=secrets.token_hex(8),
            account_digest=hashlib.sha256(account_id.encode()).hexdigest(),
            erased_at=now,
            rows_erased=sum(erased.values()),
            archive_lines=archive_lines,
            program_version=__version__,
        )
    )
    return {name: count for name, count in erased.items() if count}


def _delete_mentions(
    connection: sa.Connection, table: sa.Table, column: str, texts: Collection[str], erased_text: Callable[..., str]
) -> int:
    """Delete the rows of a table whose ``column`` mentions the person; how many."""
    keys = list(table.primary_key.columns)
    held = sa.or_(sa.false(), *(_may_hold(table.c[column], text) for text in texts))
    deleted = 0
    for *row, said in connection.execute(sa.select(*keys, table.c[column]).where(held)).all():
        if erased_text(said, name_of_a_person=False) != said:
            same = [key == value for key, value in zip(keys, row, strict=True)]
            deleted += connection.execute(sa.delete(table).where(*same)).rowcount
    return deleted


def _unmentioned(
    connection: sa.Connection,
    tables: Tables,
    name: str,
    texts: Collection[str],
    erased_text: Callable[..., str],
) -> int:
    """Take the person out of what other rows of a table say, in a description for instance; how many rows said it."""
    table, declared = tables(name), _TABLES[name]
    keys = [table.c[key] for key in declared.key]
    said = [
        table.c[column.name]
        for column in declared.columns
        if isinstance(table.c[column.name].type, sa.String)
        and column.name not in declared.key
        and column.references is None
    ]
    if not said:
        return 0
    mentions = sa.or_(sa.false(), *(_may_hold(each, text) for each in said for text in texts))
    changed = 0
    for row in connection.execute(sa.select(*keys, *said).where(mentions)).all():
        found = dict(zip((each.name for each in said), row[len(keys) :], strict=True))
        new = {
            column: erased_text(value, name_of_a_person=column == "name" and declared.column(column).personal)
            for column, value in found.items()
            if value is not None
        }
        new = {column: value for column, value in new.items() if value != found[column]}
        if new:
            same = [key == value for key, value in zip(keys, row, strict=False)]
            changed += connection.execute(sa.update(table).where(*same).values(new)).rowcount
    return changed


def _may_hold(column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    """Whether a column may hold a text, in whichever case; never false where it does.

    By its longest piece of ASCII: of other letters SQLite, and PostgreSQL in the locale C, do not know the other case.
    """
    piece = max(re.findall(r"[\x20-\x7e]+", text), key=len, default="")
    return sa.func.lower(column).contains(piece.lower(), autoescape=True) if piece else column.is_not(None)


def known_as(connection: sa.Connection, tables: Tables, account_id: str) -> tuple[set[str], set[str]]:
    """Names and e-mail addresses (lower case) that the warehouse has, or had, of an account."""
    names: set[str] = set()
    emails: set[str] = set()
    for name in ("accounts", *_INVITING, history_name("accounts")):
        table = tables(name)
        query = sa.select(table.c.name, table.c.email_address).where(table.c.account_id == account_id)
        for called, email in connection.execute(query):
            names |= {called} if called else set()
            emails |= {email.lower()} if email else set()
    return names, emails


def _about(tables: Tables, name: str, account_id: str, emails: Collection[str]) -> sa.ColumnElement[bool] | None:
    """Which rows of a table are about a person; None: none can be."""
    table, declared = tables(name), _TABLES[name]
    for column in declared.columns:
        if column.references == _PEOPLE or (name == "accounts" and column.name == "account_id"):
            condition: sa.ColumnElement[bool] = table.c[column.name] == account_id
            if name in _INVITING and emails:
                invited = sa.and_(table.c.account_id.is_(None), sa.func.lower(table.c.email_address).in_(emails))
                condition = sa.or_(condition, invited)
            return condition
    for column in declared.columns:
        parent_name, _, key = (column.references or "").partition(".")
        if parent_name == "test_results":
            parent = tables(parent_name)
            return table.c[column.name].in_(sa.select(parent.c[key]).where(parent.c.account_id == account_id))
    return None
