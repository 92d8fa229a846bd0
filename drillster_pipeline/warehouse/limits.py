"""How much of a load may be rejected or deleted: more is refused."""

from __future__ import annotations

MASS_DELETE_SHARE, MASS_DELETE_ROWS = 0.20, 10
"""A load that marks more than this share of the present rows, and at least so many rows, is refused.

The share is that of one run. Where dates are loaded out of order, what the captures between have lost comes on top.
"""
SMALL_TABLE_SHARE, SMALL_TABLE_ROWS = 0.50, 2
"""So is one that marks more than this share of a table that has at least so many. Where at least so many rows were
read, one of them must fit: all of them wrong is no accident, and no deletion that an operator could confirm."""
NEARLY_ALL = 0.99
"""Whatever lies between: no load is accepted that empties a table of two rows or more."""
REJECT_SHARE, REJECT_ROWS = 0.01, 10
"""So many rejects of a table are borne: the larger of this share of the rows read, and this number."""


def bearable(rows_read: int) -> int:
    """How many rejects of a table are borne, of so many rows read."""
    return max(REJECT_ROWS, int(REJECT_SHARE * rows_read))


def share_exceeded(gone: int, present: int, runs: int) -> float | None:
    """The share of the present rows that may go in so many runs, if more would go."""
    for share, is_enough in (
        (MASS_DELETE_SHARE, gone >= runs * MASS_DELETE_ROWS),
        (SMALL_TABLE_SHARE, present >= SMALL_TABLE_ROWS),
    ):
        accepted = round(min(NEARLY_ALL, 1 - (1 - share) ** runs), 9)
        if is_enough and gone > accepted * present:
            return accepted
    return None
