"""The checks of an installation: what works, what does not, and what to do. Results are data, printed by others."""

from __future__ import annotations

from .bundle import write_bundle
from .report import DiagnosticsReport, Item, Part, Status
from .run import Diagnostics

__all__ = ["Diagnostics", "DiagnosticsReport", "Item", "Part", "Status", "write_bundle"]
