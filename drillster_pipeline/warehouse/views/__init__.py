"""The analysts' views: each is a query, with what it is for and what its columns mean."""

from __future__ import annotations

from .declaration import VIEWS, View
from .loads import date_bounds
from .objectives import group_compliance, overdue_objectives
from .practice import proficiency_trend

__all__ = ["VIEWS", "View", "date_bounds", "group_compliance", "overdue_objectives", "proficiency_trend"]
