"""Any SQL database as the place where all that Drillster said is kept: staged, judged, then published as one."""

from __future__ import annotations

from .database import Warehouse
from .ddl import ddl
from .history import LatestLoad, TableLoad
from .ledger import CONTRACT
from .load import Load
from .plans import (
    Judgement,
    LoadPlan,
    LoadReport,
    Mode,
    TableJudgement,
    TablePlan,
    TableReport,
)
from .views import VIEWS, View, ViewColumn

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
