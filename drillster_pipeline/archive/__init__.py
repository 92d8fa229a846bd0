"""Raw answers per export date, on disk or in an object store: written, sealed, resumed, read."""

from .captures import KINDS, RESUMABLE_FOR, Archive
from .lines import End, Line, body_bytes, unit_key
from .reading import Capture, CaptureRef, utc_moment, utc_text
from .storage import StillOurs
from .writing import CaptureWriter

__all__ = [
    "KINDS",
    "RESUMABLE_FOR",
    "Archive",
    "Capture",
    "CaptureRef",
    "CaptureWriter",
    "End",
    "Line",
    "StillOurs",
    "body_bytes",
    "unit_key",
    "utc_moment",
    "utc_text",
]
