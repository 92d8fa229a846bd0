"""Whether a list is as long as Drillster says it is.

Absence is not deletion until the read is proven complete: what these rules call short is published in a way in which
absence means nothing.
"""

from __future__ import annotations

from drillster_pipeline.archive import UnitFooter


def allowed_difference(total: int) -> int:
    """By how many items a list may fall short of Drillster's own total: what people do during a long walk."""
    return min(max(3, total // 100), max(1, total // 10))


def promised(end: UnitFooter) -> int | None:
    """How many items Drillster counts, where that is more than an answer that ends so explains; else None.

    A total that never changed while the list was read is no matter of a long walk: then a single one is missing.
    """
    if end.cut:
        return end.items + 1
    if end.total is not None:
        items = end.items + end.doubled
        if _short(items, end.total, nothing_is_fine=False) or (items < end.total and not end.moved):
            return end.total
    # The list's own total is newer than the group's counts, and more to the point.
    nothing_is_fine = end.total is not None
    if end.expected is not None and _short(end.items, end.expected, nothing_is_fine=nothing_is_fine):
        return end.expected
    return None


def _short(items: int, total: int, *, nothing_is_fine: bool) -> bool:
    """Of what is counted as one or two, nothing at all is no small difference."""
    return total - items > allowed_difference(total) or (items == 0 < total and not nothing_is_fine)
