"""Reading a list to its end: both paging styles, page sizes, and the proof that nothing was left out.

API 2.1.1 pages by cursor (``resultFrom``, the answer's ``pagination.lastOnPage`` copied verbatim) or by index
(``resultStart``). Which one an endpoint uses is documented for most and shown by the answer for all, so the answer
decides. A list that cannot be followed to its end is a ContractError, never an endless loop and never a short read
that looks whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from drillster_pipeline import answers
from drillster_pipeline.errors import AnswerError, ContractError

from .endpoints import DOCUMENTED_DEFAULT_SIZE

MOST_PAGES_WITHOUT_NEWS = 3
"""Pages in a row that bring nothing new, while more is promised: overlap explains one or two, not more."""


def allowed_difference(total: int) -> int:
    """By how many items a list may fall short of Drillster's own total: what people do during a long walk."""
    return min(max(3, total // 100), max(1, total // 10))


@dataclass(slots=True)
class Listing:
    """How far a list has been read."""

    endpoint: str
    """The path template, for messages."""
    resource: str
    identify: Callable[[Any], str]
    seen: set[str] = field(default_factory=set)
    total: int | None = None
    """Drillster's total as last named; None if it never named one."""
    pages: int = 0
    shifted: bool = False
    """The total changed while the list was read by index: what moved across a page boundary was missed or doubled."""
    _query: dict[str, str | int] | None = field(default_factory=dict)
    _start: int = 0
    _cursor: str | None = None
    _idle_pages: int = 0

    @property
    def query(self) -> dict[str, str | int] | None:
        """The query of the next page, but for ``resultSize``; None once the list is read."""
        return self._query

    @property
    def short(self) -> bool:
        """Whether fewer items came than Drillster's total explains."""
        return self.total is not None and self.total - len(self.seen) > allowed_difference(self.total)

    def take(self, body: Any, size: int) -> list[Any]:
        """Account for a page that was asked for with ``resultSize=size``; returns its items that are new.

        Raises AnswerError where the page has no list, or the list can't be followed further.
        """
        try:
            items = answers.items(self.resource, body)
            named = answers.named_total(body)
            pagination = _pagination(body)
            more = _more(pagination)
        except ContractError as problem:
            raise AnswerError(f"{problem} (endpoint {self.endpoint})", endpoint=self.endpoint) from None
        self.pages += 1
        before, self.total = self.total, self.total if named is None else named
        fresh = []
        for item in items:
            key = self.identify(item)
            if key not in self.seen:
                self.seen.add(key)
                fresh.append(item)
        self._idle_pages = 0 if fresh else self._idle_pages + 1
        if isinstance(body, list):
            self._query = None  # a bare array is a list without pages
        elif pagination is not None and (more is not None or "lastOnPage" in pagination):
            self._follow_cursor(pagination, more, len(items), size)
        else:
            self.shifted = self.shifted or before not in {None, self.total}
            self._follow_index(items, fresh, size)
        return fresh

    def _follow_cursor(self, pagination: dict[str, Any], more: bool | None, count: int, size: int) -> None:
        if more is None:  # older answers lack it: a page is the last when it is short or the total is reached
            if self.total is not None:
                more = len(self.seen) < self.total and count > 0
            else:
                more = count > 0 and not _short(count, size)
                if more and self._idle_pages:
                    more = False
        if not more:
            self._query = None
            return
        cursor = pagination.get("lastOnPage")
        if cursor is None or isinstance(cursor, (dict, list, bool)):
            self._stuck("promises more, but gives no lastOnPage to go on from")
        if str(cursor) == self._cursor:
            self._stuck("has a cursor that stands still")
        if self._idle_pages >= MOST_PAGES_WITHOUT_NEWS and count:
            self._stuck("repeats the same items over and over")
        if self.total is not None and len(self.seen) - self.total > max(size, allowed_difference(self.total)):
            self._stuck("goes on beyond its own total")
        self._cursor = str(cursor)
        self._query = {"resultFrom": self._cursor}

    def _follow_index(self, items: list[Any], fresh: list[Any], size: int) -> None:
        if self.total is None:
            # Nothing says how much there is: a short page is the last, and so is one that brings nothing new
            # (an endpoint that ignores resultStart gives everything each time).
            self._start += len(items)
            done = not fresh or _short(len(items), size)
        else:
            # An empty page in the middle may be members without attempts; the smallest page any server uses is 10.
            self._start += len(fresh) if items else DOCUMENTED_DEFAULT_SIZE
            done = len(self.seen) >= self.total or self._start >= self.total
            if items and not fresh:
                done = True  # asked for what follows and got the same: `short` tells whether that matters
        self._query = None if done else {"resultStart": self._start}

    def _stuck(self, how: str) -> None:
        raise AnswerError(
            f"The list at {self.endpoint} {how} (page {self.pages}, {len(self.seen)} items so far). "
            "Nothing of it is used. Report it to Drillster; the next run tries again",
            endpoint=self.endpoint,
        )


def _short(count: int, size: int) -> bool:
    """Whether a page is shorter than asked for, and not because the server gives 10 or 50 at most."""
    return count < size and count not in {DOCUMENTED_DEFAULT_SIZE, 50}


def _pagination(body: Any) -> dict[str, Any] | None:
    found = body.get("pagination") if isinstance(body, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ContractError(f"'pagination' should be an object, is {type(found).__name__}")
    return found


def _more(pagination: dict[str, Any] | None) -> bool | None:
    more = pagination.get("moreAvailable") if pagination else None
    if more is not None and not isinstance(more, bool):
        raise ContractError(f"'pagination.moreAvailable' should be true or false, is {type(more).__name__}")
    return more
