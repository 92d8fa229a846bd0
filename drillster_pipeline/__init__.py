"""Exports the data of Drillster into a SQL warehouse every night, completely or not at all."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("drillster-pipeline")
