"""Dashboards for Apache Superset: what they show is in the YAML files, what the tables are in the contract."""

from __future__ import annotations

from .superset import DASHBOARDS, LOGIN, SUPERSET, archive, connection_url

__all__ = ["DASHBOARDS", "LOGIN", "SUPERSET", "archive", "connection_url"]
