"""From archived pages to typed batches, in one pass: chunk by chunk, so that memory does not grow with the load."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from itertools import repeat

from drillster_pipeline.tables import DATA_TABLES, resources_of
from drillster_pipeline.tables.accounts import read_accounts
from drillster_pipeline.tables.catalogs import read_catalog_content, read_catalogs
from drillster_pipeline.tables.evaluations import read_objective_evaluations, read_objective_events
from drillster_pipeline.tables.groups import read_group_drillables, read_groups
from drillster_pipeline.tables.memberships import read_group_members, read_group_staff
from drillster_pipeline.tables.objectives import read_objectives
from drillster_pipeline.tables.organization import read_organization
from drillster_pipeline.tables.results import read_results
from drillster_pipeline.tables.test_results import read_test_results

from .batches import Batch, Page, Reject, are_keys_readable, batch_of
from .state import Findings
from .unknown_fields import UnknownFields

__all__ = ["Batch", "Extractor", "Page", "Reject"]

_READERS: Mapping[str, Callable[[Page, Findings], None]] = {
    "organization": read_organization,
    "accounts": read_accounts,
    "catalogs": read_catalogs,
    "catalog_content": read_catalog_content,
    "groups": read_groups,
    "group_members": read_group_members,
    "group_staff": read_group_staff,
    "group_drillables": read_group_drillables,
    "objectives": read_objectives,
    "objective_evaluations": read_objective_evaluations,
    "results": read_results,
    "test_results": read_test_results,
    "objective_events": read_objective_events,
}


class Extractor:
    """Reads the pages of one capture into the tables that were asked for.

    Pages come resource by resource in the order of the walk; those of resources that no table asked for draws on
    are passed over (``resources_of`` tells the caller beforehand). ``accounts_complete`` is false where the list of
    accounts is known to lack some: then nobody is said to be of another organization. Raises ContractError where an
    answer has no list, or several; anything smaller becomes a reject.
    """

    def __init__(
        self,
        *,
        export_date: date,
        kind: str,
        tables: Collection[str],
        accounts_complete: bool = True,
        chunk_rows: int = 20_000,
    ) -> None:
        self.kind = kind
        self._tables = tuple(table for name, table in DATA_TABLES.items() if name in tables)
        self._resources = frozenset(resources_of([table.name for table in self._tables]))
        self._not_asked_for = tuple(table for name, table in DATA_TABLES.items() if name not in tables)
        self._chunk_rows = chunk_rows
        self._findings = Findings(export_date, accounts_complete=accounts_complete)
        self._unknown = UnknownFields()
        self._ranks: dict[str, list[int]] = {table.name: [] for table in self._tables}
        self.unreadable: set[str] = set()
        """Tables that nobody asked for, with rows of which the key could not be read: these may have named anything."""

    @property
    def unknown_fields(self) -> dict[str, dict[str, str]]:
        """Per resource, paths such as ``accounts[].account.nickname`` and the unit that first had it."""
        return self._unknown.found

    def batches(self, pages: Iterable[tuple[str, Page]]) -> Iterator[Batch]:
        """Typed rows and rejects, in batches of about ``chunk_rows``; a table may have none, one or many."""
        for resource, page in pages:
            if resource not in self._resources:
                continue
            self._unknown.look(resource, page)
            self._findings.begin(resource, page)
            _READERS[resource](page, self._findings)
            yield from self._full(self._chunk_rows)
        self._findings.finish()
        yield from self._full(1)

    def _full(self, enough: int) -> Iterator[Batch]:
        """Hand over the rows of each table that has enough of them; those that nobody asked for are dropped."""
        rows, strays = self._findings.rows, self._findings.strays
        for table in self._not_asked_for:
            name = table.name
            if strays[name] or (rows[name] and not are_keys_readable(table, rows[name])):
                self.unreadable.add(name)
            rows[name].clear()
            strays[name].clear()
        for table in self._tables:
            name = table.name
            count, ranked = len(rows[name]), self._ranks[name]
            if count != len(ranked):
                ranked.extend(repeat(self._findings.rank, count - len(ranked)))
            if count + len(strays[name]) < enough:
                continue
            taken, rows[name] = rows[name], []
            self._ranks[name] = []
            refused, strays[name] = strays[name], []
            for start in range(0, max(len(taken), 1), self._chunk_rows):
                chunk = slice(start, start + self._chunk_rows)
                yield batch_of(table, taken[chunk], () if start else refused, ranks=ranked[chunk])
