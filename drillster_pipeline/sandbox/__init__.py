"""A local Drillster, for trying things out, for the demo and for tests.

It verifies signatures, expires tokens, pages and fails as documented, over real sockets, and knows a believable
organization that is a pure function of a seed and a moment. It imports nothing from the rest of the package.
"""

from __future__ import annotations

from .credentials import Credentials, environment, write_environment
from .faults import Failure, Faults, FieldFault, How, PageFault, closed
from .organization import Organization
from .recorder import Record
from .server import Sandbox, serve
from .shapes import Shapes
from .size import Size

__all__ = [
    "Credentials",
    "Failure",
    "Faults",
    "FieldFault",
    "How",
    "Organization",
    "PageFault",
    "Record",
    "Sandbox",
    "Shapes",
    "Size",
    "closed",
    "environment",
    "serve",
    "write_environment",
]
