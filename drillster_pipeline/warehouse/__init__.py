"""Any SQL database as the warehouse: rows are staged, validated, then merged in one transaction."""

from __future__ import annotations

from .ledger import CONTRACT, EffectiveLoad, TableLoad
from .load import Load
from .load_plan import LoadPlan, LoadReport, LoadType, TablePlan, TableReport, ValidationResult
from .schema_sync import ddl
from .views import VIEWS
from .warehouse import Warehouse

__all__ = [
    "CONTRACT",
    "VIEWS",
    "EffectiveLoad",
    "Load",
    "LoadPlan",
    "LoadReport",
    "LoadType",
    "TableLoad",
    "TablePlan",
    "TableReport",
    "ValidationResult",
    "Warehouse",
    "ddl",
]
