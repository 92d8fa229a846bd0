"""From archived pages to typed batches, in one pass: chunk by chunk, so that memory does not grow with the load."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date
from itertools import repeat

from drillster_pipeline.tables import DATA_TABLES, resources_of

from .batches import Batch, Page, are_keys_readable, batch_of
from .readers import read_page
from .state import ExtractionState
from .unknown_fields import UnknownFields


class Extractor:
    """Reads the pages of one capture into the requested tables.

    Pages come resource by resource in the order of the crawl; those of resources that no requested table is read from
    are skipped (``resources_of`` says which beforehand). ``accounts_complete`` is false where the list of accounts
    is known to lack some: then nobody is said to be of another organization. Raises ContractError where a response has
    no list, or several; anything smaller becomes a reject.
    """

    def __init__(
        self, *, export_date: date, tables: Collection[str], accounts_complete: bool = True, chunk_rows: int = 20_000
    ) -> None:
        self._tables = [table for name, table in DATA_TABLES.items() if name in tables]
        self._not_requested = [table for name, table in DATA_TABLES.items() if name not in tables]
        self._resources = frozenset(resources_of([table.name for table in self._tables]))
        self._chunk_rows = chunk_rows
        self._state = ExtractionState(export_date, accounts_complete=accounts_complete)
        self._unknown = UnknownFields()
        self._ranks: dict[str, list[int]] = {table.name: [] for table in self._tables}
        self.unreadable: set[str] = set()
        """Tables that were not requested, with rows of which the key could not be read: these may refer to anything."""

    @property
    def unknown_fields(self) -> dict[str, dict[str, str]]:
        """Per resource, paths such as ``accounts[].account.nickname`` and the unit that first had it."""
        return self._unknown.found

    def batches(self, pages: Iterable[tuple[str, Page]]) -> Iterator[Batch]:
        """Typed rows and rejects, in batches of about ``chunk_rows``; a table may have none, one or many."""
        for resource, page in pages:
            if resource not in self._resources:
                continue
            self._unknown.add_page(resource, page)
            self._state.begin(resource, page)
            read_page(resource, page, self._state)
            yield from self._full(self._chunk_rows)
        self._state.finish()
        yield from self._full(1)

    def _full(self, enough: int) -> Iterator[Batch]:
        """Hand over the rows of each table that has enough of them; those that were not requested are dropped."""
        rows, rejects = self._state.rows, self._state.rejects
        for table in self._not_requested:
            name = table.name
            if rejects[name] or (rows[name] and not are_keys_readable(table, rows[name])):
                self.unreadable.add(name)
            rows[name].clear()
            rejects[name].clear()
        for table in self._tables:
            name = table.name
            count, ranked = len(rows[name]), self._ranks[name]
            if count != len(ranked):
                ranked.extend(repeat(self._state.rank, count - len(ranked)))
            if count + len(rejects[name]) < enough:
                continue
            taken, rows[name] = rows[name], []
            refused, rejects[name] = rejects[name], []
            self._ranks[name] = []
            for start in range(0, max(len(taken), 1), self._chunk_rows):
                chunk = slice(start, start + self._chunk_rows)
                yield batch_of(table, taken[chunk], () if start else refused, ranks=ranked[chunk])
