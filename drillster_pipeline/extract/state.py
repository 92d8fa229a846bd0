"""What the readers of a load's pages put together: rows per table, and what is only known at the end."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterator, Sequence
from datetime import date
from typing import Any

from drillster_pipeline.errors import ContractError
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.response_shapes import Json, shown_id
from drillster_pipeline.tables import DATA_TABLES

from .batches import Page, Reject
from .parsing import ParseError, as_id, as_object, json_type
from .row_reader import Row, row_reader

_PAGES = 1 << 16
_BITS = 48
_READABLE = 1 << 80
"""What a value that could be read has over all orders of responses."""

_read_account = row_reader(DATA_TABLES["accounts"], "is_managed", "is_admin")({})
_read_playable = row_reader(DATA_TABLES["playables"], "playable_id")({})
_IS_MANAGED = DATA_TABLES["accounts"].position("is_managed")
_TYPE = DATA_TABLES["playables"].position("type")
_ORDER = {resource: number for number, resource in enumerate(RESOURCES)}


def rank_of(page: Page) -> int:
    """A place for a response among those of its resource, 48 bits, from the request: of two, the higher one counts.

    A list that was requested without parameters comes before the response on one thing, a page before the next one. The
    order of units is arbitrary (that of a checksum), but every run has the same.
    """
    unit = page.unit
    checksum = zlib.crc32("\0".join(map(unit.__getitem__, sorted(unit))).encode("utf-8", "surrogatepass"))
    return checksum * _PAGES + min(page.number, _PAGES - 1)


class Merged:
    """Rows by key, put together from several responses so that it does not matter which of them came first.

    Of each field the value counts that the response with the highest ``order`` gives. A value that is left out never
    counts, and one that could not be read only where no response has one that could.
    """

    def __init__(self) -> None:
        self.order = 0
        self.rows: dict[Any, list[Any]] = {}
        self._orders: dict[Any, list[int]] = {}

    def add(self, key: Hashable, row: Sequence[Any]) -> None:
        """Add what the response that is being read says of a thing."""
        if key not in self.rows:
            self.rows[key], self._orders[key] = [None] * len(row), [-_READABLE] * len(row)
        values, orders, readable = self.rows[key], self._orders[key], self.order + _READABLE
        for place, value in enumerate(row):
            if value is not None:
                order = self.order if type(value) is ParseError else readable
                if order >= orders[place]:
                    values[place], orders[place] = value, order


class ExtractionState:
    """Filled page by page. Of what is kept to the end, nothing grows with the number of results.

    The list of accounts alone counts for the people on it. Others are put together from all that refers to them, in the
    order of the crawl (members, staff, evaluations, results, tests, events): a later one only adds what is missing.
    """

    def __init__(self, export_date: date, *, accounts_complete: bool) -> None:
        self.rows: dict[str, list[Row]] = {name: [] for name in DATA_TABLES}
        self.rejects: dict[str, list[Reject]] = {name: [] for name in DATA_TABLES}
        """What never became a row."""
        self.context: dict[str, Any] = {}
        """What paths of columns call by name: the parameters of the response that is being read, and its time."""
        self.rank = 0
        """Of the response that is being read. Of two rows with the same key that of the higher rank is loaded."""
        self.listed: set[str] = set()
        """The accounts on the organization's list."""
        self.is_list_read = False
        self.is_list_complete = accounts_complete
        """False: somebody on the list was not read, so whoever seems not to be on it may be on it."""
        self.complete_playables: set[str] = set()
        """Those of which earlier resources gave all fields: the many results need not give them again."""
        self.groups, self.catalogs = Merged(), Merged()
        self.norms = Merged()
        """By group and objective: its review date and minimum proficiency, as they stood when it was captured."""
        self._people = Merged()
        self._playables = Merged()
        """Rows with one value more, the type as the place of a reference lets it assume."""
        self._untyped: list[tuple[str, Row, str]] = []
        self._export_date = export_date
        self._resource = ""

    def begin(self, resource: str, page: Page) -> None:
        """Turn to another page: what is added from now on is said by this one."""
        if resource != self._resource:
            self._resource = resource
            rows = self._playables.rows
            self.complete_playables = {key for key, row in rows.items() if all(type(one) is str for one in row[:-1])}
        self.context = {**page.unit, "export_date": self._export_date, "captured_at": page.captured_at}
        self.rank = rank_of(page)
        order = self.rank - (_ORDER[resource] << _BITS)  # an earlier resource counts before a later one
        for merged in (self.groups, self.catalogs, self.norms, self._people, self._playables):
            merged.order = order

    def items(self, resource: str, page: Page) -> list[Json]:
        """The list that a page carries; ContractError, with the unit, where it has none."""
        try:
            return RESOURCES[resource].items(page.body)
        except ContractError as error:
            unit = ", ".join(f"{name} {shown_id(value)}" for name, value in page.unit.items())
            raise ContractError(f"{error} ({unit or 'the list'}, page {page.number})") from None

    def objects(self, table: str, value: Json, where: str) -> Iterator[dict[str, Any]]:
        """The objects of a list; whatever is none becomes a reject of ``table``. Left out, a list is empty."""
        if value is None:
            return
        if not isinstance(value, list):
            self.add_reject(table, f"{where}: expected a list, found {json_type(value)}")
            return
        for item in value:
            if type(item) is dict:
                yield item
            else:
                self.add_reject(table, f"{where}[]: expected an object, found {json_type(item)}")

    def add_reject(self, table: str, reason: str) -> None:
        """Add something that never became a row, so that nothing is known of it but the reason."""
        self.rejects[table].append(Reject(table, reason, {}, None))

    def add_person(self, user: Json) -> Any:
        """Add a person who is referred to (an object User, or only its id); returns the id."""
        user = as_object(user)
        account_id = as_id(user.get("id"))
        if type(account_id) is str and account_id not in self.listed:
            self._people.add(account_id, _read_account({"account": user}, None, None))
        return account_id

    def add_playable(self, playable: dict[str, Any], assumed: str | None, playable_id: Any = None) -> Any:
        """Add a playable that is referred to, and the drills in it; returns its id.

        ``assumed`` is its type as far as the place of the reference says; ``type`` of the object itself wins.
        ``playable_id`` is its id where that is known from elsewhere, such as the path.
        """
        if playable_id is None:
            playable_id = as_id(playable.get("id"))
            drills = playable.get("drills")
            for drill in drills if type(drills) is list else ():
                if type(drill) is dict and (drill_id := as_id(drill.get("id"))) is not None:
                    self.add_playable(drill, "DRILL", drill_id)
        if type(playable_id) is str and playable_id not in self.complete_playables:
            self._playables.add(playable_id, (*_read_playable(playable, playable_id), assumed))
        return playable_id

    def add_link(self, table: str, row: Row, playable_id: Any) -> None:
        """Add a row that links a playable to its owner; without a type, it waits for one from elsewhere."""
        if type(playable_id) is str and row[DATA_TABLES[table].position("type")] is None:
            self._untyped.append((table, row, playable_id))
        else:
            self.rows[table].append(row)

    def finish(self) -> None:
        """Every page is read: turn what was kept to the end into rows."""
        self.rank = 0
        is_managed = False if self.is_list_read and self.is_list_complete else None
        people = [row for account_id, row in self._people.rows.items() if account_id not in self.listed]
        self.rows["accounts"].extend(_with(row, _IS_MANAGED, is_managed) for row in people)
        playables = self._playables.rows.items()
        self.rows["playables"].extend(_with(row[:-1], _TYPE, self._type_of(key)) for key, row in playables)
        self.rows["groups"].extend(map(tuple, self.groups.rows.values()))
        self.rows["catalogs"].extend(map(tuple, self.catalogs.rows.values()))
        for table, row, playable_id in self._untyped:
            self.rows[table].append(_with(row, DATA_TABLES[table].position("type"), self._type_of(playable_id)))
        self._untyped.clear()

    def _type_of(self, playable_id: Hashable) -> Any:
        """The type that a response gives, else the one assumed; None where neither is known."""
        row = self._playables.rows[playable_id]
        return row[-1] if row[_TYPE] is None else row[_TYPE]


def _with(row: Sequence[Any], place: int, value: Any) -> Row:
    return (*row[:place], value, *row[place + 1 :])
