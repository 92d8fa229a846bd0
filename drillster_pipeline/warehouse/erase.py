"""One person taken out of every table, in one transaction that also records that it was done."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from drillster_pipeline import __version__
from drillster_pipeline.extract.batches import batch_of
from drillster_pipeline.privacy.erase import Person
from drillster_pipeline.tables import DATA_TABLES, HISTORY_TABLES, Column, Kind, Table, history_name

from . import daily
from .ledger import READER_LOGINS, ROW
from .model import Tables
from .staging import KEY_SEPARATOR

Row = dict[str, Any]
_TABLES = {**DATA_TABLES, **HISTORY_TABLES}
_ENTITY_OF = {history_name(name): table for name, table in DATA_TABLES.items()}
_INVITING = ("group_members", history_name("group_members"))
"""Tables in which a person may be by the e-mail address alone."""


def erase_person(
    connection: sa.Connection,
    tables: Tables,
    person: Person,
    *,
    erased_text: Callable[[str], str],
    archive_lines: int,
    now: datetime,
) -> dict[str, int]:
    """Delete every row about a person, children before parents, and the person from the running texts of all others.

    Figures that are made of results and evaluations are computed anew for the dates that had some of the person.

    ``erased_text`` gives a text without the person. Returns how many rows per table were deleted or changed. The caller
    has the writer lock and the transaction.
    """
    erased: dict[str, int] = {}
    touched = _dates_of(connection, tables, person)
    for table, condition in _rows_of(connection, tables, person):
        deleted = connection.execute(sa.delete(table).where(condition)).rowcount
        erased[table.name] = erased.get(table.name, 0) + deleted
    daily.fill(connection, tables, touched)
    for name, declared in _TABLES.items():
        for column, said, text in _texts_naming(connection, tables, name, erased_text):
            changing = sa.update(tables(name)).where(column == said).values({column: text})
            erased[name] = erased.get(name, 0) + connection.execute(changing).rowcount
            _renew_hashes(connection, tables(name), declared, column == text)
    connection.execute(
        sa.insert(tables("erasures")).values(
            erasure_id=secrets.token_hex(8),
            account_digest=hashlib.sha256(person.account_id.encode()).hexdigest(),
            erased_at=now,
            rows_erased=sum(erased.values()),
            archive_lines=archive_lines,
            program_version=__version__,
        )
    )
    return {name: count for name, count in erased.items() if count}


def read_person(
    connection: sa.Connection, tables: Tables, person: Person, erased_text: Callable[[str], str]
) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """What :func:`erase_person` would delete, and change: rows by table; of texts their column and the row's key."""
    rows: dict[str, list[Row]] = {}
    about: dict[str, sa.ColumnElement[bool]] = {}
    for table, condition in _rows_of(connection, tables, person):
        about[table.name] = sa.or_(condition, about.get(table.name, sa.false()))
        found = connection.execute(sa.select(table).where(condition)).mappings()
        rows.setdefault(table.name, []).extend(map(dict, found))
    texts: dict[str, list[Row]] = {}
    for name, declared in _TABLES.items():
        own = sa.case((about.get(name, sa.false()), 1), else_=0)
        keys = [tables(name).c[key] for key in declared.key]
        for column, said, _ in _texts_naming(connection, tables, name, erased_text):
            naming = connection.execute(sa.select(*keys, column).where(column == said, own == 0)).mappings()
            texts.setdefault(name, []).extend(map(dict, naming))
    return {name: found for name, found in rows.items() if found}, texts


def has_account(connection: sa.Connection, tables: Tables, person: Person) -> bool:
    """Whether any table has the account; names and addresses that it has, or had, are added to the person."""
    found = False
    for name in ("accounts", history_name("accounts"), *_INVITING):
        table = tables(name)
        query = sa.select(table.c.name, table.c.email_address).where(table.c.account_id == person.account_id)
        for called, email in connection.execute(query):
            found = True
            person.add({"name": called, "emailAddress": email})
    return found or any(True for _ in _kept_of(connection, tables, person.account_id))


def _dates_of(connection: sa.Connection, tables: Tables, person: Person) -> dict[date, set[str]]:
    """By date, the snapshot tables with rows of the person."""
    found: dict[date, set[str]] = {}
    for name, declared in DATA_TABLES.items():
        if declared.kind is Kind.SNAPSHOT:
            dates = sa.select(tables(name).c.export_date).where(tables(name).c.account_id == person.account_id)
            for day in connection.scalars(dates.distinct()):
                found.setdefault(day, set()).add(name)
    return found


