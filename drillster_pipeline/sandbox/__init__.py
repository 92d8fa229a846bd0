"""A local Drillster, for trying things out, for the demo and for tests.

It verifies signatures, expires tokens and pages as documented, over real sockets, and knows a believable organization
that follows from a seed and a moment. It imports nothing from the rest of the package.
"""

from __future__ import annotations

from .model import Size
from .oauth import Credentials, write_environment
from .organization import Organization
from .server import Sandbox

__all__ = ["Credentials", "Organization", "Sandbox", "Size", "write_environment"]
