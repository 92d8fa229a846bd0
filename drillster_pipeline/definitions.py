"""What Dagster loads."""

from __future__ import annotations

from .orchestration.definitions import build_definitions

defs = build_definitions()
