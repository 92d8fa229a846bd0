"""Raw answers per export date, on disk or in an object store: written, sealed, resumed, read."""

from .archive import KINDS, RESUMABLE_FOR, Archive, open_storage
from .capture_reader import Capture, CaptureRef, utc_moment, utc_text
from .capture_writer import CaptureWriter
from .records import PageRecord, UnitFooter, body_bytes
from .storage import LockCheck

__all__ = [
    "KINDS",
    "RESUMABLE_FOR",
    "Archive",
    "Capture",
    "CaptureRef",
    "CaptureWriter",
    "LockCheck",
    "PageRecord",
    "UnitFooter",
    "body_bytes",
    "open_storage",
    "utc_moment",
    "utc_text",
]
