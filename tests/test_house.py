"""What two parts of the house must say alike, since neither may import the other."""

from __future__ import annotations

import subprocess
import sys

from drillster_pipeline.answers import SHAPES
from drillster_pipeline.api.endpoints import OBJECTIVE_EVENTS, SNAPSHOT_RESOURCES
from drillster_pipeline.tables import RESOURCES


def test_the_walk_and_the_tables_name_the_same_resources_in_the_same_order() -> None:
    assert (*SNAPSHOT_RESOURCES, OBJECTIVE_EVENTS.resource) == RESOURCES


def test_every_resource_but_the_organization_has_a_list_whose_shape_is_known() -> None:
    assert set(SHAPES) == set(RESOURCES) - {"organization"}


def test_a_night_asks_its_first_question_before_pandas_is_loaded() -> None:
    modules = ["cli", "console.night", "export", "orchestration", "api.capture"]
    code = "import sys; " + "".join(f"import drillster_pipeline.{name}; " for name in modules)
    subprocess.run([sys.executable, "-c", f"{code} sys.exit('pandas' in sys.modules)"], check=True, timeout=60)
