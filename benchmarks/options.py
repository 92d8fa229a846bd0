"""How much is measured, and what the benchmarks share within a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .archives import Archives
from .places import PostgreSQL


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``sizes``: result rows to load; ``peaks``: those whose memory is measured; ``accounts``: of a second run."""

    rounds: int
    sizes: tuple[int, ...]
    peaks: tuple[int, ...]
    accounts: int
    archives: Archives
    postgresql: PostgreSQL
    say: Callable[[str], None]
