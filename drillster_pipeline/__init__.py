"""Every night, what Drillster knows, in a SQL warehouse: whole, or not at all."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("drillster-pipeline")
