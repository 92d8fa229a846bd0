"""The Drillster of the tests: the sandbox, with everything that can go wrong and a record of the requests."""

from __future__ import annotations

from drillster_pipeline.sandbox import Organization, Size

from .faults import Failure, Faults, FieldFault, How, PageFault, closed
from .sandbox import Sandbox
from .shapes import Shapes

__all__ = ["Failure", "Faults", "FieldFault", "How", "Organization", "PageFault", "Sandbox", "Shapes", "Size", "closed"]
