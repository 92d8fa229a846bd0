"""Where Dagster keeps its runs when the console runs the job: DAGSTER_HOME, or ``data/dagster`` of this folder."""

from __future__ import annotations

import glob
import importlib
import json
import os
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.errors import needs_extra

DEFAULT_HOME = Path("data/dagster")
_SERVERS = {"postgres", "mysql"}
"""Kinds of storage that make tables when they are opened, unless their settings say that they are there."""


def home_folder() -> Path:
    """DAGSTER_HOME, or the default; it may not be there."""
    return Path(os.environ.get("DAGSTER_HOME") or DEFAULT_HOME).expanduser().absolute()


def ensure_home() -> Path:
    """Set DAGSTER_HOME where it is not set, make the folder, and put our ``dagster.yaml`` there if it has none.

    Raises ExtraMissing where its storage is PostgreSQL, and what Dagster needs for that is not installed.
    """
    home = home_folder()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(_instance_settings(), home / "dagster.yaml")
    _config_of(home / "dagster.yaml")
    return home


def describe_home() -> dict[str, Any]:
    """Where Dagster's home is and what keeps its runs, without making anything that is not there.

    ``home`` is ``set`` or ``default``; ``exists``: whether anything has run there; ``storage``: as dagster.yaml calls
    it (``sqlite``, ``postgres``, …); ``silent_seconds``: since the daemon's last sign of life, None where there never
    was one.
    """
    home = home_folder()
    found: dict[str, Any] = {
        "home": "set" if os.environ.get("DAGSTER_HOME") else "default",
        "exists": False,
        "silent_seconds": None,
    }
    settings = home / "dagster.yaml"
    if not settings.exists():
        return found
    import dagster as dg

    config = _config_of(settings)
    storage = config.get("storage") or {"sqlite": {"base_dir": str(home)}}
    if (in_files := storage.get("sqlite")) is not None:
        folder = in_files.get("base_dir", home)
        folder = os.environ.get(folder["env"], "") if isinstance(folder, dict) else folder
        if not (Path(folder) / "history").exists():  # Dagster makes what it opens
            return found
    found["storage"] = next(iter(storage))
    with TemporaryDirectory() as aside:
        # Two settings are changed: Dagster makes no tables, and its other folders are in a place that is removed.
        servers = {kind: {**storage[kind], "should_autocreate_tables": False} for kind in storage.keys() & _SERVERS}
        changed = {**config, "storage": storage | servers}
        (Path(aside) / "dagster.yaml").write_text(json.dumps(changed), encoding="utf-8")
        with dg.DagsterInstance.from_config(aside) as instance:
            try:
                beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
            except sa.exc.ProgrammingError as error:
                if type(error.orig).__name__ != "UndefinedTable":
                    raise
                return found
    return found | {
        "exists": True,
        "dagster": dg.__version__,
        "silent_seconds": max(0.0, time.time() - max(beats)) if beats else None,
    }


def _config_of(settings: Path) -> dict[str, Any]:
    """What a ``dagster.yaml`` says. Raises ExtraMissing where it needs the extra ``deploy``."""
    import dagster as dg

    config = dict(dg.config_from_files([glob.escape(str(settings))]))
    if "postgres" in (config.get("storage") or {}):
        with needs_extra("deploy", "The storage `postgres` of dagster.yaml"):
            importlib.import_module("dagster_postgres")
    return config


def _instance_settings() -> Path:
    """The project's ``dagster.yaml``: beside this file in a wheel, at the top of a checkout."""
    inside = Path(__file__).with_name("dagster.yaml")
    return inside if inside.exists() else Path(__file__).parents[2] / "dagster.yaml"
