"""The nightly report: one page per export date that a manager can read and forward. Reads the warehouse alone."""

from __future__ import annotations

from .figures import Figures, figures_of
from .page import render

__all__ = ["Figures", "figures_of", "render"]
