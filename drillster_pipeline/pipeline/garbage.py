"""How often Python looks for reference cycles while answers are decoded by the thousand."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = (50_000, 20, 100)
"""New objects, and rounds of the younger generations, between two looks."""


@contextmanager
def infrequent_gc() -> Iterator[None]:
    """Look less often than after every 700 new objects, in the whole process.

    A page of answers is some thousand objects, and none of them refers back to another: looking through them, and
    at times through all that the process holds, is a sixth of what reading and typing costs, and a tenth of a capture.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
