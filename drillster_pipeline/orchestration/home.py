"""Where Dagster keeps its runs when the console runs the job: DAGSTER_HOME, or ``data/dagster`` of this folder."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

DEFAULT_HOME = Path("data/dagster")


def ensure_home() -> Path:
    """Set DAGSTER_HOME where it is not set, make the folder, and put our ``dagster.yaml`` there if it has none."""
    home = Path(os.environ.get("DAGSTER_HOME") or DEFAULT_HOME).expanduser().absolute()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(_instance_settings(), home / "dagster.yaml")
    return home


def describe_home() -> dict[str, Any]:
    """Where Dagster's home is and what keeps its runs, without making anything that is not there.

    ``home`` is ``set`` or ``default``; ``exists``; ``storage``: classes of its runs, events and schedules;
    ``silent_seconds``: since the daemon's last sign of life, None where there never was one.
    """
    named = os.environ.get("DAGSTER_HOME")
    home = Path(named or DEFAULT_HOME).expanduser().absolute()
    told: dict[str, Any] = {"home": "set" if named else "default", "exists": False, "silent_seconds": None}
    settings = home / "dagster.yaml"
    # Opening a home that keeps its runs in files would make them.
    if not settings.exists() or not ((home / "history").exists() or "storage:" in settings.read_text(encoding="utf-8")):
        return told
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
        told |= {
            "exists": True,
            "dagster": dg.__version__,
            "storage": {
                "runs": type(instance.run_storage).__name__,
                "events": type(instance.event_log_storage).__name__,
                "schedules": type(instance.schedule_storage).__name__,
            },
            "launcher": type(instance.run_launcher).__name__,
            "silent_seconds": max(0.0, time.time() - max(beats)) if beats else None,
        }
    return told


def _instance_settings() -> Path:
    """The project's ``dagster.yaml``: beside this file in a wheel, at the top of a checkout."""
    inside = Path(__file__).with_name("dagster.yaml")
    return inside if inside.exists() else Path(__file__).parents[2] / "dagster.yaml"
