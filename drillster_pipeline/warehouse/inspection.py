"""What `check` and `status` read of a warehouse: nothing is left in it, also if it is connected to for the first time.

Nothing is prepared here: what a load would make is only compared. Rights are tried by doing what loads do, in a
transaction that is rolled back; where DDL can't be rolled back (MySQL, MariaDB), what was made is dropped again.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from . import engine as engines
from .dialects import dialect_named
from .engine import current_writer, database_errors
from .ledger import CONTRACT, EffectiveLoad
from .schema_sync import compare
from .views import VIEWS
from .warehouse import Database

FILE_BUSY_SECONDS = 2
"""`check` does not wait for a load that writes to the file."""
MOST_LOADS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What answers. ``encryption`` is None where there is nothing to encrypt (a file, a socket of this machine)."""

    product: str
    encryption: str | None
    seconds: float
    """How long connecting took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """How far the tables are those of this version of the program."""

    tables: int
    """Of the contract, that are there."""
    additions: tuple[str, ...]
    """What the next load adds to what is there, in words."""
    problems: tuple[str, ...]
    """What prevents loading, each with what to do about it."""


class Inspection(Database):
    """A connection to one warehouse, to read only. Raises SettingsError where URL, schema or driver will not do."""

    def __init__(self, url: str, *, schema: str | None = None) -> None:
        parsed = engines.parse_url(url, schema=schema)
        self.file = dialect_named(parsed.get_backend_name()).file_of(parsed)
        self.is_new = self.file is not None and not self.file.exists()
        """The file does not exist yet."""
        if self.file is not None:
            parsed = parsed.update_query_dict({"timeout": str(FILE_BUSY_SECONDS)})
        if self.is_new:  # connecting would make the file
            parsed = parsed.set(database=":memory:")
        super().__init__(parsed, schema)

    def connect(self) -> Server:
        """Connect, and read what the server is. Raises what :func:`.database_errors` raises."""
        started = time.monotonic()
        with self.reading("connecting") as (connection, _):
            seconds = time.monotonic() - started
            product, encryption = self._dialect.describe(connection)
            return Server(product=product, encryption=encryption, seconds=seconds)

    def try_rights(self) -> tuple[str, ...]:
        """Do what loads do, and undo it; returns what was done, in words. Raises SettingsError where it may not be."""
        with database_errors("trying what loads do"):
            return self._dialect.try_rights(self.engine, self.schema, [*CONTRACT, *VIEWS], self.file)

    def state(self) -> SchemaState:
        """Compare what is there with what this version of the program needs."""
        with self.reading("reading the schema") as (connection, _):
            difference = compare(connection, self._metadata)
        kinds = Counter(addition.kind for addition in difference.additions)
        additions = [f"{kind} {name}" for kind, name, _ in difference.additions if kind != "comment"]
        if kinds["comment"]:
            additions.append(f"{kinds['comment']} comments")
        tables = len(CONTRACT) - kinds["table"]
        return SchemaState(
            tables=tables, additions=tuple(additions) if tables else (), problems=tuple(difference.problems)
        )

    def writer(self) -> str | None:
        """Who is writing now; None where nobody is."""
        with self.reading("reading who writes") as (connection, _):
            return current_writer(connection, self.schema)

    def _ledger_columns(self) -> set[str]:
        """The columns of ``loads``, which an older version may have made; none where there is no ledger yet."""
        with self.reading("reading the ledger") as (connection, _):
            found = sa.inspect(connection)
            there = found.has_table("loads", schema=self.schema)
            return {column["name"] for column in found.get_columns("loads", schema=self.schema)} if there else set()

    def loads(self) -> list[dict[str, Any]]:
        """The newest loads, the newest first: kind, dates and version; nothing where there is no ledger yet."""
        if not self._ledger_columns():
            return []
        with self.reading("reading the ledger") as (connection, tables):
            loads = tables("loads")
            names = ("kind", "export_date", "started_at", "finished_at", "program_version")
            query = sa.select(*(loads.c[name] for name in names)).limit(MOST_LOADS)
            newest_first = query.order_by(loads.c.export_date.desc(), loads.c.finished_at.desc())
            return [dict(row) for row in connection.execute(newest_first).mappings()]

    def loaded(self, most: int) -> tuple[list[EffectiveLoad], int]:
        """The loads that count, of the newest so many dates; and of how many dates there are any."""
        columns = self._ledger_columns()
        if not columns:
            return [], 0
        return self.ledger.effective_loads(most, is_current="is_complete" in columns), self.ledger.count_dates()

    def published(self) -> set[tuple[date, str]]:
        """The dates and kinds that are in the warehouse; none where the ledger is of an older version."""
        is_current = self._ledger_columns().issuperset(self._tables("loads").c.keys())
        return self.ledger.complete_dates() if is_current else set()

    def free_bytes(self) -> int | None:
        """Room on the disk of an SQLite file; None for a server, which does not tell."""
        if self.file is None:
            return None
        return shutil.disk_usage(next(each for each in self.file.parents if each.exists())).free

    def size_bytes(self) -> int | None:
        """How large an SQLite file is; None for a server, and for a file that is not there yet."""
        return None if self.file is None or self.is_new else self.file.stat().st_size
