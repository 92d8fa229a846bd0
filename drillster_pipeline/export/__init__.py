"""One export date from Drillster to the warehouse: the rules in plain Python, which Dagster and the console follow."""

from .captures import CaptureOutcome, How, capture
from .loads import PublishOutcome, publish
from .session import Session

__all__ = ["CaptureOutcome", "How", "PublishOutcome", "Session", "capture", "publish"]
