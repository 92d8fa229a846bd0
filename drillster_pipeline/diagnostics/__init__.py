"""The examination of a first connection: what works, what does not, and what to do. Plain findings, shown by others."""

from __future__ import annotations

from .bundle import write_bundle
from .report import Finding, Part, Report, Status
from .run import Examination

__all__ = ["Examination", "Finding", "Part", "Report", "Status", "write_bundle"]
