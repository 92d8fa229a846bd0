"""Where Dagster keeps its runs when the console runs the job: DAGSTER_HOME, or ``data/dagster`` of this folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

DEFAULT_HOME = Path("data/dagster")


def ensure_home() -> Path:
    """Set DAGSTER_HOME where it is not set, make the folder, and put our ``dagster.yaml`` there if it has none."""
    home = Path(os.environ.get("DAGSTER_HOME") or DEFAULT_HOME).expanduser().absolute()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(_instance_settings(), home / "dagster.yaml")
    return home


def _instance_settings() -> Path:
    """The project's ``dagster.yaml``: beside this file in a wheel, at the top of a checkout."""
    inside = Path(__file__).with_name("dagster.yaml")
    return inside if inside.exists() else Path(__file__).parents[2] / "dagster.yaml"
