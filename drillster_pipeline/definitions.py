"""What Dagster loads of this project: one organization, with the settings of the environment and ``.env``."""

from __future__ import annotations

import dagster as dg

from .components import build_defs

defs = dg.Definitions.merge(build_defs(), dg.Definitions(executor=dg.in_process_executor))
