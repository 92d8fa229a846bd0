"""Any SQL database as the place where all that Drillster said is kept: staged, judged, then published as one."""

from __future__ import annotations

from .ledger import CONTRACT
from .ledger_queries import LatestLoad, TableLoad
from .load import Load
from .load_plan import LoadPlan, LoadReport, LoadType, TablePlan, TableReport, TableValidation, ValidationResult
from .schema_sync import ddl
from .views import VIEWS, View, ViewColumn
from .warehouse import Warehouse

__all__ = [
    "CONTRACT",
    "VIEWS",
    "LatestLoad",
    "Load",
    "LoadPlan",
    "LoadReport",
    "LoadType",
    "TableLoad",
    "TablePlan",
    "TableReport",
    "TableValidation",
    "ValidationResult",
    "View",
    "ViewColumn",
    "Warehouse",
    "ddl",
]
