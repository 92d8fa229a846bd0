"""Drillster in anybody's Dagster: :func:`build_defs` from Python, :class:`DrillsterComponent` from a ``defs.yaml``.

One call or one file is one organization; a code location may have any number of them.
"""

from .component import DrillsterComponent, organizations_of
from .definitions import build_defs

__all__ = ["DrillsterComponent", "build_defs", "organizations_of"]
