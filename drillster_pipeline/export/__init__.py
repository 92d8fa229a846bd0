"""One export date from Drillster to the warehouse: the rules in plain Python, which Dagster and the console follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .captures import CaptureOutcome, How, capture
from .session import Session

if TYPE_CHECKING:
    from .loads import PublishOutcome, publish

__all__ = ["CaptureOutcome", "How", "PublishOutcome", "Session", "capture", "publish"]


def __getattr__(name: str) -> Any:
    """What publishes waits for its first use: it needs pandas, and a capture should not wait for that."""
    if name in {"PublishOutcome", "publish"}:
        from . import loads

        return getattr(loads, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
