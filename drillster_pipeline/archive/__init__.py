"""Raw answers per export date, on disk or in an object store: written, sealed, resumed, read."""

from .captures import RESUMABLE_FOR, Archive, Capture, CaptureRef, CaptureWriter, unit_key, utc_moment, utc_text
from .parts import End, Line

__all__ = [
    "RESUMABLE_FOR",
    "Archive",
    "Capture",
    "CaptureRef",
    "CaptureWriter",
    "End",
    "Line",
    "unit_key",
    "utc_moment",
    "utc_text",
]
