"""Things that several answers name, put together so that it does not matter which answer came first."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from .values import Misfit

if TYPE_CHECKING:
    from .batches import Page

_PAGES = 1 << 16
_BITS = 48


def rank_of(page: Page) -> int:
    """A place for an answer among those of its resource, 48 bits, from what was asked: of two, the higher one counts.

    A list that was asked for as a whole comes before the answer on one thing, a page before the next one. The order of
    units is arbitrary (that of a checksum), but every run has the same.
    """
    unit = page.unit
    checksum = zlib.crc32("\0".join(map(unit.__getitem__, sorted(unit))).encode("utf-8", "surrogatepass"))
    return checksum * _PAGES + min(page.number, _PAGES - 1)


def order_of(resource_number: int, rank: int) -> int:
    """The order of an answer among all: those of an earlier resource count before those of a later one."""
    return rank - (resource_number << _BITS)


class Merged:
    """Fields by key. Of each field the value counts that the answer with the highest order gives.

    ``order`` is that of the answer that is being read (see ``order_of``). A value that is left out never counts, and
    one that could not be read only where no answer has one that could.
    """

    def __init__(self) -> None:
        self.order = 0
        self._known: dict[Hashable, tuple[list[Any], list[tuple[int, int]]]] = {}

    def add(self, key: Hashable, *said: Any) -> None:
        """Note what the answer says of a thing."""
        values, orders = self._known.setdefault(key, ([None] * len(said), [(0, 0)] * len(said)))
        for place, value in enumerate(said):
            if value is not None:
                order = (1 if isinstance(value, Misfit) else 2, self.order)
                if order >= orders[place]:
                    values[place], orders[place] = value, order

    def get(self, key: Hashable, fields: int) -> list[Any]:
        """What is known of a thing; None in each of so many fields where nobody named it."""
        return self._known[key][0] if key in self._known else [None] * fields

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Key and fields of each thing."""
        for key, (values, _) in self._known.items():
            yield key, *values
