"""Any SQL database as the warehouse: rows are staged, validated, then merged in one transaction."""

from __future__ import annotations

from .ledger import CONTRACT
from .load_plan import LoadPlan, LoadType, TablePlan
from .schema_sync import ddl
from .views import VIEWS
from .warehouse import Warehouse

__all__ = ["CONTRACT", "VIEWS", "LoadPlan", "LoadType", "TablePlan", "Warehouse", "ddl"]