def _texts_naming(
    connection: sa.Connection, tables: Tables, name: str, erased_text: Callable[[str], str]
) -> Iterator[tuple[sa.Column[Any], str, str]]:
    """The running texts of a table that name the person: column, text, and the text without the person."""
    for column in (tables(name).c[column.name] for column in _TABLES[name].columns if column.prose):
        for said in connection.scalars(sa.select(column).where(column.is_not(None)).distinct()).all():
            if (text := erased_text(said)) != said:
                yield column, said, text


def _renew_hashes(connection: sa.Connection, table: sa.Table, declared: Table, changed: sa.ColumnElement[bool]) -> None:
    """Renew the hashes of rows that were changed: a replay of the archive must find them unchanged."""
    if "row_hash" not in table.c:
        return
    entity = _ENTITY_OF.get(declared.name, declared)
    columns = [table.c[column.name] for column in entity.columns]
    keys = [table.c[name] for name in declared.key]
    for row in connection.execute(sa.select(*columns, *keys).where(changed)).all():
        frame = batch_of(entity, [tuple(row[: len(columns)])]).frame
        same = [key == value for key, value in zip(keys, row[len(columns) :], strict=True)]
        connection.execute(sa.update(table).where(*same).values(row_hash=frame["row_hash"].iloc[0]))


def _rows_of(
    connection: sa.Connection, tables: Tables, person: Person
) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """The tables with rows about a person, children before parents, and which rows these are."""
    for name in reversed(_TABLES):
        condition = _about(connection, tables, name, person)
        if condition is not None:
            yield tables(name), condition
    yield from _kept_of(connection, tables, person.account_id)


def _about(connection: sa.Connection, tables: Tables, name: str, person: Person) -> sa.ColumnElement[bool] | None:
    """Which rows of a table are about a person; None: none can be."""
    table, declared = tables(name), _TABLES[name]
    named = [table.c[column.name] == person.account_id for column in _naming(declared)]
    if name in _INVITING and person.emails:
        invited = sa.and_(table.c.account_id.is_(None), table.c.email_address.is_not(None))
        emails = connection.scalars(sa.select(table.c.email_address).where(invited).distinct()).all()
        # Compared here: the LOWER of some databases is for ASCII alone.
        own = [email for email in emails if email.lower() in person.emails]
        named.append(sa.and_(invited, table.c.email_address.in_(own)))
    if named:
        return sa.or_(*named)
    for column in declared.columns:
        parent_name, _, key = (column.references or "").partition(".")
        if parent_name == "test_results":
            parent = tables(parent_name)
            return table.c[column.name].in_(sa.select(parent.c[key]).where(parent.c.account_id == person.account_id))
    return None


def _kept_of(
    connection: sa.Connection, tables: Tables, account_id: str
) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """The rows in which something is kept about the account: what loads rejected, or could not see, and its logins."""
    rejected, unobserved = tables("rejected_rows"), tables("load_exceptions")
    logins = tables(READER_LOGINS.name)
    if connection.scalar(sa.select(sa.exists().where(logins.c.account_id == account_id))):
        yield logins, logins.c.account_id == account_id
    naming = {name: columns for name, table in DATA_TABLES.items() if (columns := _naming(table))}
    for row in connection.execute(sa.select(rejected).where(rejected.c.table_name.in_(list(naming)))).all():
        record = json.loads(row.record)
        if any(record.get(column.name) == account_id for column in naming[row.table_name]):
            yield rejected, sa.and_(*(column == getattr(row, column.name) for column in rejected.primary_key))
    for row in connection.execute(sa.select(unobserved).where(unobserved.c.scope == ROW)).all():
        table = DATA_TABLES[row.table_name]
        values = dict(zip(table.key, row.value.split(KEY_SEPARATOR), strict=False))
        if any(values.get(column.name) == account_id for column in _naming(table)):
            yield unobserved, sa.and_(*(column == getattr(row, column.name) for column in unobserved.primary_key))


def _naming(table: Table) -> list[Column]:
    """The columns of a table that may hold account ids."""
    return [column for column in table.columns if column.names_account]
