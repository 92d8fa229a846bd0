"""Documents made from the declarations: they cannot say anything that the tables do not."""

from __future__ import annotations

from .dbt import dbt_sources
from .described import Described, DescribedColumn
from .diagram import entity_diagram
from .dictionary import data_dictionary

__all__ = ["Described", "DescribedColumn", "data_dictionary", "dbt_sources", "entity_diagram"]
