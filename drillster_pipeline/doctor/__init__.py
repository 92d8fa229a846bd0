"""The examination of a first connection: what works, what does not, and what to do. Plain findings, shown by others."""

from __future__ import annotations

from .bundle import write_bundle
from .examination import Examination
from .findings import Finding, Part, Report, Status

__all__ = ["Examination", "Finding", "Part", "Report", "Status", "write_bundle"]
