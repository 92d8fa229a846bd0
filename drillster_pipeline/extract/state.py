"""What the readers of a load's pages put together: rows per table, and what is only known at the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from drillster_pipeline.errors import ContractError
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.response_shapes import Json, shown_id
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.accounts import People
from drillster_pipeline.tables.playables import Playables

from .batches import Page, Reject, Row
from .merged import Merged, order_of, rank_of
from .values import met

_ORDER = {resource: number for number, resource in enumerate(RESOURCES)}


class Findings:
    """Filled page by page. Of what is kept to the end, nothing grows with the number of results."""

    def __init__(self, export_date: date, *, accounts_complete: bool) -> None:
        self.export_date = export_date
        self.rows: dict[str, list[Row]] = {name: [] for name in DATA_TABLES}
        self.strays: dict[str, list[Reject]] = {name: [] for name in DATA_TABLES}
        self.people = People()
        self.people.has_list_holes = not accounts_complete
        self.playables = Playables()
        self.groups = Merged()
        self.catalogs = Merged()
        self.norms = Merged()
        """By group and objective: its review date and minimum proficiency, as they stood when it was captured."""
        self.rank = 0
        """Of the answer that is being read. Of two rows with the same key that of the higher rank is loaded."""
        self._resource = ""
        self._resource_number = 0
        self._merged = (self.people.unlisted, self.playables.known, self.groups, self.catalogs, self.norms)
        self._untyped: list[tuple[str, Any, str]] = []

    def begin(self, resource: str, page: Page) -> None:
        """Turn to another page: what is found from now on is said by this one."""
        if resource != self._resource:
            self._resource, self._resource_number = resource, _ORDER[resource]
            self.playables.settle()
        self.rank = rank_of(page)
        order = order_of(self._resource_number, self.rank)
        for merged in self._merged:
            merged.order = order

    def items(self, resource: str, page: Page) -> list[Json]:
        """The list that a page carries; ContractError, with the unit, where it has none."""
        try:
            return RESOURCES[resource].items(page.body)
        except ContractError as error:
            asked = ", ".join(f"{name} {shown_id(value)}" for name, value in page.unit.items())
            raise ContractError(f"{error} ({asked or 'the list'}, page {page.number})") from None

    def objects(self, table: str, value: Json, where: str) -> Iterator[dict[str, Any]]:
        """The objects of a list; whatever is none becomes a reject of ``table``. Left out, a list is empty."""
        if value is None:
            return
        if not isinstance(value, list):
            self.stray(table, f"{where}: expected a list, met {met(value)}")
            return
        for item in value:
            if type(item) is dict:
                yield item
            else:
                self.stray(table, f"{where}[]: expected an object, met {met(item)}")

    def stray(self, table: str, reason: str) -> None:
        """Something that never became a row, so that nothing is known of it but the reason."""
        self.strays[table].append(Reject(table, reason, {}, None))

    def hold(self, table: str, owner: Any, playable_id: Any, said: Any) -> None:
        """A row (owner, playable, type); without a type, it waits for one that may be met elsewhere."""
        if said is None and isinstance(playable_id, str):
            self._untyped.append((table, owner, playable_id))
        else:
            self.rows[table].append((owner, playable_id, said))

    def finish(self) -> None:
        """Every page is read: turn what was kept to the end into rows."""
        self.rank = 0
        self.rows["accounts"].extend(self.people.others())
        self.rows["playables"].extend(self.playables.rows())
        self.rows["groups"].extend(self.groups.rows())
        self.rows["catalogs"].extend(self.catalogs.rows())
        for table, owner, playable_id in self._untyped:
            self.rows[table].append((owner, playable_id, self.playables.type_of(playable_id)))
        self._untyped.clear()
