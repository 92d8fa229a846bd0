"""Manifests of captures, as small as the planning of loads needs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drillster_pipeline.resources import RESOURCES

SNAPSHOT = tuple(name for name in RESOURCES if name != "objective_events")
GROUPS = ("g1", "g2", "g3")


def manifest(
    *,
    unavailable: Iterable[str] = (),
    lost: Iterable[tuple[str, dict[str, str], int]] = (),
    short: Iterable[tuple[str, dict[str, str]]] = (),
    listed: Iterable[str] = GROUPS,
    closed: Iterable[str] = (),
    gone: Iterable[str] = (),
    resources: Iterable[str] = SNAPSHOT,
) -> dict[str, Any]:
    """A manifest in which everything was read, but for what is named."""
    entries: dict[str, dict[str, Any]] = {
        name: {"status": "captured", "lost": [], "short": [], "items": 10, "named_total": 10} for name in resources
    }
    for name in unavailable:
        entries[name] |= {"status": "unavailable", "why": "no permission (403)"}
    for name, unit, status in lost:
        entries[name]["lost"].append({"unit": unit, "status": status})
    for name, unit in short:
        entries[name]["short"].append({"unit": unit, "items": 5, "expected": 50})
    return {
        "resources": entries,
        "groups": {"listed": list(listed), "closed": list(closed), "gone": list(gone)},
    }
