"""A view, as far as a document needs it; the views themselves are the warehouse's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class DescribedColumn(Protocol):
    """A column of a view, as far as a reader needs it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def description(self) -> str:
        """What it means."""


class Described(Protocol):
    """A view, as far as a reader needs it; the views themselves are the warehouse's."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def description(self) -> str:
        """What it is for."""

    @property
    def columns(self) -> Sequence[DescribedColumn]:
        """Its columns in order."""
