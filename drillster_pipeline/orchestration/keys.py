"""The keys of assets, and the names of jobs."""

from __future__ import annotations

import dagster as dg

NIGHTLY, EVENTS, UPKEEP = JOBS = ("nightly", "events", "upkeep")
"""The jobs."""
ASSET_FOLDERS = {"drillster", "warehouse", "report"}
"""What keys of assets begin with."""


def resource_key(resource: str) -> dg.AssetKey:
    """The asset of a captured resource."""
    return dg.AssetKey(["drillster", resource])


def table_key(table: str) -> dg.AssetKey:
    """The asset of a published table."""
    return dg.AssetKey(["warehouse", table])
