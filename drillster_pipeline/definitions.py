"""What Dagster loads of this project: one organization, with the settings of the environment and ``.env``."""

from __future__ import annotations

import dagster as dg

from .components import build_defs
from .orchestration.executors import executor_of
from .organization import Organization

# Of what is launched from the UI as single assets, too.
defs = dg.Definitions.merge(build_defs(), dg.Definitions(executor=executor_of(Organization().read()[0])))
