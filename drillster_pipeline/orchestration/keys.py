"""The keys of assets."""

from __future__ import annotations

import dagster as dg


def resource_key(resource: str) -> dg.AssetKey:
    """The asset of a captured resource."""
    return dg.AssetKey(["drillster", resource])


def table_key(table: str) -> dg.AssetKey:
    """The asset of a published table."""
    return dg.AssetKey(["warehouse", table])
