"""Lists in pages: the cursor style and the index style of Drillster (drillster-api.md, section 2.3)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

Json = Any
_ENDLESS = 1 << 40


class BadCursor(ValueError):
    """The cursor is not one that this list gives out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A whole list, of which only the asked pages are made.

    ``cursor(i)`` is what the next page starts after when item ``i`` is the last of this one; ``after(cursor)`` and
    ``at(cursor)`` are where an exclusive and an inclusive cursor begin (BadCursor when it is none of this list's).
    """

    total: int
    items: Callable[[int, int], list[Json]]
    cursor: Callable[[int], str]
    after: Callable[[str], int]
    at: Callable[[str], int]

    def all(self) -> list[Json]:
        """Every item."""
        return self.items(0, self.total)


def ordered(
    things: Sequence[Any], render: Callable[[Any], Json], key: Callable[[Any], Any], read: Callable[[str], Any]
) -> Listing:
    """A listing of things that are in the order of their keys, which are their cursors as well.

    Such a cursor works even where its item has gone in the meantime. ``read`` turns a cursor's text into a key and
    raises ValueError; ``str(key)`` is the cursor's text unless the key says otherwise.
    """

    def position(text: str, bisect: Callable[..., int]) -> int:
        try:
            wanted = read(text)
        except ValueError:
            raise BadCursor(text) from None
        return bisect(things, wanted, key=key)

    return Listing(
        total=len(things),
        items=lambda start, stop: [render(thing) for thing in things[start:stop]],
        cursor=lambda index: str(key(things[index])),
        after=lambda text: position(text, bisect_right),
        at=lambda text: position(text, bisect_left),
    )


def named(things: Sequence[Any], render: Callable[[Any], Json], name: Callable[[Any], str]) -> Listing:
    """A listing whose cursor is the id of an item, in whatever order the list has."""

    def index(text: str) -> int:
        for position, thing in enumerate(things):
            if name(thing) == text:
                return position
        raise BadCursor(text)

    return Listing(
        total=len(things),
        items=lambda start, stop: [render(thing) for thing in things[start:stop]],
        cursor=lambda position: name(things[position]),
        after=lambda text: index(text) + 1,
        at=index,
    )


def by_index(listing: Listing) -> Listing:
    """The same list with the index of an item as its cursor."""

    def position(text: str) -> int:
        if not text.isascii() or not text.isdigit():
            raise BadCursor(text)
        return int(text)

    return Listing(
        total=listing.total,
        items=listing.items,
        cursor=str,
        after=lambda text: position(text) + 1,
        at=position,
    )


def whole(items: list[Json]) -> Listing:
    """A list that has been made already, paged by index."""
    listing = Listing(total=len(items), items=lambda start, stop: items[start:stop], cursor=str, after=int, at=int)
    return by_index(listing)


def turned(listing: Listing) -> Listing:
    """The same list from its last item to its first."""
    total = listing.total
    return Listing(
        total=total,
        items=lambda start, stop: listing.items(max(0, total - stop), max(0, total - start))[::-1],
        cursor=lambda index: listing.cursor(total - 1 - index),
        after=lambda text: total - listing.at(text),
        at=lambda text: total - listing.after(text),
    )


def without_first(listing: Listing, count: int) -> Listing:
    """The same list after its first items have been removed: whoever pages by index now misses as many."""
    total = max(0, listing.total - count)
    return replace(
        listing,
        total=total,
        items=lambda start, stop: listing.items(start + count, stop + count),
        cursor=lambda index: listing.cursor(index + count),
    )


def endless_of(listing: Listing) -> Listing:
    """The same list over and over again."""

    def items(start: int, stop: int) -> list[Json]:
        return [item for index in range(start, stop) for item in listing.items(index % size, index % size + 1)]

    size = listing.total
    return replace(listing, total=_ENDLESS, items=items, cursor=lambda index: listing.cursor(index % size))
