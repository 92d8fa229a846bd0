"""A list in pages, in any of the styles, and reading it as the walk does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drillster_pipeline import resources as api
from drillster_pipeline.api.paging import Listing

MOST = 300
"""Pages after which a test gives up."""

Answering = Callable[[dict[str, Any]], Any]


def read(answer: Answering, *, endpoint: Any = api.CATALOG_CONTENT, size: int = 100, **options: Any) -> Listing:
    """Follow a list as the walk does, with a second pass where the first is doubtful."""
    listing = Listing(endpoint, **options)
    for _ in range(MOST):
        if (query := listing.query) is None:
            return listing
        asked = min(size, listing.size or size)
        listing.add_page(answer({**query, "resultSize": asked}), asked)
        if listing.query is None and listing.passes == 1 and listing.needs_second_pass:
            listing.restart()
    raise AssertionError("the list is read for ever")


def things(count: int) -> list[dict[str, Any]]:
    return [{"id": f"id{number:04d}"} for number in range(count)]


class Server:
    """A list in pages, in any of the styles."""

    def __init__(
        self,
        count: int,
        *,
        clamp: int = 100,
        by: str = "id",
        ties: int = 1,
        inclusive: bool = False,
        total: bool = True,
        more: bool = True,
        name: str = "playables",
    ) -> None:
        self.items = things(count)
        self.clamp, self.by, self.ties, self.inclusive = clamp, by, ties, inclusive
        self.total, self.more, self.name = total, more, name
        self.asked: list[dict[str, Any]] = []

    def key(self, index: int) -> str:
        """What the cursor of an item is; so many items share one."""
        return f"{index // self.ties:06d}" if self.by == "moment" else self.items[index]["id"]

    def __call__(self, query: dict[str, Any]) -> Any:
        self.asked.append(query)
        size = min(query["resultSize"], self.clamp)
        if self.by == "index":
            start = int(query.get("resultStart", 0))
            body = {self.name: self.items[start : start + size]}
            return body | ({"total": len(self.items)} if self.total else {})
        start = 0
        if "resultFrom" in query:
            keys = [self.key(index) for index in range(len(self.items))]
            found = [index for index, key in enumerate(keys) if key == query["resultFrom"]]
            start = found[0] if self.inclusive else found[-1] + 1
        page = self.items[start : start + size]
        pagination: dict[str, Any] = {"total": len(self.items)} if self.total else {}
        if page:
            pagination["lastOnPage"] = self.key(start + len(page) - 1)
        if self.more:
            pagination["moreAvailable"] = start + len(page) < len(self.items)
        return {self.name: page, "pagination": pagination}
