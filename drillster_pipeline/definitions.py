"""What Dagster loads."""

from __future__ import annotations

from .orchestration import definitions

defs = definitions()
