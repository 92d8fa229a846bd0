"""Any SQL database as the place where all that Drillster said is kept: staged, judged, then published as one."""

from __future__ import annotations

from .ddl import ddl
from .ledger import CONTRACT
from .ledger_queries import LatestLoad, TableLoad
from .load import Load
from .load_plan import Judgement, LoadPlan, LoadReport, Mode, TableJudgement, TablePlan, TableReport
from .views import VIEWS, View, ViewColumn
from .warehouse import Warehouse

__all__ = [
    "CONTRACT",
    "VIEWS",
    "Judgement",
    "LatestLoad",
    "Load",
    "LoadPlan",
    "LoadReport",
    "Mode",
    "TableJudgement",
    "TableLoad",
    "TablePlan",
    "TableReport",
    "View",
    "ViewColumn",
    "Warehouse",
    "ddl",
]
